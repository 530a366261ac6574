/* Which runs are meant. The rule: the address says it all, and this is the one place that reads it. */

import { time } from "../../lib/format.js";
import { ask, href, query } from "../../lib/router.js";
import { STATUSES, TERMINAL, wordOf } from "../../lib/words.js";

const MINUTE = 60_000;

/** Windows of time, by what the address calls them. */
export const SINCE = {
  "15m": ["Last 15 minutes", 15 * MINUTE],
  "1h": ["Last hour", 60 * MINUTE],
  "24h": ["Last 24 hours", 24 * 60 * MINUTE],
  "7d": ["Last 7 days", 7 * 24 * 60 * MINUTE],
  "30d": ["Last 30 days", 30 * 24 * 60 * MINUTE],
};

/** Which of a run's times a window is about. */
export const BY = { created: "created", started: "begun", finished: "ended" };

export const OPEN = STATUSES.filter((status) => !TERMINAL.has(status));
export const LIMITS = [50, 100, 200, 500];

/** The filter that the address holds. */
export function filter() {
  const asked = query.value;
  const limit = Number(asked.get("limit"));
  return {
    status: asked.getAll("status").filter((one) => STATUSES.includes(one)),
    workflow: asked.get("workflow") ?? "",
    version: asked.get("version") ?? "",
    tag: asked.getAll("tag").filter((one) => one.includes(":")),
    parent: asked.get("parent") ?? "",
    schedule: asked.get("schedule") ?? "",
    since: Object.hasOwn(SINCE, asked.get("since") ?? "") ? asked.get("since") : "",
    by: Object.hasOwn(BY, asked.get("by") ?? "") ? asked.get("by") : "created",
    from: asked.get("from") ?? "",
    to: asked.get("to") ?? "",
    q: asked.get("q") ?? "",
    cursor: asked.get("cursor") ?? "",
    sort: asked.get("sort") ?? "",
    limit: LIMITS.includes(limit) ? limit : LIMITS[0],
  };
}

/** The filter as the API takes it: without status for counts, without its page for jobs. */
export function asked(given, { nowMs = Date.now(), isForCounts = false } = {}) {
  const window = SINCE[given.since]?.[1];
  return {
    ...(isForCounts ? {} : { status: given.status }),
    workflow: given.workflow,
    version: given.version,
    tag: given.tag,
    parent_id: given.parent,
    schedule: given.schedule,
    search: given.q,
    [`${given.by}_after_ms`]: window ? nowMs - window : at(given.from),
    [`${given.by}_before_ms`]: at(given.to),
  };
}

function at(local) {
  const ms = Date.parse(local);
  return Number.isFinite(ms) ? ms : null;
}

/** Change the filter; a page of the old one would be of no use. */
export function narrow(changes) {
  ask({ cursor: null, ...changes });
}

/** The address of the list narrowed by one tag more. */
export function withTag(tag) {
  const kept = Object.fromEntries([...query.value.keys()].filter((name) => name !== "ns" && name !== "cursor").map((name) => [name, query.value.getAll(name)]));
  return href(["runs"], { ...kept, tag: [...new Set([...filter().tag, tag])] });
}

/** Whether anything is narrowed. */
export function isNarrowed(given) {
  return Boolean(given.status.length || given.workflow || given.version || given.tag.length || given.parent || given.schedule
    || given.since || given.from || given.to || given.q);
}

/** What takes all of the filter away but the search. */
export const WIDE = { status: null, workflow: null, version: null, tag: null, parent: null, schedule: null, since: null, by: null, from: null, to: null };

/** Widen it to all runs. */
export function widen() {
  narrow({ ...WIDE, q: null });
}

/** A filter, as the API has it, in words. */
export function filterWords(given) {
  return Object.entries(given)
    .filter(([name, value]) => !["namespace", "limit", "cursor"].includes(name) && value !== undefined && value !== null && value !== "" && value.length !== 0)
    .flatMap(([name, value]) => {
      if (name.endsWith("_ms")) return [`${name.slice(0, -3).replaceAll("_", " ")} ${time(value)}`];
      if (name === "tags") return Object.entries(value).map(([tag, one]) => `${tag}:${one}`);
      if (name === "tag") return value;
      if (name === "search") return [`begins with ${value}`];
      return [`${name.replaceAll("_", " ")} ${[value].flat().map(wordOf).join(" or ")}`];
    });
}

/** What the address of the list asks for, for a filter as the API has it; null where no address says it. */
export function queryOf(given) {
  const moments = Object.keys(given).filter((name) => name.endsWith("_ms") && given[name] !== null);
  const [by, other] = new Set(moments.map((name) => name.split("_")[0]));
  if (other) return null;
  return {
    status: given.status,
    workflow: given.workflow,
    version: given.version,
    tag: Object.entries(given.tags ?? {}).map(([name, value]) => `${name}:${value}`),
    parent: given.parent_id,
    schedule: given.schedule,
    q: given.search ?? given.reference_id,
    by: by === "created" ? null : by,
    from: local(given[`${by}_after_ms`]),
    to: local(given[`${by}_before_ms`]),
  };
}

/** A moment as a field has it, in this place's time. */
function local(ms) {
  return ms ? new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 23) : null;
}
