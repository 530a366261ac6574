/* Starting a run. The rule: the form is the version's input, and whether it fits is said by the server, beside the form. */

import { html, useRef } from "../../lib/html.js";
import { newId, post } from "../../lib/api.js";
import { go, href } from "../../lib/router.js";
import { close, show } from "../../parts/dialog.js";
import { SchemaForm } from "../../parts/form.js";
import { say } from "../../parts/toasts.js";

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90`, `1.5s`, `5m`, `2h`, `1d`; null for nothing; throws for anything else. */
export function msOf(text, what) {
  const written = text.trim();
  if (!written) return null;
  const [, number, unit] = written.match(/^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/) ?? [];
  if (number === undefined) throw new Error(`${what}: write seconds, or a number with ms, s, m, h or d, such as 90, 5m or 2h.`);
  return Math.round(Number(number) * UNITS[unit ?? "s"]);
}

/** Tags of `city:berlin, kind:report`. */
function tagsOf(text) {
  const words = text.split(",").map((word) => word.trim()).filter(Boolean);
  return Object.fromEntries(words.map((word) => {
    const [, name, value] = word.match(/^([^:=]+)[:=](.*)$/s) ?? [];
    if (!name) throw new Error(`Tags: write name:value, with commas between them; "${word}" is not.`);
    return [name.trim(), value.trim()];
  }));
}

/** Why a start was refused, for people: with the run in whose way it is. */
export function refusalOf(error, reference) {
  if (error.code !== "reference_conflict") return error.message;
  return html`<b>${reference}</b> is the reference id of <a href=${href(["runs", error.facts.run_id])} onClick=${close}>another run</a> already, which has another input. Choose another reference id, or open that run.`;
}

/** Ask for the input of a new run of one of these versions, the newest first. */
export function askStart(workflow, versions) {
  show(`Start ${workflow}`, () => html`<${StartForm} ...${{ workflow, versions }} />`, { wide: true });
}

function StartForm({ workflow, versions }) {
  const options = useRef(null);
  const runId = useRef(newId()); // the same for each try, so that none starts two
  const written = (name) => options.current.elements.namedItem(name)?.value ?? "";
  const start = async (version, input) => {
    try {
      const asked = { reference_id: written("reference").trim() || null, delay_ms: msOf(written("delay"), "Delay"), tags: tagsOf(written("tags")) };
      const started = await post("v1/runs", { workflow, version, input, run_id: runId.current, options: asked });
      say(`Started ${workflow} ${version}`);
      close();
      go(href(["runs", started.run_id]));
      return null;
    } catch (error) {
      runId.current = newId();
      return refusalOf(error, written("reference").trim());
    }
  };
  return html`<${SchemaForm} choices=${versions.map((one) => one.version)} chosen=${versions[0].version} choiceLabel="Version" schemaOf=${(version) => versions.find((one) => one.version === version)?.input_schema}
    yes="Start" onCancel=${close} act=${start}>
    <fieldset class="start-options" ref=${options}><label>Reference id <span class="optional">optional</span><input name="reference" maxlength="200" placeholder="order-4711" /></label>
      <label>Delay <span class="optional">optional</span><input name="delay" placeholder="90, 5m, 2h" /></label>
      <label>Tags <span class="optional">optional</span><input name="tags" placeholder="city:berlin, kind:report" /></label></fieldset>
  <//>`;
}
