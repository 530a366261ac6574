/* What was asked of many runs at once. The rule: it says what became of each, and why some refused. */

import { html } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { count, plural, shortId } from "../../lib/format.js";
import { useResource } from "../../lib/resource.js";
import { ask, href, query } from "../../lib/router.js";
import { Badge, Empty, Failed, Loading, Meter, Time, Took } from "../../parts/basics.js";
import { filterWords, queryOf } from "../runs/filter.js";

const EVERY_MS = 1_500;
const LIMIT = 50;

export function Jobs() {
  const cursor = query.value.get("cursor") ?? "";
  const list = useResource(`jobs ${cursor} ${query.value.get("ns")}`, (signal) => get("v1/bulk-jobs", { cursor, limit: LIMIT }, { signal }), { every: EVERY_MS });
  return html`<header class="head"><h1>Bulk jobs</h1></header>${body(list, cursor)}`;
}

function body(list, cursor) {
  if (!list.data) return list.error ? html`<${Failed} error=${list.error} retry=${list.refresh} />` : html`<${Loading} />`;
  const { jobs = [], next_cursor: next } = list.data;
  if (!jobs.length) return html`<${Empty} title="Nothing was asked of many runs yet" icon="jobs"><p>Choose runs in the list to cancel, retry or requeue them; all that fit a filter are done as a job, which is then shown here.</p><a class="button" href=${href(["runs"])}>All runs</a><//>`;
  return html`<div class="cards wide">${jobs.map((job) => html`<${Job} key=${job.id} job=${job} />`)}</div>
    ${(next || cursor) && html`<div class="paging"><span></span>${cursor && html`<button type="button" class="button" onClick=${() => ask({ cursor: null })}>The newest</button>`}
      ${next && html`<button type="button" class="button" onClick=${() => ask({ cursor: next }, { replace: false })}>Older</button>`}</div>`}`;
}

function Job({ job }) {
  const seen = job.seen ?? 0;
  const isDone = Boolean(job.finished_at_ms);
  const { problems = [] } = job;
  return html`<article class="panel card job"><header><h2>${job.verb[0].toUpperCase()}${job.verb.slice(1)} ${job.runs ? plural(job.runs, "run") : "all that fit"}</h2><${Badge} status=${isDone ? "completed" : "running"} />
      <code class="none" title=${job.id}>…${shortId(job.id)}</code></header>
    ${job.filter && html`<p class="serves">${filterWords(job.filter).map((word) => html`<span class="tag" key=${word}>${word}</span>`)}</p>`}
    ${job.filter && queryOf(job.filter) && html`<p><a href=${href(["runs"], queryOf(job.filter))}>Runs that fit it now</a></p>`}
    ${job.reason && html`<p><q>${job.reason}</q></p>`}
    ${job.runs && html`<div class="load"><${Meter} value=${seen} of=${job.runs} label="Done" /><span class="number">${count(seen)} of ${count(job.runs)}</span></div>`}
    <dl class="numbers"><div><dt>Looked at</dt><dd>${count(seen)}</dd></div><div><dt>Changed</dt><dd>${count(job.changed ?? 0)}</dd></div>
      <div><dt>As they were</dt><dd>${count(job.unchanged ?? 0)}</dd></div><div class=${job.refused ? "is-failed" : ""}><dt>Refused</dt><dd>${count(job.refused ?? 0)}</dd></div></dl>
    <p class="none">Asked <${Time} at=${job.created_at_ms} ago />${isDone ? html`, done in ` : html`, at work for `}<${Took} from=${job.created_at_ms} to=${job.finished_at_ms ?? null} /></p>
    ${problems.length > 0 && html`<details><summary>Why ${plural(problems.length, "run")} refused</summary><ul class="problems">${problems.map((one) => html`<li key=${one.run_id}><a href=${href(["runs", one.run_id])}><code>…${shortId(one.run_id)}</code></a> ${one.problem.message}</li>`)}</ul></details>`}
  </article>`;
}
