/* The small parts of every page. The rule: a colour never says alone what a word does not say beside it. */

import { classes, html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { now } from "../lib/live.js";
import { aheadMs, useKey } from "../lib/api.js";
import { duration, relative, time, wholeTime } from "../lib/format.js";
import { Icon } from "../lib/icons.js";
import { wordOf } from "../lib/words.js";
import { say } from "./toasts.js";

const COPIED_MS = 1_400;

/** The server's time, ticking: for what counts down. */
export function serverNow() {
  return now.value + aheadMs.value;
}

/** A status: icon and word. */
export function Badge({ status, large = false }) {
  return html`<span class=${classes("badge", `is-${status}`, large && "large")}><${Icon} name=${status} size=${large ? 15 : 13} />${wordOf(status)}</span>`;
}

/** A moment; `ago` says how far away it is. */
export function Time({ at, ago = false }) {
  if (!at) return html`<span class="none">–</span>`;
  const nowMs = serverNow();
  return html`<time datetime=${new Date(at).toISOString()} title=${wholeTime(at)}>${ago ? relative(at, nowMs) : time(at, nowMs)}</time>`;
}

/** How long something took, or has taken so far. */
export function Took({ from, to = null }) {
  if (!from) return html`<span class="none">–</span>`;
  return html`<span class="number">${duration((to ?? serverNow()) - from)}</span>`;
}

/** A button that copies a text. */
export function Copy({ text, what = "it", children }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      say(`The browser does not let pages copy here. ${what}: ${text}`, { kind: "failed" });
      return;
    }
    setDone(true);
    setTimeout(() => setDone(false), COPIED_MS);
  };
  return html`<button type="button" class="copy" onClick=${copy} title=${`Copy ${what}`} aria-label=${`Copy ${what}`}>
    ${children}<${Icon} name=${isDone ? "completed" : "copy"} size=${13} /></button>`;
}

/** Something that went wrong, in place of what it was to be. */
export function Failed({ error, retry }) {
  return html`<div class="state" role="alert">
    <${Icon} name="stalled" size=${22} />
    <h2>${error.title || "Something went wrong"}</h2>
    <p>${error.message}</p>
    ${retry && html`<button type="button" class="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** That what is on the page may be old: above all of it. */
export function Stale({ error }) {
  return error && html`<p class="stale" role="status"><${Icon} name="stalled" size=${15} /><span><b>What is shown may be old.</b> ${error.message}</span></p>`;
}

/** Nothing, and what to do about it. */
export function Empty({ title, icon = "runs", children }) {
  return html`<div class="state"><${Icon} name=${icon} size=${22} /><h2>${title}</h2>${children}</div>`;
}

/** The shape of what is on its way: as many grey lines as there will be about. */
export function Loading({ lines = 6 }) {
  return html`<div class="loading" role="status" aria-label="Loading">${Array.from({ length: lines }, () => html`<i></i>`)}</div>`;
}

/** Buttons of which one is pressed. */
export function Choice({ label, options, value, onPick }) {
  return html`<div class="choice" role="group" aria-label=${label}>
    ${options.map(([name, word]) => html`<button type="button" aria-pressed=${name === value} onClick=${() => onPick(name)}>${word}</button>`)}
  </div>`;
}

/** A button with a list under it. `items`: `[{word, icon, run, isDanger, isOff, why}]`. */
export function Menu({ label, icon = "down", items, class: more = "", children }) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef(null);
  // Before the next key: whoever types on means what has just opened.
  useLayoutEffect(() => {
    if (!isOpen) return undefined;
    root.current.querySelector("[role=menuitem]:not([disabled])")?.focus();
    const away = (event) => root.current?.contains(event.target) || setOpen(false);
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [isOpen]);
  const onKey = (event) => {
    const all = [...root.current.querySelectorAll("[role=menuitem]:not([disabled])")];
    const at = all.indexOf(document.activeElement);
    if (event.key === "Escape") {
      setOpen(false);
      root.current.querySelector("button").focus();
    } else if (event.key === "ArrowDown") all[(at + 1) % all.length]?.focus();
    else if (event.key === "ArrowUp") all[(at - 1 + all.length) % all.length]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class=${classes("menu", more)} ref=${root} onKeyDown=${isOpen ? onKey : null}>
    <button type="button" class="button" aria-haspopup="menu" aria-expanded=${isOpen} aria-label=${label} onClick=${() => setOpen(!isOpen)}>
      ${children}<${Icon} name=${icon} size=${14} /></button>
    ${isOpen && html`<div class="menu-list" role="menu">${items.map((item) => html`<button type="button" role="menuitem" key=${item.word}
      class=${classes(item.isDanger && "danger")} disabled=${item.isOff} title=${item.why}
      onClick=${() => { setOpen(false); root.current.querySelector("button").focus(); item.run(); }}>${item.icon && html`<${Icon} name=${item.icon} size=${14} />`}${item.word}</button>`)}</div>`}
  </div>`;
}

/** How much of something there is, as a bar. */
export function Meter({ value, of, label }) {
  const part = Math.max(0, Math.min(1, value / of));
  return html`<div class="meter" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax=${of} aria-valuenow=${value}><i style=${{ width: `${100 * part}%` }}></i></div>`;
}

/** Asks for an API key, where the server does. */
export function KeyForm() {
  const field = useRef(null);
  const submit = (event) => {
    event.preventDefault();
    useKey(field.current.value.trim());
  };
  return html`<form class="state key-form" onSubmit=${submit}>
    <${Icon} name="keys" size=${22} />
    <h2>This server asks for an API key</h2>
    <p>It is kept for as long as this tab is open, and sent to this server only.</p>
    <label>API key<input ref=${field} type="password" autocomplete="off" spellcheck=${false} placeholder="aiki_…" required autofocus /></label>
    <button class="button primary">Go on</button>
  </form>`;
}
