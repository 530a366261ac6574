/* Schedules. The rule: the timing is in the server's words, beside the expression that was written. */

import { html } from "../../lib/html.js";
import { useActions } from "../../lib/actions.js";
import { get } from "../../lib/api.js";
import { count } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useResource } from "../../lib/resource.js";
import { ask, href, query } from "../../lib/router.js";
import { Badge, Empty, Failed, Loading, Menu, Time } from "../../parts/basics.js";
import { Json } from "../../parts/json.js";
import { actionsOf } from "./actions.js";
import { askSchedule } from "./create.js";

const EVERY_MS = 2_500;
const LIMIT = 100;
const BADGES = { active: ["is-completed", "completed"], paused: ["is-paused", "paused"], disabled: ["is-failed", "failed"] };
const OVERLAPS = { allow: "starts another", skip: "skips the tick", cancel_previous: "cancels it first" };
const CATCH_UPS = { latest: "the latest is made good", all: "all are made good", none: "none is made good" };

export function Schedules() {
  const cursor = query.value.get("cursor") ?? "";
  const list = useResource(`schedules ${cursor} ${query.value.get("ns")}`, (signal) => get("v1/schedules", { cursor, limit: LIMIT }, { signal }), { every: EVERY_MS });
  const create = () => askSchedule(list.refresh);
  useActions([{ word: "New schedule", icon: "plus", run: create }], []);
  return html`<header class="head"><h1>Schedules</h1><button type="button" class="button primary" onClick=${create}><${Icon} name="plus" size=${14} />New schedule</button></header>${body(list, cursor)}`;
}

function body(list, cursor) {
  if (!list.data) return list.error ? html`<${Failed} error=${list.error} retry=${list.refresh} />` : html`<${Loading} />`;
  const { schedules = [], next_cursor: next } = list.data;
  if (!schedules.length) return html`<${Empty} title="No schedules" icon="schedules"><p>A schedule starts a run at times or at intervals. Make one here, or in your code with <code>client.schedules</code>.</p><//>`;
  return html`<div class="panel"><table class="plain stacked schedules"><thead><tr><th>Schedule</th><th>When</th><th>Starts</th><th>Next</th><th class="cell-number">Started</th><th class="cell-number">Skipped</th><th></th></tr></thead>
    <tbody>${schedules.map((one) => html`<tr key=${one.name}><td><a class="run-link" href=${href(["schedules", one.name])}><b>${one.name}</b></a> <${Standing} status=${one.status} /></td>
      <td data-label="When">${one.when}</td><td data-label="Starts"><${Starts} definition=${one.definition} /></td><td data-label="Next"><${Time} at=${one.next_ms?.[0]} ago /></td>
      <td data-label="Started" class="cell-number">${count(one.fired ?? 0)}</td><td data-label="Skipped" class="cell-number">${count(one.skipped ?? 0)}</td>
      <td class="cell-number"><${Menu} label=${`What can be done to ${one.name}`} icon="more" items=${actionsOf(one, list.refresh)} /></td></tr>`)}</tbody></table></div>
    ${(next || cursor) && html`<div class="paging"><span></span>${cursor && html`<button type="button" class="button" onClick=${() => ask({ cursor: null })}>The first</button>`}
      ${next && html`<button type="button" class="button" onClick=${() => ask({ cursor: next }, { replace: false })}>More</button>`}</div>`}`;
}

function Standing({ status }) {
  const [kind, icon] = BADGES[status] ?? BADGES.active;
  return html`<span class="badge ${kind}"><${Icon} name=${icon} size=${13} />${status}</span>`;
}

function Starts({ definition }) {
  return html`<a href=${href(["workflows"], { name: definition.workflow })}>${definition.workflow} <span class="version">${definition.version}</span></a>`;
}

export function Schedule({ id: name }) {
  const found = useResource(`schedule ${name} ${query.value.get("ns")}`, (signal) => get(`v1/schedules/${encodeURIComponent(name)}`, {}, { signal }), { every: EVERY_MS });
  const actions = found.data ? actionsOf(found.data, found.refresh) : [];
  useActions(actions.map((action) => ({ ...action, word: `${action.word}: this schedule` })), [name, found.data?.status]);
  if (!found.data) return found.error ? html`<${Failed} error=${found.error} retry=${found.refresh} />` : html`<${Loading} />`;
  const { status, when, definition, next_ms: next = [], last = [], error } = found.data;
  const { timing } = definition;
  return html`<div class="crumbs"><a href=${href(["schedules"])}>Schedules</a></div>
    <header class="run-title"><h1>${name}</h1><${Standing} status=${status} /><div class="actions">${actions.map((action) => html`<button type="button" key=${action.word} class="button ${action.isDanger ? "danger" : ""}" onClick=${action.run}><${Icon} name=${action.icon} size=${14} />${action.word}</button>`)}</div></header>
    <p class="run-why ${(BADGES[status] ?? BADGES.active)[0]}">${error ?? when}</p>
    <div class="columns">
      <section><h2>Next <span class="optional">on the clock of this browser</span></h2>${next.length ? html`<ol class="panel ticks">${next.map((at) => html`<li key=${at}><${Time} at=${at} /><span class="none"><${Time} at=${at} ago /></span></li>`)}</ol>` : html`<p class="panel pad none">None${status === "paused" && " while it is paused"}.</p>`}</section>
      <section><h2>Last</h2>${last.length ? html`<ol class="panel ticks">${last.map((tick) => html`<li key=${tick.run_id}><a href=${href(["runs", tick.run_id])}><${Time} at=${tick.at_ms} /></a><${Badge} status=${tick.status} /></li>`)}</ol>
        <p><a href=${href(["runs"], { schedule: name })}>All of its runs</a></p>` : html`<p class="panel pad none">It has started nothing yet.</p>`}</section>
      <section><h2>Definition</h2><dl class="panel pad facts"><dt>Expression</dt><dd><code>${timing.cron ?? `every ${timing.every_ms} ms`}</code>${timing.cron && ` on the clock of ${timing.timezone ?? "UTC"}`}</dd>
        <dt>Starts</dt><dd><${Starts} definition=${definition} /></dd><dt>While one is open</dt><dd>${OVERLAPS[definition.overlap ?? "allow"]}</dd>
        <dt>Missed ticks</dt><dd>${CATCH_UPS[definition.catch_up ?? "latest"]}</dd><dt>Started, skipped</dt><dd>${count(found.data.fired ?? 0)}, ${count(found.data.skipped ?? 0)}</dd></dl></section>
      <section><h2>Input</h2><div class="panel pad"><${Json} value=${definition.input ?? {}} label="the input" /></div></section>
    </div>`;
}
