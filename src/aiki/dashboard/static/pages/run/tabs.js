/* What a run holds beside its timeline: journal, data, messages, children, history. */

import { html, useMemo, useState } from "../../lib/html.js";
import { get, getAll } from "../../lib/api.js";
import { count, duration, exactTime, plural, wholeTime } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useResource } from "../../lib/resource.js";
import { href } from "../../lib/router.js";
import { moveWords, wordOf } from "../../lib/words.js";
import { Badge, Choice, Empty, Failed, Loading, Time, Took } from "../../parts/basics.js";
import { Failure } from "../../parts/failure.js";
import { inline, Json, text } from "../../parts/json.js";
import { Virtual } from "../../parts/virtual.js";
import { KINDS, labelOf, nameOf } from "./steps.js";

const LINE_PX = 30;
const WHOLE_ENTRIES = 50;
const CHILDREN_MAX = 200;

/** The journal: a line for each entry, or all of each. */
export function Journal({ run, journal, onChoose }) {
  const [mode, setMode] = useState("compact");
  const [from, setFrom] = useState(0);
  const { entries } = journal;
  if (journal.error) return html`<${Failed} error=${journal.error} />`;
  if (!entries.length) return journal.isLoading ? html`<${Loading} />` : html`<${Empty} title="The journal is empty"><p>What is delivered to the run's code is written here.</p><//>`;
  const line = (place) => html`<${Line} key=${entries[place].seq} entry=${entries[place]} onChoose=${onChoose} />`;
  return html`<div class="journal">
    <div class="bar-tools"><${Choice} label="How much" value=${mode} onPick=${setMode} options=${[["compact", "Compact"], ["whole", "In full"]]} />
      <span class="none">${plural(entries.length, "entry", "entries")}${journal.isLoading ? " so far…" : ""}</span>
      ${mode === "whole" && entries.length > WHOLE_ENTRIES && html`<${Pager} from=${from} most=${WHOLE_ENTRIES} total=${entries.length} onMove=${setFrom} />`}
      <button type="button" class="button small" onClick=${() => download(run, entries)}><${Icon} name="download" size=${13} />JSON</button></div>
    ${mode === "compact"
      ? html`<${Virtual} class="journal-lines panel" count=${entries.length} height=${LINE_PX} row=${line} label="Entries" />`
      : entries.slice(from, from + WHOLE_ENTRIES).map((entry) => html`<${Whole} key=${entry.seq} entry=${entry} />`)}
  </div>`;
}

function Pager({ from, most, total, onMove }) {
  return html`<span class="pager"><button type="button" class="bare" aria-label="Entries before" disabled=${from === 0} onClick=${() => onMove(Math.max(0, from - most))}><${Icon} name="back" size=${14} /></button>
    ${count(from + 1)} – ${count(Math.min(total, from + most))}
    <button type="button" class="bare" aria-label="Entries after" disabled=${from + most >= total} onClick=${() => onMove(from + most)}><${Icon} name="chevron" size=${14} /></button></span>`;
}

function kindOf(entry) {
  return entry.key.kind === "child_result" ? "child" : entry.key.kind;
}

function outcome(entry) {
  if (entry.error) return "failed";
  return entry.timed_out ? "awaiting_retry" : entry.key.kind === "cancel" ? "cancelled" : "completed";
}

function brief(entry) {
  if (entry.error) return `${entry.error.message}`;
  if (entry.timed_out) return "timed out";
  if (entry.status) return wordOf(entry.status);
  if (entry.child_id) return `started as ${entry.child_id}`;
  if (entry.woken) return "woken early";
  if (entry.duration_ms !== undefined) return `for ${duration(entry.duration_ms)}`;
  return entry.result === undefined ? entry.reason ?? "" : inline(entry.result);
}

function Line({ entry, onChoose }) {
  const kind = kindOf(entry);
  const label = entry.label || labelOf(entry.key.kind, entry.key.address);
  return html`<button type="button" role="listitem" class="journal-line is-${outcome(entry)}" onClick=${() => onChoose(String(entry.seq))}>
    <span class="journal-seq">${count(entry.seq)}</span><time>${exactTime(entry.at_ms)}</time>
    <${Icon} name=${KINDS[kind]?.[1]} size=${13} /><span class="journal-name">${nameOf(label) || kind}</span><span class="journal-brief">${brief(entry)}</span>
    <span class="number none">${entry.started_at_ms ? duration(entry.finished_at_ms - entry.started_at_ms) : ""}</span></button>`;
}

function Whole({ entry }) {
  const { key, result, error, seq, at_ms: at, label, ...rest } = entry;
  return html`<article class="journal-whole panel is-${outcome(entry)}"><header><span class="journal-seq">${count(seq)}</span><${Icon} name=${KINDS[kindOf(entry)]?.[1]} size=${14} />
      <code>${label || key.address || key.kind}</code><time title=${wholeTime(at)}>${exactTime(at)}</time></header>
    ${error && html`<${Failure} error=${error} />`}
    ${result !== undefined && html`<${Json} value=${result} label="the result" />`}
    <details><summary>As it is stored</summary><${Json} value=${{ key, ...rest }} label="the entry" /></details></article>`;
}

