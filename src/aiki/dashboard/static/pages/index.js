/*
 * All pages, in one table. The rule: the navigation, the palette, the keys and the router are made of it; the first part of
 * an address is a page's name, and the server hands the dashboard out for just these (`PAGES` in site.py).
 */

import { Run } from "./run/page.js";
import { Runs } from "./runs/page.js";

/**
 * `key`: after `g`. `one`: what shows a single thing, at `name/ID`. `icon` is also the name of its icon.
 */
export const PAGES = [{ name: "runs", title: "Runs", key: "r", page: Runs, one: Run }];

/** What the bare address shows. */
export const HOME = "runs";

/** The page of an address, with the id that it names; null if there is none. */
export function pageOf(parts) {
  const [name = HOME, id = null, ...rest] = parts;
  const page = PAGES.find((one) => one.name === name);
  if (!page || rest.length || (id !== null && !page.one)) return null;
  return { ...page, id };
}
