/*
 * Where the reader is. The rule: all that a page shows follows from the address, so that it can be sent to somebody else;
 * and every address is relative to the base at which the dashboard is mounted.
 */

import { batch, computed, signal } from "./html.js";

/** The base of all addresses: where the dashboard is mounted. */
export const BASE = new URL(document.baseURI);

const place = signal(here());

function here() {
  const path = decodeURI(location.pathname.slice(BASE.pathname.length)).replace(/\/+$/, "");
  return { path, query: new URLSearchParams(location.search) };
}

/** The path below the base, as parts: `["runs", "0190..."]`. */
export const parts = computed(() => place.value.path.split("/").filter(Boolean).map(decodeURIComponent));

/** What the address asks for. */
export const query = computed(() => place.value.query);

/** The address of a page: `href(["runs", id], {tab: "journal"})`. The namespace goes along. */
export function href(path, asked = {}) {
  const search = new URLSearchParams();
  const namespace = query.value.get("ns");
  if (namespace) search.set("ns", namespace);
  for (const [name, value] of Object.entries(asked)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") search.append(name, one);
    }
  }
  const text = search.toString();
  return path.map(encodeURIComponent).join("/") + (text ? `?${text}` : "") || "./";
}

/** Go to an address. */
export function go(address, { replace = false } = {}) {
  const url = new URL(address, BASE);
  if (url.href !== location.href) {
    history[replace ? "replaceState" : "pushState"](null, "", url);
    batch(() => (place.value = here()));
  }
}

/** Change what the address asks for: null takes a name out, a list gives it more than once. */
export function ask(changes, { replace = true } = {}) {
  const search = new URLSearchParams(place.value.query);
  for (const [name, value] of Object.entries(changes)) {
    search.delete(name);
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") search.append(name, one);
    }
  }
  const text = search.toString();
  go(location.pathname + (text ? `?${text}` : ""), { replace });
}

/** Answer clicks on links of our own without loading the page anew. */
export function listen() {
  addEventListener("popstate", () => (place.value = here()));
  document.addEventListener("click", (event) => {
    const link = /** @type {HTMLAnchorElement | null | undefined} */ (/** @type {Element} */ (event.target).closest?.("a[href]"));
    const isPlain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    const url = new URL(link.href);
    if (url.origin !== BASE.origin || !url.pathname.startsWith(BASE.pathname)) return;
    event.preventDefault();
    go(url);
    scrollTo(0, 0);
  });
}
