/* Making a schedule. The rule: a name that is taken is replaced only once a person has said so. */

import { html, useRef, useState } from "../../lib/html.js";
import { get, send } from "../../lib/api.js";
import { go, href } from "../../lib/router.js";
import { Choice } from "../../parts/basics.js";
import { close, show } from "../../parts/dialog.js";
import { SchemaForm } from "../../parts/form.js";
import { say } from "../../parts/toasts.js";
import { msOf } from "../workflows/start.js";

const ZONES = Intl.supportedValuesOf?.("timeZone") ?? [];

/** Ask what to start, and when. */
export async function askSchedule(done) {
  let versions = [];
  try {
    versions = (await get("v1/workflows")).versions;
  } catch (error) {
    return say(error.message, { kind: "failed" });
  }
  if (!versions.length) return say("No workflow is known yet: start a worker first.", { kind: "failed" });
  return show("New schedule", () => html`<${Form} ...${{ versions, done }} />`, { wide: true });
}

function Form({ versions, done }) {
  const fields = useRef(null);
  const [kind, setKind] = useState("cron");
  const nameOf = (one) => `${one.workflow} ${one.version}`;
  const written = (name) => fields.current.elements.namedItem(name)?.value.trim() ?? "";
  const make = async (chosen, input, onChange = "error") => {
    const version = versions.find((one) => nameOf(one) === chosen);
    try {
      const timing = kind === "cron" ? { cron: written("cron"), timezone: written("timezone") || "UTC" } : { every_ms: msOf(written("every"), "Every") };
      const name = written("name");
      await send("PUT", `v1/schedules/${encodeURIComponent(name)}`, { workflow: version.workflow, version: version.version, input, ...timing,
        overlap: written("overlap"), catch_up: written("catch_up"), on_change: onChange });
      say(`${name} is scheduled`);
      close();
      done();
      go(href(["schedules", name]));
      return null;
    } catch (error) {
      if (error.code !== "schedule_conflict") return error.message;
      const replace = async () => {
        const refused = await make(chosen, input, "replace");
        if (refused) say(refused, { kind: "failed" });
      };
      return html`<b>${written("name")}</b> is a schedule already, with another definition. <button type="button" class="button small danger" onClick=${replace}>Replace it</button>`;
    }
  };
  return html`<${SchemaForm} choices=${versions.map(nameOf)} chosen=${nameOf(versions[0])} choiceLabel="Starts" schemaOf=${(name) => versions.find((one) => nameOf(one) === name)?.input_schema} yes="Create" onCancel=${close} act=${make}>
    <fieldset class="start-options" ref=${fields}>
      <label>Name<input name="name" required maxlength="200" placeholder="nightly-report" /></label>
      <div class="schedule-when"><${Choice} label="When" options=${[["cron", "At times"], ["every", "At intervals"]]} value=${kind} onPick=${setKind} /></div>
      ${kind === "cron" ? html`<label key="cron">Cron expression<input name="cron" required class="code" placeholder="30 2 * * 1-5" spellcheck=${false} /></label>
        <label key="zone">Time zone<input name="timezone" list="zones" placeholder="UTC" spellcheck=${false} /><datalist id="zones">${ZONES.map((zone) => html`<option key=${zone} value=${zone} />`)}</datalist></label>`
        : html`<label key="every">Every<input name="every" required placeholder="90, 15m, 2h" /></label>`}
      <label>While its last run is open<select name="overlap"><option value="allow">start another</option><option value="skip">skip the tick</option><option value="cancel_previous">cancel it first</option></select></label>
      <label>Ticks that were missed<select name="catch_up"><option value="latest">start the latest</option><option value="all">start all</option><option value="none">start none</option></select></label>
    </fieldset><//>`;
}
