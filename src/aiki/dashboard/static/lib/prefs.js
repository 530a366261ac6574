/* What one reader likes, kept in this browser. The rule: everything works without it. */

import { signal } from "./html.js";

function kept(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    /* no storage, or no room: it lasts as long as the page */
  }
}

export const THEMES = ["system", "light", "dark"];
export const VIEWS_MAX = 50;

/** `system`, `light` or `dark`. */
export const theme = signal(document.documentElement.dataset.theme ?? "system");

/** Take a theme. */
export function setTheme(chosen) {
  theme.value = chosen;
  const root = document.documentElement;
  if (chosen === "system") delete root.dataset.theme;
  else root.dataset.theme = chosen;
  try {
    localStorage.setItem("aiki.theme", chosen);
  } catch {
    /* as above */
  }
}

/** Views that were saved: `[{name, address}]`. */
export const views = signal(kept("aiki.views", []).filter?.((view) => view.name && view.address) ?? []);

/** Save a view under a name; one of the same name is replaced. */
export function saveView(name, address) {
  views.value = [...views.value.filter((view) => view.name !== name), { name, address }].slice(-VIEWS_MAX);
  keep("aiki.views", views.value);
}

/** Forget a view. */
export function dropView(name) {
  views.value = views.value.filter((view) => view.name !== name);
  keep("aiki.views", views.value);
}

/** A setting that lasts: a signal, kept under its name. */
export function setting(name, otherwise) {
  const made = signal(kept(`aiki.${name}`, otherwise));
  made.subscribe((value) => keep(`aiki.${name}`, value));
  return made;
}
