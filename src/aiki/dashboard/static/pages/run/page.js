/* One run: where it stands and why, what it did and when, and what can be done about it. */

import { classes, html, useEffect, useMemo } from "../../lib/html.js";
import { get, getAll } from "../../lib/api.js";
import { count, shortId } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useKeys } from "../../lib/keys.js";
import { useResource } from "../../lib/resource.js";
import { ask, go, href, query } from "../../lib/router.js";
import { why, wordOf } from "../../lib/words.js";
import { Badge, Copy, Empty, Failed, Loading, serverNow, Stale, Time, Took } from "../../parts/basics.js";
import { Actions, AGAIN } from "./actions.js";
import { Detail } from "./detail.js";
import { useJournal } from "./journal.js";
import { stepsOf } from "./steps.js";
import { Children, Data, History, Inbox, Journal } from "./tabs.js";
import { Timeline } from "./timeline.js";

const EXECUTING_EVERY_MS = 2_000;
const ATTEMPTS_SHOWN = 100;
const WORKERS_SHOWN = 3;
const AGAIN_SHOWN = 5;

export function Run({ id }) {
  const isConcerned = (run) => run.id === id;
  const info = useResource(`run ${id} ${query.value.get("ns")}`, (signal) => get(`v1/runs/${encodeURIComponent(id)}`, {}, { signal }), { concerns: isConcerned, every: EXECUTING_EVERY_MS });
  const history = useResource(`history ${id}`, (signal) => getAll(`v1/runs/${encodeURIComponent(id)}/history`, "moves", { signal }), { concerns: isConcerned });
  const run = info.data;
  const attempt = earlier(run);
  const journal = useJournal(run, attempt);
  useEffect(() => {
    if (run) document.title = `${wordOf(run.status)}: ${run.workflow} ${run.reference_id ?? shortId(run.id)} · Aiki`;
  }, [run?.status, run?.id]);
  useKeys("Run", [{ press: "u", does: "Back to the runs", run: () => go(href(["runs"])) }], []);
  if (!run && info.error) {
    if (info.error.status === 404 || info.error.status === 400) {
      return html`<${Empty} title="There is no such run" icon="search"><p>${info.error.message}</p><a class="button" href=${href(["runs"])}>All runs</a><//>`;
    }
    return html`<${Failed} error=${info.error} retry=${info.refresh} />`;
  }
  if (!run) return html`<${Loading} lines=${12} />`;
  return html`<${Head} run=${run} moves=${history.data?.moves ?? []} refresh=${info.refresh} error=${info.error} />
    <${Body} run=${run} attempt=${attempt} journal=${journal} history=${history} isConcerned=${isConcerned} />`;
}

/** The attempt that the address asks for, if it is an earlier one. */
function earlier(run) {
  const asked = Number(query.value.get("attempt"));
  return run && asked >= 1 && asked < (run.attempt ?? 1) ? asked : null;
}

function Attempts({ run, attempt }) {
  const all = Array.from({ length: run.attempt }, (_, place) => place + 1);
  return html`<label class="attempts">Attempt <select value=${attempt ?? run.attempt} onChange=${(event) => ask({ attempt: Number(event.target.value) === run.attempt ? null : event.target.value, step: null })}>
    ${all.slice(-ATTEMPTS_SHOWN).map((one) => html`<option key=${one} value=${one}>${one}${one === run.attempt ? ", the last" : ""}</option>`)}</select></label>`;
}

