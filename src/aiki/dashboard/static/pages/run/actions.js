/*
 * What a person can do to a run. The rule: a button is there where it would do something; what cannot be undone asks first.
 */

import { html } from "../../lib/html.js";
import { useActions } from "../../lib/actions.js";
import { get, newId, post } from "../../lib/api.js";
import { Icon } from "../../lib/icons.js";
import { go, href } from "../../lib/router.js";
import { TERMINAL } from "../../lib/words.js";
import { Menu } from "../../parts/basics.js";
import { close, confirm, show } from "../../parts/dialog.js";
import { SchemaForm } from "../../parts/form.js";
import { attempt } from "../../parts/toasts.js";

const SUSPENDED = new Set(["sleeping", "awaiting_event", "awaiting_child", "awaiting_retry", "scheduled"]);

const open = (run) => !TERMINAL.has(run.status);

/** In the order in which they are shown: the first that fits are buttons, the others a menu. */
const ACTIONS = [
  { verb: "requeue", word: "Requeue", icon: "queued", fits: (run) => run.status === "stalled", done: "Put back into its queue" },
  { verb: "retry", word: "Retry", icon: "awaiting_retry", fits: (run) => run.status === "failed", done: "It is tried again",
    text: "What went well is kept; the step that failed, and what came after it, is done anew." },
  { verb: "resume", word: "Resume", icon: "play", fits: (run) => run.status === "paused", done: "It goes on" },
  { verb: "send", word: "Send event", icon: "send", fits: open },
  { verb: "wake", word: "Wake", icon: "sun", fits: (run) => ["sleeping", "scheduled"].includes(run.status), done: (standing) => (standing.changed ? "Woken" : "Nothing sleeps in it") },
  { verb: "cancel", word: "Cancel", icon: "cancelled", fits: (run) => open(run) && !run.cancel_requested, isDanger: true, reason: true, done: "Asked to cancel",
    text: "Its code gets a cancellation where it waits, and may clean up first." },
  { verb: "pause", word: "Pause", icon: "paused", fits: (run) => open(run) && run.status !== "paused" && run.status !== "stalled", reason: true, done: "Asked to pause",
    text: "It takes no further step until somebody resumes it." },
  { verb: "terminate", word: "Terminate", icon: "failed", fits: open, isDanger: true, reason: true, done: "Terminated",
    text: "It ends as cancelled at once: its code cleans up nothing." },
  { verb: "again", word: "Start again, edited", icon: "copy", fits: () => true },
];

export function Actions({ run, refresh }) {
  const all = ACTIONS.filter((action) => action.fits(run));
  const fitting = run.status === "awaiting_event" ? all : [...all.filter((action) => action.verb !== "send"), ...all.filter((action) => action.verb === "send")];
  const begin = (action) => () => run && act(action, run, refresh);
  const shown = fitting.slice(0, 3);
  const more = fitting.slice(3);
  useActions(fitting.map((action) => ({ word: `${action.word}: this run`, icon: action.icon, run: begin(action) })), [run.id, run.status, run.cancel_requested]);
  return html`<div class="actions">${shown.map((action) => html`<button type="button" key=${action.verb} class="button ${action.isDanger ? "danger" : ""}" onClick=${begin(action)}>
      <${Icon} name=${action.icon} size=${14} />${action.word}</button>`)}
    ${more.length > 0 && html`<${Menu} label="More that can be done" icon="more" items=${more.map((action) => ({ ...action, run: begin(action) }))} />`}</div>`;
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

async function askAgain(run) {
  const { input_schema: schema } = await versionOf(run);
  show(`Start ${run.workflow} ${run.version} again`, () => html`<${SchemaForm} schemaOf=${() => schema} value=${run.input} yes="Start" onCancel=${close}
    note="A new run, with this input. The reference id stays with the run that has it."
    act=${async (_name, input) => {
      const body = { workflow: run.workflow, version: run.version, input, run_id: newId(), options: { tags: run.tags ?? {}, pool: run.pool ?? "", priority: run.priority ?? 0 } };
      await attempt(async () => {
        const started = await post("v1/runs", body);
        close();
        go(href(["runs", started.run_id]));
      }, "Started");
    }} />`, { wide: true });
}
