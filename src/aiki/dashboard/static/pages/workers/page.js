/* The workers that are there. The rule: each keeps its place, says what it executes now and how far that is, and the busiest is marked. */

import { html } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { count, plural, shortId } from "../../lib/format.js";
import { useResource } from "../../lib/resource.js";
import { href, query } from "../../lib/router.js";
import { busiestOf } from "../../lib/workers.js";
import { Empty, Failed, Loading, Meter, Stale, Time, Took } from "../../parts/basics.js";

const EVERY_MS = 1_500;
const EXECUTING_SHOWN = 12;
const VERSIONS_SHOWN = 12;

export function Workers() {
  const list = useResource(`workers ${query.value.get("ns")}`, (signal) => get("v1/workers", {}, { signal }), { every: EVERY_MS });
  const workers = [...(list.data?.workers ?? [])].sort((one, other) => (one.name < other.name || (one.name === other.name && one.session_id < other.session_id) ? -1 : 1));
  const held = workers.reduce((sum, worker) => sum + (worker.held ?? 0), 0);
  return html`${list.data && html`<${Stale} error=${list.error} />`}<header class="head"><h1>Workers</h1>${workers.length > 0 && html`<span class="none">${plural(workers.length, "session")}, ${plural(held, "run")} held${list.data.has_more ? ", and more than are shown" : ""}</span>`}</header>
    ${body(list, workers)}`;
}

function body(list, workers) {
  if (!list.data) return list.error ? html`<${Failed} error=${list.error} retry=${list.refresh} />` : html`<${Loading} />`;
  if (!workers.length) return html`<${Empty} title="No worker is connected" icon="workers"><p>Runs wait until one comes:</p><pre>aiki worker module:worker</pre><//>`;
  const busiest = busiestOf(workers);
  return html`<div class="cards">${workers.map((worker) => html`<${Card} key=${worker.session_id} worker=${worker} isBusiest=${worker.session_id === busiest} />`)}</div>`;
}

function Card({ worker, isBusiest }) {
  const { executing = [], versions = [], pools = [] } = worker;
  return html`<article class="panel card worker"><header><h2>${worker.name}</h2>${isBusiest && html`<span class="badge is-running">busiest</span>`}${pools.filter(Boolean).map((pool) => html`<span class="tag" key=${pool}>pool ${pool}</span>`)}</header>
    <div class="load"><${Meter} value=${worker.held ?? 0} of=${worker.capacity || 1} label=${`${worker.name} holds`} /><span class="number">${count(worker.held ?? 0)} of ${count(worker.capacity ?? 0)} runs</span></div>
    <dl class="facts"><dt>Host</dt><dd>${worker.host || "–"}${worker.pid ? `, process ${worker.pid}` : ""}</dd><dt>Aiki</dt><dd>${worker.sdk || "–"}</dd>
      <dt>There for</dt><dd><${Took} from=${worker.announced_at_ms} /></dd><dt>Last heard</dt><dd>${worker.is_elsewhere ? "by another server" : html`<${Time} at=${worker.heard_at_ms} ago />`}</dd></dl>
    <p class="serves">${versions.slice(0, VERSIONS_SHOWN).map((one) => html`<a class="tag" key=${`${one.workflow} ${one.version}`} href=${href(["workflows"], { name: one.workflow })}>${one.workflow} ${one.version}</a>`)}
      ${versions.length > VERSIONS_SHOWN && html`<span class="none">and ${versions.length - VERSIONS_SHOWN} more</span>`}</p>
    <h3>Executes now</h3>
    ${executing.length ? html`<ul class="executing">${executing.slice(0, EXECUTING_SHOWN).map((line) => html`<${Executing} key=${`${line.run_id} ${line.task} ${line.since_ms}`} line=${line} />`)}</ul>` : html`<p class="none">${worker.is_elsewhere ? "The server that it polls knows." : "No task."}</p>`}
    ${executing.length > EXECUTING_SHOWN && html`<p class="none">and ${plural(executing.length - EXECUTING_SHOWN, "other task")}</p>`}
  </article>`;
}

function Executing({ line }) {
  const { done, of } = line.progress ?? {};
  const isMeasured = Number.isFinite(done) && Number.isFinite(of) && of > 0;
  return html`<li><a href=${href(["runs", line.run_id])}><b>${line.task}</b> <code>…${shortId(line.run_id)}</code></a>
    <span class="none">${line.attempt > 1 && `attempt ${line.attempt}, `}<${Took} from=${line.since_ms} /></span>
    ${isMeasured ? html`<div class="load"><${Meter} value=${done} of=${of} label=${`${line.task} has done`} /><span class="number">${count(done)} of ${count(of)}</span></div>`
      : line.progress !== undefined && line.progress !== null && html`<code class="executing-progress">${JSON.stringify(line.progress)}</code>`}</li>`;
}
