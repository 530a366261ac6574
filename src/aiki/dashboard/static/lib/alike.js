/*
 * References of which somebody typed the end. The rule: the server finds beginnings, which an index has in order, however many
 * runs there are; so what finds nothing is tried behind the beginnings that the newest references have, and nowhere else.
 */

import { get } from "./api.js";

const LOOKED_AT = 200;
const BEGINNINGS_MAX = 4;
const FOUND_MAX = 8;

/**
 * Find runs whose reference has `text` behind the words that references begin with: `order-4711` for `4711`; for what begins with a digit.
 *
 * @param {string} text
 * @param {AbortSignal} until
 */
export async function alike(text, until) {
  if (!/^\d/.test(text)) return [];
  const newest = await get("v1/runs", { limit: LOOKED_AT }, { signal: until });
  const times = new Map();
  for (const { reference_id: reference } of newest.runs) {
    const [beginning] = reference?.match(/^\D+(?=\d)/) ?? [];
    if (beginning) times.set(beginning, (times.get(beginning) ?? 0) + 1);
  }
  const beginnings = [...times.keys()].sort((one, other) => times.get(other) - times.get(one)).slice(0, BEGINNINGS_MAX);
  const pages = await Promise.all(beginnings.map((beginning) => get("v1/runs", { search: beginning + text, limit: FOUND_MAX }, { signal: until })));
  return pages.flatMap((page) => page.runs).slice(0, FOUND_MAX);
}
