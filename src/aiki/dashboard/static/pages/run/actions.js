/*
 * What a person can do to a run. The rule: each has its place, whatever the run does meanwhile, so that
 * none comes under a finger that meant another; where it would do nothing it is off. What cannot be undone asks first.
 */

import { classes, html } from "../../lib/html.js";
import { useActions } from "../../lib/actions.js";
import { get, newId, post } from "../../lib/api.js";
import { time } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { go, href } from "../../lib/router.js";
import { TERMINAL } from "../../lib/words.js";
import { Menu, serverNow } from "../../parts/basics.js";
import { close, confirm, show } from "../../parts/dialog.js";
import { SchemaForm } from "../../parts/form.js";
import { attempt, say } from "../../parts/toasts.js";
import { refusalOf } from "../workflows/start.js";

/** The tag of a run that was started again: the id of the run that it was started from. */
export const AGAIN = "again";
const GUESSES_MAX = 20;

const open = (run) => !TERMINAL.has(run.status);

/** In the order of the menu, in which each stands always; what cannot be undone comes last. */
const ACTIONS = [
  { verb: "requeue", word: "Requeue", icon: "queued", fits: (run) => run.status === "stalled", done: "Put back into its queue" },
  { verb: "retry", word: "Retry", icon: "awaiting_retry", fits: (run) => run.status === "failed", done: "It is tried again",
    text: "What went well is kept; the step that failed, and what came after it, is done anew." },
  { verb: "resume", word: "Resume", icon: "play", fits: (run) => run.status === "paused", done: "It goes on" },
  { verb: "pause", word: "Pause", icon: "paused", fits: (run) => open(run) && run.status !== "paused" && run.status !== "stalled" && !run.pause_requested, reason: true, done: "Asked to pause",
    text: "It takes no further step until somebody resumes it." },
  { verb: "send", word: "Send event", icon: "send", fits: open },
  { verb: "wake", word: "Wake", icon: "sun", fits: (run) => ["sleeping", "scheduled"].includes(run.status) || (run.status === "awaiting_retry" && !run.waits?.length),
    done: (standing) => (standing.changed ? "Woken" : "Nothing sleeps in it") },
  { verb: "again", word: "Start again, edited", icon: "copy", fits: () => true },
  { verb: "cancel", word: "Cancel", icon: "cancelled", fits: (run) => open(run) && !run.cancel_requested, isDanger: true, reason: true, done: "Asked to cancel",
    text: "Its code gets a cancellation where it waits, and may clean up first." },
  { verb: "terminate", word: "Terminate", icon: "failed", fits: open, isDanger: true, reason: true, done: "Terminated",
    text: "It ends as cancelled at once: its code cleans up nothing." },
];
const ONE = Object.fromEntries(ACTIONS.map((action) => [action.verb, action]));
const MENU = ACTIONS.filter(({ verb }) => !["pause", "resume", "cancel"].includes(verb));

/** What stands in the three places: nothing but `cancel` ever in the first, and nothing in it that has ended. */
function placesOf(run) {
  if (!open(run)) return [null, run.status === "failed" ? ONE.retry : null, ONE.again];
  const lead = run.status === "stalled" ? ONE.requeue : ONE.wake.fits(run) || triedAgainAt(run) ? ONE.wake : ONE.send;
  return [ONE.cancel, lead, run.status === "paused" ? ONE.resume : ONE.pause];
}

/** When the next attempt of a task is, of a run that waits for nothing else; no waking makes that come sooner. */
function triedAgainAt(run) {
  return run.status === "awaiting_retry" ? run.waits?.[0]?.deadline_ms : undefined;
}

