/*
 * Values as people read them. The rule: everything is text to the browser, however it looks, and no value is so large that
 * the page stands still.
 */

import { html, useState } from "../lib/html.js";
import { count, plural } from "../lib/format.js";
import { Icon } from "../lib/icons.js";
import { Copy } from "./basics.js";

const ITEMS_FIRST = 100;
const TEXT_FIRST = 2_000;
const OPEN_DEPTH = 3;
const OPEN_ITEMS = 12;

/** A value, as a tree that opens and closes. */
export function Json({ value, label = "value", open = OPEN_DEPTH }) {
  if (value === undefined) return html`<p class="none">Nothing.</p>`;
  return html`<div class="json" role="group" aria-label=${label}>
    <${Copy} text=${text(value)} what=${label} />
    <${Node} value=${value} depth=${0} open=${open} />
  </div>`;
}

/** A value in one line, cut short. */
export function inline(value, most = 120) {
  if (value === undefined) return "";
  const said = JSON.stringify(value);
  return said.length > most ? `${said.slice(0, most)}…` : said;
}

/** A value as a text over several lines. */
export function text(value) {
  return value === undefined ? "" : JSON.stringify(value, null, 2);
}

function Node({ name, value, depth, open, last = true }) {
  const key = name === undefined ? "" : html`<span class="json-key">${typeof name === "number" ? name : JSON.stringify(name)}</span>: `;
  const comma = last ? "" : ",";
  if (value === null || typeof value !== "object" || JSON.isRawJSON?.(value)) {
    return html`<div class="json-line">${key}<${Scalar} value=${value} />${comma}</div>`;
  }
  return html`<${Container} ...${{ label: key, value, depth, open, comma }} />`;
}

function Scalar({ value }) {
  const [isWhole, setWhole] = useState(false);
  if (typeof value !== "string") return html`<span class="json-${value === null ? "null" : typeof value}">${JSON.stringify(value)}</span>`;
  const isCut = value.length > TEXT_FIRST && !isWhole;
  const shown = JSON.stringify(isCut ? value.slice(0, TEXT_FIRST) : value);
  return html`<span class="json-string">${shown}</span>${isCut && html` <button type="button" class="link" onClick=${() => setWhole(true)}>
    all ${count(value.length)} characters</button>`}`;
}

function Container({ label, value, depth, open, comma }) {
  const isList = Array.isArray(value);
  const entries = isList ? value.map((one, place) => [place, one]) : Object.entries(value);
  const [isOpen, setOpen] = useState(depth < open && (depth === 0 || entries.length <= OPEN_ITEMS));
  const [shown, setShown] = useState(ITEMS_FIRST);
  const [left, right] = isList ? ["[", "]"] : ["{", "}"];
  if (!entries.length) return html`<div class="json-line">${label}${left}${right}${comma}</div>`;
  const toggle = html`<button type="button" class="json-toggle" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}
    aria-label=${isOpen ? "Close" : "Open"}><${Icon} name="chevron" size=${11} /></button>`;
  if (!isOpen) {
    return html`<div class="json-line">${toggle}${label}${left}<button type="button" class="json-more" onClick=${() => setOpen(true)}>
      ${plural(entries.length, isList ? "item" : "field")}</button>${right}${comma}</div>`;
  }
  return html`<div class="json-line">${toggle}${label}${left}</div>
    <div class="json-inner">${entries.slice(0, shown).map(([name, one], place) => html`<${Node} key=${name} name=${isList ? undefined : name} value=${one}
      depth=${depth + 1} open=${open} last=${place === entries.length - 1} />`)}
      ${entries.length > shown && html`<div class="json-line"><button type="button" class="link" onClick=${() => setShown(shown + 10 * ITEMS_FIRST)}>
        ${count(entries.length - shown)} more</button></div>`}</div>
    <div class="json-line">${right}${comma}</div>`;
}
