/* The list of runs, live. The rule: what is shown is what the address asks for, as it is now; held still while somebody is at it. */

import { classes, html, signal, useEffect, useMemo, useState } from "../../lib/html.js";
import { useActions } from "../../lib/actions.js";
import { alike } from "../../lib/alike.js";
import { get } from "../../lib/api.js";
import { count, plural } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { dropView, saveView, views } from "../../lib/prefs.js";
import { useResource } from "../../lib/resource.js";
import { ask, go, href, query } from "../../lib/router.js";
import { STATUSES } from "../../lib/words.js";
import { Empty, Failed, Loading, Menu } from "../../parts/basics.js";
import { close, show } from "../../parts/dialog.js";
import { say } from "../../parts/toasts.js";
import { choosing, useChoice, useRunKeys } from "./choice.js";
import { asked, filter, isNarrowed, LIMITS, narrow, WIDE, widen } from "./filter.js";
import { Chips, Fields } from "./filters.js";
import { useHeld } from "./held.js";
import { askAll, askMany, VERBS } from "./many.js";
import { sorted, Table } from "./table.js";

const COUNTS_EVERY_MS = 5_000;
const TRAIL_MAX = 200;

/** Cursors of the pages before, so that one can go back. */
const trail = signal([]);

export function Runs() {
  const given = filter();
  const name = JSON.stringify({ ...given, sort: "", ns: query.value.get("ns") });
  const isConcerned = (run) => (!given.workflow || run.workflow === given.workflow) && (!given.version || run.version === given.version);
  const list = useResource(name, (signal) => get("v1/runs", { ...asked(given), cursor: given.cursor, limit: given.limit }, { signal }), {
    concerns: (run) => (given.cursor ? list.data?.runs.some((shown) => shown.id === run.id) : isConcerned(run)),
  });
  const former = useFormer(list.data);
  const page = list.data ?? (list.error ? null : former);
  // Counting looks at many runs, and is asked for once the list is there.
  const workflows = useResource(page ? `workflows ${query.value.get("ns")}` : null, (signal) => get("v1/workflows", {}, { signal }), { every: COUNTS_EVERY_MS });
  const isCounted = hasCounts(given, workflows.data);
  const counted = page && workflows.data && !isCounted ? JSON.stringify({ ...asked(given, { nowMs: 0, isForCounts: true }), ns: query.value.get("ns") }) : null;
  const counts = useResource(counted, (signal) => get("v1/runs/count", asked(given, { isForCounts: true }), { signal }), { every: COUNTS_EVERY_MS });
  const numbers = isCounted ? countsOf(given, workflows.data) : counts.data;
  const runs = useMemo(() => sorted(page?.runs ?? [], given.sort), [page, given.sort]);
  const choice = useChoice(JSON.stringify({ ...given, sort: "", cursor: "", limit: 0, ns: query.value.get("ns") }));
  const { shown, fresh, gone, show: showNew } = useHeld(runs, { name: `${name} ${given.sort}`, isCurrent: Boolean(list.data), isHeld: choice.isHeld });
  const chooser = choosing(shown, choice);
  useRunKeys(shown, choice, chooser, showNew);
  useEffect(() => choice.onPoint(null), [given.cursor]);
  useActions([{ word: "Save this view", icon: "bookmark", run: askView }, { word: "Show all runs", icon: "runs", run: widen }], []);

  return html`<header class="head"><h1>Runs</h1><${Views} /></header>
    <${Chips} counts=${numbers} />
    <${Fields} known=${workflows.data?.versions ?? []} />
    <div class=${classes(list.isLoading && page && "is-stale")}><${News} ...${{ fresh, gone, show: showNew }} isMore=${fresh === runs.length} />${body({ list, page, shown, given, choice, chooser })}</div>
    ${(choice.isAll || choice.chosen.size > 0) && html`<${Many} ...${{ shown, choice, list, numbers, given }} />`}`;
}

/** Whether what is known of versions, which the server counts once for all who watch, says how many runs fit. */
function hasCounts({ tag, parent, schedule, since, from, to, q }, known) {
  return Boolean(known && !known.has_more) && !(tag.length || parent || schedule || since || from || to || q);
}

function countsOf({ workflow, version }, known) {
  const by_status = {};
  for (const one of known.versions) {
    if ((workflow && one.workflow !== workflow) || (version && one.version !== version)) continue;
    for (const [status, number] of Object.entries(one.runs ?? {})) by_status[status] = (by_status[status] ?? 0) + number;
  }
  return { total: Object.values(by_status).reduce((sum, number) => sum + number, 0), by_status };
}

/** How many runs fit, as far as is known; of some statuses, or of all. */
function totalOf(counts, status = null) {
  if (!counts) return 0;
  return status ? status.reduce((sum, one) => sum + (counts.by_status?.[one] ?? 0), 0) : counts.total;
}

function body({ list, page, shown, given, choice, chooser }) {
  if (!page && list.error) return html`<${Failed} error=${list.error} retry=${list.refresh} />`;
  if (!page) return html`<${Loading} lines=${14} />`;
  if (!shown.length) return html`<${Nothing} given=${given} />`;
  return html`${list.error && html`<p class="stale-note" role="status">What is shown may be old: ${list.error.message}</p>`}
    <${Table} runs=${shown} sort=${given.sort} at=${choice.at} setOver=${choice.setOver} ...${chooser} />
    <${Paging} page=${page} given=${given} />`;
}

/** The last page that was there: shown, paler, until the next has come. */
function useFormer(data) {
  const [former, setFormer] = useState(undefined);
  useEffect(() => {
    if (data) setFormer(data);
  }, [data]);
  return former;
}

