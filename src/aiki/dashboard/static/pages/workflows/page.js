/* Workflows and their versions. The rule: how long runs take is told of the last that ended, and says of how many. */

import { html } from "../../lib/html.js";
import { useActions } from "../../lib/actions.js";
import { get } from "../../lib/api.js";
import { count, duration, plural } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useResource } from "../../lib/resource.js";
import { href, query } from "../../lib/router.js";
import { STATUSES, TERMINAL, wordOf } from "../../lib/words.js";
import { Empty, Failed, Loading, Time } from "../../parts/basics.js";
import { Spark } from "../../parts/chart.js";
import { Json } from "../../parts/json.js";
import { askStart } from "./start.js";

const EVERY_MS = 4_000;
const DURATIONS_EVERY_MS = 20_000;
const LAST_RUNS = 100;
const SPARK_RUNS = 30;

export function Workflows() {
  const name = query.value.get("name");
  const list = useResource(`workflows ${query.value.get("ns")}`, (signal) => get("v1/workflows", {}, { signal }), { every: EVERY_MS });
  const grouped = group(list.data?.versions ?? []);
  const one = name === null ? null : grouped.find((workflow) => workflow.name === name);
  useActions(grouped.map((workflow) => ({ word: `Start ${workflow.name}`, icon: "play", run: () => askStart(workflow.name, workflow.versions) })), [list.data]);
  if (!list.data) return html`<header class="head"><h1>Workflows</h1></header>${list.error ? html`<${Failed} error=${list.error} retry=${list.refresh} />` : html`<${Loading} />`}`;
  if (name !== null) return one ? html`<${One} key=${name} workflow=${one} />` : html`<${Empty} title="There is no such workflow" icon="workflows"><p>No worker has announced ${name}, and it has no runs.</p><a class="button" href=${href(["workflows"])}>All workflows</a><//>`;
  return html`<header class="head"><h1>Workflows</h1></header>
    ${grouped.length ? html`<div class="panel"><table class="plain stacked workflows"><thead><tr><th>Workflow</th><th>Versions</th><th class="cell-number">Open</th><th class="cell-number">Ended</th><th class="cell-number" title="Of all that ended and are kept">Failed <small>all kept</small></th>
        <th class="cell-number" title="Half of the last runs took no longer">p50 <small>last ${LAST_RUNS}</small></th><th class="cell-number" title="Of 20 of the last runs, 19 took no longer">p95 <small>last ${LAST_RUNS}</small></th><th>Last runs</th><th>Served by</th><th></th></tr></thead>
      <tbody>${grouped.map((workflow) => html`<${Row} key=${workflow.name} workflow=${workflow} />`)}</tbody></table></div>`
      : html`<${Empty} title="No workflow is known yet" icon="workflows"><p>A worker announces what it serves:</p><pre>aiki worker module:worker</pre><//>`}`;
}

/** Workflows with their versions, the newest first. */
export function group(versions) {
  const found = Map.groupBy ? Map.groupBy(versions, (one) => one.workflow) : versions.reduce((map, one) => map.set(one.workflow, [...(map.get(one.workflow) ?? []), one]), new Map());
  return [...found].map(([name, own]) => ({ name, versions: [...own].sort((one, other) => other.version.localeCompare(one.version, "en", { numeric: true })) }));
}

/** Counts of some versions together. */
function sum(versions) {
  const by = (fits) => versions.reduce((all, { runs = {} }) => all + Object.entries(runs).reduce((own, [status, number]) => own + (fits(status) ? number : 0), 0), 0);
  const ended = by((status) => TERMINAL.has(status));
  const failed = by((status) => status === "failed");
  return { open: by((status) => !TERMINAL.has(status)), ended, failed, rate: ended ? failed / ended : null };
}

function percent(rate) {
  if (rate === null) return html`<span class="none">–</span>`;
  const text = rate > 0 && rate < 0.001 ? "< 0.1 %" : `${(100 * rate).toFixed(rate && rate < 0.1 ? 1 : 0)} %`;
  return html`<span class=${rate ? "rate is-failed" : ""}>${text}</span>`;
}

function useDurations(workflow, version = null) {
  const asked = { workflow, version, status: ["completed", "failed"], limit: LAST_RUNS };
  const { data } = useResource(`took ${JSON.stringify(asked)} ${query.value.get("ns")}`, (signal) => get("v1/runs", asked, { signal }), { every: DURATIONS_EVERY_MS });
  const runs = (data?.runs ?? []).filter((run) => run.started_at_ms && run.finished_at_ms).map((run) => ({ id: run.id, status: run.status, tookMs: run.finished_at_ms - run.started_at_ms }));
  const sorted = runs.map((run) => run.tookMs).sort((one, other) => one - other);
  const at = (part) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] : null);
  return { p50: at(0.5), p95: at(0.95), number: runs.length, last: runs.slice(0, SPARK_RUNS).reverse() };
}

