/*
 * Keys. The rule: a page says what its keys do while it is there, and `?` shows just that; nothing is taken from whoever
 * types into a field, or from the browser.
 */

import { signal, useEffect } from "./html.js";

const CHORD_MS = 1_200;
const TYPED_INTO = "input:not([type=checkbox]), textarea, select, [contenteditable]";

/** Groups of keys that work now: `[{title, keys: [{press, does, run}]}]`; later ones win. */
export const groups = signal([]);

let chord = "";
let chordTimer = null;

/** Have keys work while a component is there. `press` is `j`, `g r`, `Escape`, `mod+k`. */
export function useKeys(title, keys, deps = []) {
  useEffect(() => {
    const group = { title, keys };
    groups.value = [...groups.value, group];
    return () => (groups.value = groups.value.filter((one) => one !== group));
  }, deps);
}

/** Begin to listen. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const isMod = event.ctrlKey || event.metaKey;
    const isTyping = /** @type {Element} */ (event.target).closest?.(TYPED_INTO);
    const isOver = document.querySelector("dialog[open]");
    const pressed = isMod ? `mod+${event.key.toLowerCase()}` : event.key;
    if (event.altKey || (!isMod && (isTyping || isOver))) return;
    const long = chord ? `${chord} ${pressed}` : pressed;
    const found = find(long) ?? find(pressed);
    clearTimeout(chordTimer);
    chord = "";
    if (found) {
      if (isOver && pressed !== "mod+k") return;
      event.preventDefault();
      found.run(event);
    } else if (begins(pressed)) {
      chord = pressed;
      chordTimer = setTimeout(() => (chord = ""), CHORD_MS);
    }
  });
}

function find(press) {
  for (const group of [...groups.value].reverse()) {
    const found = group.keys.find((one) => one.press === press);
    if (found) return found;
  }
  return null;
}

function begins(press) {
  return groups.value.some((group) => group.keys.some((one) => one.press.startsWith(`${press} `)));
}