function Nothing({ given }) {
  const { data: near } = useResource(given.q ? `alike ${given.q} ${query.value.get("ns")}` : null, (signal) => alike(given.q, signal));
  if (given.q) {
    const [first] = near ?? [];
    const isAlone = !isNarrowed({ ...given, q: "" });
    return html`<${Empty} title=${`No reference or id begins with ${given.q}`} icon="search">
      ${isAlone ? first && html`<p>Try <a href=${href(["runs"], { q: first.reference_id })}>${first.reference_id}</a>: searching finds beginnings.</p>` : html`<p>None of those that fit the rest of the filter.</p>`}
      <button type="button" class="button" onClick=${isAlone ? widen : () => narrow(WIDE)}>${isAlone ? "Show all runs" : "Search all runs"}</button><//>`;
  }
  if (isNarrowed(given) || given.cursor) {
    return html`<${Empty} title="No run fits" icon="filter"><p>Nothing that this server remembers fits all of the filter.</p>
      <button type="button" class="button" onClick=${widen}>Show all runs</button><//>`;
  }
  return html`<${Empty} title="No runs yet"><p>Start one from your code, or from a terminal:</p>
    <pre>aiki runs start hello 1.0.0 --input '{"name": "Ada"}'</pre><p>It is shown here as soon as it begins.</p><//>`;
}

function Paging({ page, given }) {
  const next = () => {
    trail.value = [...trail.value, given.cursor].slice(-TRAIL_MAX);
    ask({ cursor: page.next_cursor }, { replace: false });
    scrollTo(0, 0);
  };
  const back = () => {
    ask({ cursor: trail.value.at(-1) || null }, { replace: false });
    trail.value = trail.value.slice(0, -1);
  };
  return html`<footer class="paging">
    <span>${plural(page.runs.length, "run")}, newest first${given.sort && `; what is on this page by ${given.sort.replace("-", "")}`}</span>
    <label class="paging-limit">on a page <select value=${given.limit} onChange=${(event) => ask({ limit: event.target.value, cursor: null })} aria-label="Runs on a page">
      ${LIMITS.map((limit) => html`<option key=${limit} value=${limit}>${limit}</option>`)}</select></label>
    ${given.cursor && html`<button type="button" class="button small" onClick=${() => { trail.value = []; ask({ cursor: null }); }}>Newest</button>`}
    ${given.cursor && html`<button type="button" class="button small" onClick=${back}><${Icon} name="back" size=${13} />Newer</button>`}
    <button type="button" class="button small" disabled=${!page.next_cursor} onClick=${next}>Older<${Icon} name="chevron" size=${13} /></button>
  </footer>`;
}

function Many({ shown, choice, list, numbers, given }) {
  const done = () => {
    choice.clear();
    list.refresh();
  };
  const current = new Map(shown.map((run) => [run.id, run]));
  const runs = [...choice.chosen.values()].map((run) => current.get(run.id) ?? run);
  const { isAll } = choice;
  const total = totalOf(numbers, given.status.length ? given.status : null);
  const fitting = (verb) => totalOf(numbers, STATUSES.filter((status) => VERBS[verb].fits({ status }) && (!given.status.length || given.status.includes(status))));
  const act = (verb) => (isAll ? askAll(verb, { which: asked(given), total: fitting(verb) }, done) : askMany(verb, runs, done));
  return html`<div class="many" role="region" aria-label="Chosen runs"><b>${isAll ? `All ${count(total)} that fit` : `${plural(runs.length, "run")} chosen`}</b>
    ${(isAll || total > runs.length) && html`<button type="button" class="link" onClick=${() => choice.setChoice({ runs: choice.chosen, isAll: !isAll })}>${isAll ? `Only the ${count(runs.length)} chosen` : `All ${count(total)} that fit`}</button>`}
    ${Object.entries(VERBS).map(([verb, { word, icon, fits, isDanger }]) => html`<button type="button" key=${verb} class="button ${isDanger ? "danger" : ""}" disabled=${isAll ? !fitting(verb) : !runs.some(fits)}
      onClick=${() => act(verb)}><${Icon} name=${icon} size=${14} />${word}</button>`)}
    <button type="button" class="bare" aria-label="Choose none" onClick=${choice.clear}><${Icon} name="close" /></button></div>`;
}

/** What has changed while the list was held. */
function News({ fresh, gone, show, isMore }) {
  if (!fresh && !gone) return null;
  const said = fresh ? `${count(fresh)}${isMore ? " or more" : ""} new ${fresh === 1 ? "run" : "runs"}` : `${plural(gone, "run")} no longer here`;
  return html`<div class="news-line"><button type="button" class="news" onClick=${show} title="The list stands still while you choose, walk or point. Key: .">${said} · show</button></div>`;
}

function askView() {
  show("Save this view", () => html`<form onSubmit=${(event) => {
    event.preventDefault();
    const name = event.target.elements.name.value.trim();
    saveView(name, href(["runs"]).split("?")[0] + location.search);
    close();
    say(`Saved as ${name}`);
  }}><p>The filter as it stands, under a name. It is kept in this browser; to share it, send the address.</p>
    <label>Name<input name="name" required maxlength="60" autofocus placeholder="Failed last night" /></label>
    <footer><button type="button" class="button" onClick=${close}>Not now</button><button class="button primary">Save</button></footer></form>`);
}

function Views() {
  const items = [
    ...views.value.map(({ name, address }) => ({ word: name, icon: "bookmark", run: () => go(address) })),
    { word: "Save this view…", icon: "plus", run: askView },
    ...views.value.map(({ name }) => ({ word: `Forget ${name}`, icon: "close", run: () => dropView(name) })),
  ];
  return html`<${Menu} label="Views" items=${items}><${Icon} name="bookmark" size=${14} />Views<//>`;
}
