/* Short news about what the reader did. The rule: bad news stays until it is read. */

import { html, signal } from "../lib/html.js";
import { Icon } from "../lib/icons.js";

const SHOWN_MS = 5_000;
const TOASTS_MAX = 4;

const toasts = signal([]);
let number = 0;

/** Tell something. */
export function say(text, { kind = "completed" } = {}) {
  const toast = { number: ++number, text, kind };
  toasts.value = [...toasts.value, toast].slice(-TOASTS_MAX);
  if (kind !== "failed") setTimeout(() => drop(toast), SHOWN_MS);
}

/** Do something that may be refused, and tell how it went; returns whether it went well. */
export async function attempt(doing, done) {
  try {
    const answer = await doing();
    const text = typeof done === "function" ? done(answer) : done;
    if (text) say(text);
    return true;
  } catch (error) {
    say(error.message, { kind: "failed" });
    return false;
  }
}

function drop(toast) {
  toasts.value = toasts.value.filter((one) => one !== toast);
}

export function Toasts() {
  return html`<div class="toasts" aria-live="polite">${toasts.value.map((toast) => html`<div key=${toast.number} class="toast is-${toast.kind}">
    <${Icon} name=${toast.kind} size=${15} /><span>${toast.text}</span>
    <button type="button" class="bare" aria-label="Close" onClick=${() => drop(toast)}><${Icon} name="close" size=${13} /></button></div>`)}</div>`;
}
