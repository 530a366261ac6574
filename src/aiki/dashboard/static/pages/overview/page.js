/* How it all stands. The rule: what needs a person comes first, and every number leads to the runs that it counts. */

import { classes, html } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { count, duration, plural } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useResource } from "../../lib/resource.js";
import { ask, href, query } from "../../lib/router.js";
import { causeLine } from "../../lib/words.js";
import { busiestFirst, loadOf } from "../../lib/workers.js";
import { Badge, Choice, Failed, Loading, Meter, serverNow, Stale, Time } from "../../parts/basics.js";
import { Columns, Line } from "../../parts/chart.js";

const EVERY_MS = 3_000;
const NEEDY_MAX = 5;
const QUEUES_SHOWN = 12;
const UNSERVED_SHOWN = 5;
const HOUR = 3_600_000;
const WINDOWS = { "15m": ["15 min", HOUR / 4, 45], "1h": ["1 hour", HOUR, 60], "24h": ["24 hours", 24 * HOUR, 72], "7d": ["7 days", 168 * HOUR, 84] };
const WAITING = ["awaiting_event", "awaiting_child", "awaiting_retry", "sleeping", "scheduled"];
const ENDS = [{ name: "completed", word: "completed", status: "completed" }, { name: "failed", word: "failed", status: "failed" }, { name: "cancelled", word: "cancelled", status: "cancelled" }];

export function Overview() {
  const asked = query.value.get("window");
  const name = Object.hasOwn(WINDOWS, asked ?? "") ? asked : "1h";
  const [, windowMs, buckets] = WINDOWS[name];
  const ns = query.value.get("ns");
  const stats = useResource(`stats ${name} ${ns}`, (signal) => get("v1/stats", { window_ms: windowMs, buckets }, { signal }), { every: EVERY_MS });
  const needy = useResource(`needy ${name} ${ns}`, (signal) => needing(windowMs, signal), { every: EVERY_MS });
  const workers = useResource(`workers ${ns}`, (signal) => get("v1/workers", {}, { signal }), { every: EVERY_MS });
  return html`${stats.data && html`<${Stale} error=${stats.error} />`}<header class="head"><h1>Overview</h1>
      <${Choice} label="Window" options=${Object.entries(WINDOWS).map(([key, [word]]) => [key, word])} value=${name} onPick=${(picked) => ask({ window: picked })} /></header>
    <${Needy} needy=${needy.data} unserved=${unserved(stats.data, workers.data)} name=${name} />
    ${!stats.data ? (stats.error ? html`<${Failed} error=${stats.error} retry=${stats.refresh} />` : html`<${Loading} lines=${10} />`)
      : html`<${Whole} stats=${stats.data} name=${name} workers=${workers.data?.workers ?? null} />`}`;
}

async function needing(windowMs, signal) {
  const [stalled, failed] = await Promise.all([
    get("v1/runs", { status: "stalled", limit: NEEDY_MAX }, { signal }),
    get("v1/runs", { status: "failed", finished_after_ms: serverNow() - windowMs, limit: NEEDY_MAX }, { signal }),
  ]);
  return [...stalled.runs, ...failed.runs];
}

/** Queues in which runs wait though nobody serves them; null while that is not known. */
function unserved(stats, found) {
  if (!stats || !found || found.has_more) return null;
  const served = new Set(found.workers.flatMap((worker) => (worker.versions ?? []).flatMap((one) => (worker.pools?.length ? worker.pools : [""]).map((pool) => keyOf(one, pool)))));
  return stats.queues.filter((queue) => !served.has(keyOf(queue, queue.pool)));
}

function keyOf({ workflow, version }, pool) {
  return JSON.stringify([workflow, version, pool]);
}

/** `hour` of `1 hour`: "in the last hour". */
function lastOf(name) {
  return WINDOWS[name][0].replace(/^1 /, "");
}

function queueHref({ workflow, version }) {
  return href(["runs"], { status: "queued", workflow, version });
}

function Needy({ needy, unserved, name }) {
  if (!needy) return null;
  if (!needy.length && !unserved?.length) {
    return html`<p class="needy-none panel is-completed"><${Icon} name="completed" size=${18} /><span><b>Nothing needs you.</b> No run is stalled, every queue is served, and nothing failed in the last ${lastOf(name)}.</span></p>`;
  }
  return html`<section class="needy panel" aria-labelledby="needy-title"><header><h2 id="needy-title">Needs a person</h2>
      <nav aria-label="All of them"><a href=${href(["runs"], { status: "stalled" })}>All stalled</a> <a href=${href(["runs"], { status: "failed", since: name, by: "finished" })}>All failed in the last ${lastOf(name)}</a></nav></header>
    <ul>${(unserved ?? []).slice(0, UNSERVED_SHOWN).map((queue) => html`<li key=${keyOf(queue, queue.pool)} class="is-queued"><a href=${queueHref(queue)}><span class="badge is-queued"><${Icon} name="workers" size=${13} />unserved</span>
      <b>${queue.workflow} ${queue.version}</b><span class="needy-why">${plural(queue.depth, "run")} ${queue.depth === 1 ? "waits" : "wait"}, and no worker serves ${queue.pool ? `them in pool ${queue.pool}` : "them"}</span>
      <${Time} at=${queue.oldest_due_at_ms} ago /></a></li>`)}
      ${needy.map((run) => html`<li key=${run.id} class=${`is-${run.status}`}><a href=${href(["runs", run.id])}><${Badge} status=${run.status} />
      <b>${run.reference_id ?? run.workflow}</b><span class="needy-why">${causeLine(run.error ?? run.why ?? "")}</span>
      <${Time} at=${run.finished_at_ms ?? run.started_at_ms ?? run.created_at_ms} ago /></a></li>`)}</ul></section>`;
}

