/* What narrows the list: statuses with their counts, and a row of fields. */

import { classes, html, useEffect, useRef, useState } from "../../lib/html.js";
import { count, shortCount } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { go, href } from "../../lib/router.js";
import { STATUSES, TERMINAL, wordOf } from "../../lib/words.js";
import { BY, filter, narrow, OPEN, SINCE } from "./filter.js";

const TYPED_AFTER_MS = 250;
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Statuses: each takes its runs in or out of the list. */
export function Chips({ counts }) {
  const { status, by, since, from, to } = filter();
  const isOfEnded = by === "finished" && Boolean(since || from || to); // what has not ended fits no time of an end: a 0 there says nothing of how many are open
  const of = counts?.by_status ?? {};
  const toggle = (one) => narrow({ status: status.includes(one) ? status.filter((other) => other !== one) : [...status, one] });
  const isOpen = status.length === OPEN.length && OPEN.every((one) => status.includes(one));
  const open = OPEN.reduce((sum, one) => sum + (of[one] ?? 0), 0);
  const shown = (number) => html`<span class="chip-count" title=${counts ? count(number) : null}>${counts ? shortCount(number) : " "}</span>`;
  return html`<div class="chips" role="group" aria-label="Statuses">
    <button type="button" class="chip" aria-pressed=${!status.length} onClick=${() => narrow({ status: null })}>All${shown(counts?.total ?? 0)}</button>
    <button type="button" class="chip" aria-pressed=${isOpen} onClick=${() => narrow({ status: isOpen ? null : OPEN })} title="All that have not ended">Open${!isOfEnded && shown(open)}</button>
    <i class="chips-line"></i>
    ${STATUSES.map((one) => html`<button type="button" key=${one} class=${classes("chip", `is-${one}`, counts && !of[one] && "is-none")} aria-pressed=${!isOpen && status.includes(one)}
      onClick=${() => (isOpen ? narrow({ status: [one] }) : toggle(one))}><${Icon} name=${one} size=${13} />${wordOf(one)}${(!isOfEnded || TERMINAL.has(one)) && shown(of[one] ?? 0)}</button>`)}
  </div>`;
}

/** Search, workflow, version, tag, time. `known` are the versions that the server knows of. */
export function Fields({ known }) {
  const given = filter();
  const names = [...new Set([...known.map((one) => one.workflow), given.workflow])].filter(Boolean).sort();
  const versions = [...new Set([...known.filter((one) => one.workflow === given.workflow).map((one) => one.version), given.version])].filter(Boolean);
  return html`<div class="fields">
    <${Search} value=${given.q} />
    <select aria-label="Workflow" value=${given.workflow} onChange=${(event) => narrow({ workflow: event.target.value, version: null })}>
      <option value="">Any workflow</option>${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select>
    <select aria-label="Version" value=${given.version} disabled=${!given.workflow} onChange=${(event) => narrow({ version: event.target.value })}>
      <option value="">Any version</option>${versions.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
    </select>
    <${Window} given=${given} />
    <${Tags} tags=${given.tag} />
    ${given.parent && html`<span class="tag" title=${given.parent}>children of ${given.parent.slice(-8)} <button type="button" class="tag-drop" aria-label="Not only children" onClick=${() => narrow({ parent: null })}>×</button></span>`}
    ${given.schedule && html`<span class="tag">of schedule ${given.schedule} <button type="button" class="tag-drop" aria-label="Not only of this schedule" onClick=${() => narrow({ schedule: null })}>×</button></span>`}
  </div>`;
}

function Search({ value }) {
  const [text, setText] = useState(value);
  const timer = useRef(null);
  useEffect(() => {
    if (timer.current === null) setText(value);
  }, [value]);
  const take = (wanted) => {
    clearTimeout(timer.current);
    timer.current = null;
    if (ID.test(wanted)) go(href(["runs", wanted]));
    else narrow({ q: wanted });
  };
  const onInput = (event) => {
    const wanted = event.target.value.trim();
    setText(event.target.value);
    clearTimeout(timer.current);
    timer.current = setTimeout(take, TYPED_AFTER_MS, wanted);
  };
  const onKey = (event) => {
    if (event.key === "Enter") take(event.target.value.trim());
    else if (event.key === "Escape") event.target.blur();
  };
  return html`<div class="search"><${Icon} name="search" size=${14} />
    <input id="runs-search" type="search" value=${text} onInput=${onInput} onKeyDown=${onKey} placeholder="Begins with: reference or run id" aria-label="Search by the beginning of a reference or run id"
      title="The beginning of a reference or of a run's id. Key: /" spellcheck=${false} autocomplete="off" /></div>`;
}

function Window({ given }) {
  const value = given.since || (given.from || given.to ? "custom" : "");
  const [isCustom, setCustom] = useState(value === "custom");
  const pick = (event) => {
    const chosen = event.target.value;
    setCustom(chosen === "custom");
    if (chosen !== "custom") narrow({ since: chosen, from: null, to: null, ...(chosen ? {} : { by: null }) });
  };
  return html`<select aria-label="Time" value=${isCustom ? "custom" : value} onChange=${pick}>
      <option value="">Any time</option>${Object.entries(SINCE).map(([name, [word]]) => html`<option key=${name} value=${name}>${word}</option>`)}
      <option value="custom">From … to …</option></select>
    ${(value || isCustom) && html`<select class="field-by" aria-label="Which time" value=${given.by} onChange=${(event) => narrow({ by: event.target.value === "created" ? null : event.target.value })}>
      ${Object.entries(BY).map(([name, word]) => html`<option key=${name} value=${name}>${word}</option>`)}</select>`}
    ${isCustom && html`<label class="field-time">From <input type="datetime-local" step="any" value=${given.from} onChange=${(event) => narrow({ since: null, from: event.target.value })} /></label>
      <label class="field-time">to <input type="datetime-local" step="any" value=${given.to} onChange=${(event) => narrow({ since: null, to: event.target.value })} /></label>`}`;
}

function Tags({ tags }) {
  const onKey = (event) => {
    const written = event.target.value.trim();
    if (event.key !== "Enter" || !written) return;
    const [, name, value] = written.match(/^([^:=]+)[:=](.+)$/s) ?? [];
    if (name === undefined) {
      event.target.setCustomValidity(`A tag has a name and a value: write ${written.replace(/[:=]+$/, "")}:value`);
      event.target.reportValidity();
      return;
    }
    event.target.value = "";
    narrow({ tag: [...new Set([...tags, `${name.trim()}:${value.trim()}`])] });
  };
  return html`<input class="field-tag" aria-label="Tag" placeholder="tag:value ⏎" title="A tag and its value, then Enter" onKeyDown=${onKey} onInput=${(event) => event.target.setCustomValidity("")} spellcheck=${false} autocomplete="off" />
    ${tags.map((tag) => html`<span class="tag" key=${tag}>${tag} <button type="button" class="tag-drop" aria-label=${`Not only ${tag}`} onClick=${() => narrow({ tag: tags.filter((one) => one !== tag) })}>×</button></span>`)}`;
}