function download(run, entries) {
  const url = URL.createObjectURL(new Blob([text({ run, entries })], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: `${run.workflow}-${run.id}.json` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Input, output, error, published values. */
export function Data({ run, isConcerned }) {
  const values = useResource(`values ${run.id}`, (signal) => get(`v1/runs/${run.id}/values`, {}, { signal }), { concerns: isConcerned });
  return html`<div class="columns">
    <section><h2>Input</h2><div class="panel pad"><${Json} value=${run.input} label="the input" /></div></section>
    <section><h2>${run.error ? "Error" : "Output"}</h2>${run.error ? html`<${Failure} error=${run.error} />` : html`<div class="panel pad">${run.output === undefined
      ? html`<p class="none">There is none yet.</p>` : html`<${Json} value=${run.output} label="the output" />`}</div>`}</section>
    <section><h2>Published values</h2>${values.error ? html`<${Failed} error=${values.error} retry=${values.refresh} />` : !values.data ? html`<${Loading} lines=${2} />`
      : html`<div class="panel pad">${values.data.values?.length ? values.data.values.map(({ name, value }) => html`<div key=${name} class="published"><h3>${name}</h3><${Json} value=${value} label=${name} /></div>`)
        : html`<p class="none">What its code publishes with <code>run.set</code> is shown here.</p>`}</div>`}</section>
  </div>`;
}

/** Messages: what was sent to it, and what its code has not taken yet. */
export function Inbox({ run, isConcerned }) {
  const inbox = useResource(`inbox ${run.id}`, (signal) => getAll(`v1/runs/${run.id}/inbox`, "messages", { signal }), { concerns: isConcerned });
  if (inbox.error) return html`<${Failed} error=${inbox.error} retry=${inbox.refresh} />`;
  if (!inbox.data) return html`<${Loading} />`;
  const messages = inbox.data.messages ?? [];
  if (!messages.length) return html`<${Empty} title="Nothing was sent to it" icon="awaiting_event"><p>Events, results of children, cancellations and wake-ups arrive here.</p><//>`;
  return html`<div class="panel"><table class="plain stacked"><thead><tr><th>Message</th><th>Name</th><th>Arrived</th><th>Read</th><th>Carries</th></tr></thead><tbody>
    ${messages.map((one) => html`<tr key=${one.number}><td>${count(one.number)} <span class="none">${one.kind.replace("_", " ")}</span></td>
      <td data-label="Name">${one.kind === "child_result" ? html`<a href=${href(["runs", one.name])}>…${one.name.slice(-8)}</a>` : one.name}</td><td data-label="Arrived"><${Time} at=${one.at_ms} /></td>
      <td data-label="Read">${one.is_read ? "yes" : html`<span class="badge is-awaiting_event">unread</span>`}</td>
      <td class="plain-value">${one.payload !== undefined ? html`<${Json} value=${one.payload} label="what it carries" open=${0} />` : one.reason ?? (one.status ? wordOf(one.status) : "")}</td></tr>`)}
  </tbody></table></div>${inbox.data.next_after != null && html`<p class="none pad">There are more; the first ${count(messages.length)} are shown.</p>`}`;
}

/** Children, as a tree that opens level by level. */
export function Children({ run }) {
  return html`<div class="tree panel"><${Level} parent=${run.id} depth=${0} /></div>`;
}

function Level({ parent, depth }) {
  const children = useResource(`children ${parent}`, (signal) => get("v1/runs", { parent_id: parent, limit: CHILDREN_MAX }, { signal }), { concerns: (run) => run.parent_id === parent });
  if (children.error) return html`<${Failed} error=${children.error} retry=${children.refresh} />`;
  if (!children.data) return html`<${Loading} lines=${2} />`;
  const { runs, next_cursor: more } = children.data;
  if (!runs.length) return html`<p class="tree-none">${depth ? "It has no children." : "It has started no children."}</p>`;
  return html`<ul>${[...runs].reverse().map((child) => html`<${Branch} key=${child.id} run=${child} depth=${depth} />`)}</ul>
    ${more && html`<p class="tree-none"><a href=${href(["runs"], { parent })}>All of them, as a list</a></p>`}`;
}

function Branch({ run, depth }) {
  const [isOpen, setOpen] = useState(false);
  return html`<li><div class="tree-row"><button type="button" class="json-toggle" aria-expanded=${isOpen} aria-label=${isOpen ? "Hide its children" : "Show its children"} onClick=${() => setOpen(!isOpen)}>
      <${Icon} name="chevron" size=${12} /></button><${Badge} status=${run.status} /><a href=${href(["runs", run.id])}><b>${run.workflow}</b> <span class="version">${run.version}</span></a>
      <span class="none">${run.reference_id ?? `…${run.id.slice(-8)}`}</span><${Took} from=${run.started_at_ms} to=${run.finished_at_ms} /></div>
    ${isOpen && html`<${Level} parent=${run.id} depth=${depth + 1} />`}</li>`;
}

/** How it came to where it stands. */
export function History({ run, moves, error }) {
  const rows = useMemo(() => [...moves].reverse(), [moves]);
  if (error) return html`<${Failed} error=${error} />`;
  if (!rows.length) return html`<${Loading} lines=${3} />`;
  return html`<ol class="history panel">${rows.map((move, place) => html`<li key=${move.number ?? place}><${Badge} status=${move.new} /><span>${moveWords(move)}</span>
    <time title=${wholeTime(move.at_ms)}>${exactTime(move.at_ms)}</time><span class="number none">${place === 0 ? "" : `for ${duration(rows[place - 1].at_ms - move.at_ms)}`}</span></li>`)}</ol>`;
}
