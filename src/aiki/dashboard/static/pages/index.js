/*
 * All pages, in one table. The rule: the navigation, the palette, the keys and the router are made of it; the first part of
 * an address is a page's name, and the server hands the dashboard out for just these (`PAGES` in site.py).
 */

import { Jobs } from "./jobs/page.js";
import { Overview } from "./overview/page.js";
import { Run } from "./run/page.js";
import { Runs } from "./runs/page.js";
import { Schedule, Schedules } from "./schedules/page.js";
import { Workers } from "./workers/page.js";
import { Workflows } from "./workflows/page.js";

/**
 * `key`: after `g`. `one`: what shows a single thing, at `name/ID`. `icon` is also the name of its icon.
 */
export const PAGES = [
  { name: "overview", title: "Overview", key: "o", page: Overview },
  { name: "runs", title: "Runs", key: "r", page: Runs, one: Run },
  { name: "workflows", title: "Workflows", key: "f", page: Workflows },
  { name: "schedules", title: "Schedules", key: "s", page: Schedules, one: Schedule },
  { name: "workers", title: "Workers", key: "w", page: Workers },
  { name: "jobs", title: "Bulk jobs", key: "b", page: Jobs },
];

/** What the bare address shows. */
export const HOME = "overview";

/** The page of an address, with the id that it names; null if there is none. */
export function pageOf(parts) {
  const [name = HOME, id = null, ...rest] = parts;
  const page = PAGES.find((one) => one.name === name);
  if (!page || rest.length || (id !== null && !page.one)) return null;
  return { ...page, id };
}