function Took({ ms, number }) {
  return ms === null ? html`<span class="none">–</span>` : html`<span class="number" title=${`Of the last ${plural(number, "run")}`}>${duration(ms)}</span>`;
}

function servedBy(versions) {
  const names = [...new Set(versions.flatMap((one) => one.workers ?? []))];
  if (!names.length) return html`<span class="nobody is-stalled"><${Icon} name="stalled" size=${13} />nobody</span>`;
  return html`<a href=${href(["workers"])} title=${names.join(", ")}>${names.length > 1 ? plural(names.length, "worker") : names[0]}</a>`;
}

function Row({ workflow }) {
  const { open, ended, rate } = sum(workflow.versions);
  const took = useDurations(workflow.name);
  return html`<tr><td><a class="run-link" href=${href(["workflows"], { name: workflow.name })}><b>${workflow.name}</b></a></td>
    <td data-label="Versions">${workflow.versions.slice(0, 3).map((one) => html`<span class="tag" key=${one.version} title=${one.version}>${one.version}</span> `)}${workflow.versions.length > 3 && html`<span class="none">+${workflow.versions.length - 3}</span>`}</td>
    <td data-label="Open" class="cell-number">${count(open)}</td><td data-label="Ended" class="cell-number">${count(ended)}</td><td data-label="Failed" class="cell-number">${percent(rate)}</td>
    <td data-label="p50" class="cell-number"><${Took} ms=${took.p50} number=${took.number} /></td><td data-label="p95" class="cell-number"><${Took} ms=${took.p95} number=${took.number} /></td>
    <td data-label=${took.last.length > 0 ? "Last runs" : null}>${took.last.length > 0 && html`<${Spark} runs=${took.last} />`}</td><td data-label="Served by">${servedBy(workflow.versions)}</td>
    <td class="cell-number"><button type="button" class="button small" aria-label=${`Start ${workflow.name}`} onClick=${() => askStart(workflow.name, workflow.versions)}><${Icon} name="play" size=${13} />Start</button></td></tr>`;
}

function One({ workflow }) {
  return html`<div class="crumbs"><a href=${href(["workflows"])}>Workflows</a></div>
    <header class="head"><h1>${workflow.name}</h1><a class="button" href=${href(["runs"], { workflow: workflow.name })}><${Icon} name="runs" size=${14} />Its runs</a>
      <button type="button" class="button primary" onClick=${() => askStart(workflow.name, workflow.versions)}><${Icon} name="play" size=${14} />Start a run</button></header>
    <div class="cards wide">${workflow.versions.map((version, place) => html`<${Version} key=${version.version} version=${version} isOpen=${place === 0} />`)}</div>`;
}

function Version({ version, isOpen }) {
  const { rate } = sum([version]);
  const took = useDurations(version.workflow, version.version);
  const { runs = {}, events = {}, warnings = [] } = version;
  const schemas = [["Input", version.input_schema], ["Output", version.output_schema], ...Object.entries(events).map(([name, schema]) => [`Event ${name}`, schema])].filter(([, schema]) => schema);
  return html`<article class="panel card"><header><h2>${version.version}</h2>${STATUSES.filter((status) => runs[status]).map((status) => html`<a key=${status} class=${`chip is-${status}`}
      href=${href(["runs"], { workflow: version.workflow, version: version.version, status })}><${Icon} name=${status} size=${13} />${wordOf(status)} <span class="chip-count">${count(runs[status])}</span></a>`)}</header>
    ${warnings.map((warning) => html`<p class="warning is-stalled" key=${warning}><${Icon} name="stalled" size=${14} />${warning}</p>`)}
    <dl class="numbers"><div><dt>Failed, of all kept</dt><dd>${percent(rate)}</dd></div><div><dt>p50 of the last ${LAST_RUNS}</dt><dd><${Took} ms=${took.p50} number=${took.number} /></dd></div><div><dt>p95 of the last ${LAST_RUNS}</dt><dd><${Took} ms=${took.p95} number=${took.number} /></dd></div>
      <div><dt>Last runs</dt><dd>${took.last.length ? html`<${Spark} runs=${took.last} />` : "–"}</dd></div>
      <div><dt>Served by</dt><dd>${servedBy([version])}</dd></div><div><dt>Announced</dt><dd><${Time} at=${version.announced_at_ms} ago /></dd></div></dl>
    ${schemas.map(([title, schema]) => html`<details key=${title} open=${isOpen && title === "Input"}><summary>${title}</summary><div class="schema"><${Json} value=${schema} label=${title} /></div></details>`)}
  </article>`;
}