function Head({ run, moves, refresh, error }) {
  const workers = [...new Set(moves.map((move) => move.worker).filter(Boolean))];
  return html`<${Stale} error=${error} /><header class="run-head">
    <nav class="crumbs" aria-label="Where this is"><a href=${href(["runs"])}>Runs</a><${Icon} name="chevron" size=${11} />
      ${run.parent_id && html`<a href=${href(["runs", run.parent_id])}>parent …${shortId(run.parent_id)}</a><${Icon} name="chevron" size=${11} />`}
      <${Copy} text=${run.id} what="the run's id"><code>${run.id}</code><//></nav>
    <div class="run-title"><h1>${run.reference_id ?? run.workflow}</h1><${Badge} status=${run.status} large />${run.cancel_requested && !run.finished_at_ms && html`<span class="badge is-cancelled">cancellation asked</span>`}
      <${Actions} run=${run} refresh=${refresh} /></div>
    <p class="run-why is-${run.status}">It ${why(run, serverNow(), moves)}.</p>
    <dl class="run-facts">
      <div><dt>Workflow</dt><dd><a href=${href(["runs"], { workflow: run.workflow })}>${run.workflow}</a> <span class="version">${run.version}</span></dd></div>
      <div><dt>${run.started_at_ms ? "Started" : "Created"}</dt><dd><${Time} at=${run.started_at_ms ?? run.created_at_ms} /></dd></div>
      <div><dt>${run.finished_at_ms ? "Took" : "For"}</dt><dd><${Took} from=${run.started_at_ms ?? run.created_at_ms} to=${run.finished_at_ms} /></dd></div>
      ${(run.attempt ?? 1) > 1 && html`<div><dt>Attempt</dt><dd>${count(run.attempt)}</dd></div>`}
      ${(run.chapter ?? 1) > 1 && html`<div><dt>Chapter</dt><dd>${count(run.chapter)}</dd></div>`}
      ${run.crashes > 0 && html`<div><dt>Workers lost</dt><dd>${count(run.crashes)}</dd></div>`}
      ${workers.length > 0 && html`<div><dt>${run.finished_at_ms ? "Done by" : "Worker"}</dt><dd title=${workers.join(", ")}>${workers.slice(-WORKERS_SHOWN).join(" → ")}</dd></div>`}
      ${run.pool && html`<div><dt>Pool</dt><dd>${run.pool}</dd></div>`}
      ${run.priority ? html`<div><dt>Priority</dt><dd>${run.priority}</dd></div>` : null}
      ${run.schedule && html`<div><dt>Started by schedule</dt><dd><a href=${href(["schedules", run.schedule])}>${run.schedule}</a></dd></div>`}
      <${Again} run=${run} />
      ${Object.entries(run.tags ?? {}).filter(([name]) => name !== AGAIN).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd><a href=${href(["runs"], { tag: `${name}:${value}` })}>${value}</a></dd></div>`)}
    </dl>
  </header>`;
}

/** Which run it was started again from, and as which it was. */
function Again({ run }) {
  const from = run.tags?.[AGAIN];
  const origin = useResource(from ? `origin ${from}` : null, (signal) => get(`v1/runs/${encodeURIComponent(from)}`, {}, { signal }));
  const after = useResource(`again ${run.id}`, (signal) => get("v1/runs", { tag: `${AGAIN}:${run.id}`, limit: AGAIN_SHOWN }, { signal }));
  const link = (one) => html`<a href=${href(["runs", one.id])}>${one.reference_id ?? `…${shortId(one.id)}`}</a>`;
  return html`${from && html`<div><dt>Started again from</dt><dd>${origin.error ? html`${from} <span class="none">(not here any more)</span>` : link(origin.data ?? { id: from })}</dd></div>`}
    ${after.data?.runs.length > 0 && html`<div><dt>Started again as</dt><dd>${after.data.runs.map((one, place) => html`${place > 0 && ", "}${link(one)}`)}</dd></div>`}`;
}

const TABS = [["timeline", "Timeline"], ["journal", "Journal"], ["data", "Data"], ["messages", "Messages"], ["children", "Children"], ["history", "History"]];

function Body({ run, attempt, journal, history, isConcerned }) {
  const tab = TABS.some(([name]) => name === query.value.get("tab")) ? query.value.get("tab") : "timeline";
  const moves = history.data?.moves ?? [];
  const steps = useMemo(() => stepsOf(attempt ? { ...run, waits: [], executing: [] } : run, journal.entries), [run, attempt, journal.entries]);
  const counts = { journal: run.seq, children: steps.filter((step) => step.childId).length, history: moves.length };
  useKeys("Parts of the run", TABS.map(([name, word], place) => ({ press: String(place + 1), does: word, run: () => ask({ tab: name === "timeline" ? null : name }) })), []);
  return html`<div class="tabs" role="tablist" aria-label="Parts of the run">${TABS.map(([name, word]) => html`<a key=${name} role="tab" aria-selected=${name === tab} href=${href(["runs", run.id], { tab: name === "timeline" ? null : name })}>
      ${word}${counts[name] > 0 && html`<span class="tab-count">${count(counts[name])}</span>`}</a>`)}${(run.attempt ?? 1) > 1 && html`<${Attempts} run=${run} attempt=${attempt} />`}</div>
    <div class="run-body" role="tabpanel" aria-label=${TABS.find(([name]) => name === tab)[1]}>${part(tab, { run, journal, history, moves, steps, isConcerned })}</div>`;
}

function part(tab, { run, journal, history, moves, steps, isConcerned }) {
  const chosen = query.value.get("step");
  const onChoose = (step) => ask({ step: step === chosen ? null : step });
  switch (tab) {
    case "journal":
      return html`<${Journal} run=${run} journal=${journal} onChoose=${(step) => go(href(["runs", run.id], { step }))} />`;
    case "data":
      return html`<${Data} run=${run} isConcerned=${isConcerned} />`;
    case "messages":
      return html`<${Inbox} run=${run} isConcerned=${isConcerned} />`;
    case "children":
      return html`<${Children} run=${run} />`;
    case "history":
      return html`<${History} run=${run} moves=${moves} error=${history.error} />`;
    default:
      return html`<div class=${classes("timeline-and-detail")}>
        <${Timeline} ...${{ run, steps, moves, chosen, onChoose }} isLoading=${journal.isLoading} />
        <${Detail} step=${steps.find((step) => step.id === chosen || (step.result && String(step.result.seq) === chosen))} run=${run} onClose=${() => ask({ step: null })} /></div>`;
  }
}