export function Actions({ run, refresh }) {
  const begin = (action) => () => act(action, run, refresh);
  const triedAt = triedAgainAt(run);
  const fitting = ACTIONS.filter((action) => action.fits(run));
  useActions(fitting.map((action) => ({ word: `${action.word}: this run`, icon: action.icon, run: begin(action) })), [run.id, run.status, run.cancel_requested]);
  return html`<div class="actions">${placesOf(run).map((action, place) => action && html`<button type="button" key=${place} class=${classes("button", `place-${place + 1}`, action.isDanger && "danger")}
      disabled=${!action.fits(run)} onClick=${begin(action)}><${Icon} name=${action.icon} size=${14} />${action.word}</button>`)}
    <${Menu} label="More that can be done" icon="more" items=${MENU.map((action) => ({ ...action, isOff: !action.fits(run), run: begin(action) }))} />
    ${triedAt > serverNow() && html`<p class="actions-note">Its next attempt is at ${time(triedAt, serverNow())}: waking does not hurry it</p>`}</div>`;
}

function act(action, run, refresh) {
  if (action.verb === "send") return askEvent(run, refresh);
  if (action.verb === "again") return askAgain(run);
  const doing = async (reason) => {
    const isDone = await attempt(() => post(`v1/runs/${run.id}/${action.verb}`, { reason, message_id: newId() }), action.done);
    refresh();
    return isDone;
  };
  if (!action.text) return doing(null);
  return confirm({ title: `${action.word} this run`, text: action.text, yes: action.word, isDanger: action.isDanger, reason: action.reason, act: doing });
}

async function versionOf(run) {
  try {
    const { versions = [] } = await get("v1/workflows");
    return versions.find((one) => one.workflow === run.workflow && one.version === run.version) ?? {};
  } catch {
    return {};
  }
}

async function askEvent(run, refresh) {
  const { events = {} } = await versionOf(run);
  const waited = (run.waits ?? []).find((wait) => wait.kind === "event")?.name;
  const names = Object.keys(events);
  show("Send an event", () => html`<${SchemaForm} choices=${names} chosen=${waited ?? names[0] ?? ""} choiceLabel="Event" schemaOf=${(name) => events[name]} yes="Send" onCancel=${close}
    note=${waited ? `It waits for ${waited}.` : "It waits for no event now: what is sent is kept until its code does."}
    act=${async (name, payload) => {
      const isDone = await attempt(() => post(`v1/runs/${run.id}/events/${encodeURIComponent(name)}`, payload, { message_id: newId() }), `${name} was sent`);
      refresh();
      if (isDone) close();
    }} />`, { wide: true });
}

/** A reference id like that of a run, which no run of its workflow has yet: `refund-4869-2`. */
async function freeReference(run) {
  if (!run.reference_id) return "";
  const [, stem, number] = (run.tags?.[AGAIN] && run.reference_id.match(/^(.+)-(\d+)$/)) || [null, run.reference_id, 1];
  for (let next = Number(number) + 1; next <= Number(number) + GUESSES_MAX; next++) {
    const { runs } = await get("v1/runs", { workflow: run.workflow, reference_id: `${stem}-${next}`, limit: 1 });
    if (!runs.length) return `${stem}-${next}`;
  }
  return "";
}

async function askAgain(run) {
  const [{ input_schema: schema }, guess] = await Promise.all([versionOf(run), freeReference(run).catch(() => "")]);
  const runId = newId(); // the same for each try, so that none starts two
  let reference = guess;
  show(`Start ${run.workflow} ${run.version} again`, () => html`<${SchemaForm} schemaOf=${() => schema} value=${run.input} yes="Start" onCancel=${close}
    note=${`This starts a new run with the input below; ${run.reference_id ?? "the old run"} stays as it is.`}
    act=${async (_name, input) => {
      const options = { tags: { ...run.tags, [AGAIN]: run.id }, pool: run.pool ?? "", priority: run.priority ?? 0, reference_id: reference.trim() || null };
      try {
        const started = await post("v1/runs", { workflow: run.workflow, version: run.version, input, run_id: runId, options });
        say("Started");
        close();
        go(href(["runs", started.run_id]));
        return null;
      } catch (error) {
        return refusalOf(error, reference.trim());
      }
    }}><label>Reference id <span class="optional">of the new run, optional</span><input name="reference" maxlength="200" defaultValue=${guess} onInput=${(event) => { reference = event.target.value; }} /></label><//>`, { wide: true });
}