function Whole({ stats, name, workers }) {
  const now = (...statuses) => statuses.reduce((sum, one) => sum + (stats.runs[one] ?? 0), 0);
  const within = (end) => stats.buckets.reduce((sum, part) => sum + (part[end] ?? 0), 0);
  const tiles = [
    ["running", "Running", now("running"), ["running"]], ["queued", "Queued", now("queued"), ["queued"]], ["awaiting_event", "Waiting", now(...WAITING), WAITING],
    ["stalled", "Stalled", now("stalled"), ["stalled"]], ["failed", "Failed", within("failed"), ["failed"], true], ["completed", "Completed", within("completed"), ["completed"], true],
  ];
  return html`<div class="tiles">${tiles.map(([status, title, number, statuses, isWithin]) => html`<a key=${status} class=${classes("tile", "panel", `is-${status}`, !number && "is-none")} href=${href(["runs"], { status: statuses, ...(isWithin ? { since: name, by: "finished" } : {}) })}>
      <span><${Icon} name=${status} size=${14} />${title}</span><b>${count(number)}</b><small>${isWithin ? `in the last ${lastOf(name)}` : "now"}</small></a>`)}</div>
    <div class="columns charts">
      <section class="panel pad"><${Columns} label="Ended" parts=${stats.buckets} series=${ENDS} bucketMs=${stats.bucket_ms} /></section>
      <section class="panel pad"><${Columns} label="Started" parts=${stats.buckets} series=${[{ name: "started", word: "started", status: "running" }]} bucketMs=${stats.bucket_ms} /></section>
      <section class="panel pad"><${Line} label="Open" parts=${stats.buckets} values=${openOver(stats)} status="sleeping" /></section>
    </div>
    <div class="columns">
      <section><h2>Queues</h2><${Queues} queues=${stats.queues} /></section>
      <section><h2>Workers</h2><${Busy} workers=${workers} /></section>
    </div>`;
}

/** How many runs were open at the end of each part: as many as now, without what came and with what went since. */
function openOver(stats) {
  const ended = ["completed", "failed", "cancelled"];
  let open = Object.entries(stats.runs).reduce((sum, [status, number]) => sum + (ended.includes(status) ? 0 : number), 0);
  const values = [];
  for (const part of [...stats.buckets].reverse()) {
    values.unshift(Math.max(0, open));
    open -= (part.started ?? 0) - ended.reduce((sum, name) => sum + (part[name] ?? 0), 0);
  }
  return values;
}

function Queues({ queues }) {
  if (!queues.length) return html`<p class="panel pad none">No run waits for a worker.</p>`;
  return html`<div class="panel"><table class="plain"><thead><tr><th>Queue</th><th class="cell-number">Waiting</th><th class="cell-number">Oldest for</th></tr></thead>
    <tbody>${queues.slice(0, QUEUES_SHOWN).map((queue) => html`<tr key=${`${queue.workflow} ${queue.version} ${queue.pool}`}>
      <td><a href=${queueHref(queue)}><b>${queue.workflow}</b> <span class="version">${queue.version}</span></a>${queue.pool && html` <span class="tag">pool ${queue.pool}</span>`}</td>
      <td class="cell-number">${count(queue.depth)}</td><td class="cell-number">${duration(Math.max(0, serverNow() - queue.oldest_due_at_ms))}</td></tr>`)}</tbody></table></div>
    ${queues.length > QUEUES_SHOWN && html`<p class="none">and ${plural(queues.length - QUEUES_SHOWN, "other queue")}</p>`}`;
}

function Busy({ workers }) {
  if (!workers) return html`<${Loading} lines=${3} />`;
  if (!workers.length) return html`<p class="panel pad none">No worker is connected: <code>aiki worker module:worker</code> starts one.</p>`;
  return html`<div class="panel"><table class="plain"><thead><tr><th>Worker, the busiest first</th><th>In use</th><th class="cell-number">Runs</th><th class="cell-number">Executes</th></tr></thead>
    <tbody>${busiestFirst(workers).slice(0, QUEUES_SHOWN).map((worker) => html`<tr key=${worker.session_id}><td><a href=${href(["workers"])}><b>${worker.name}</b></a></td>
      <td><div class="load"><${Meter} value=${worker.held ?? 0} of=${worker.capacity || 1} label=${`${worker.name} has in use`} /><span class="number">${Math.round(100 * loadOf(worker))} %</span></div></td>
      <td class="cell-number">${count(worker.held ?? 0)} of ${count(worker.capacity ?? 0)}</td><td class="cell-number">${worker.is_elsewhere ? html`<span class="none" title="It polls another server, which alone knows">–</span>` : plural(worker.executing?.length ?? 0, "task")}</td></tr>`)}</tbody></table></div>`;
}
