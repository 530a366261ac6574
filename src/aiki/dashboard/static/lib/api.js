/*
 * The HTTP API, as the pages ask it. The rule: what goes wrong is a `Problem` with words for people, and every change is
 * sent with an id, so that a request whose answer was lost can be sent again.
 */

import { signal } from "./html.js";
import { BASE, query } from "./router.js";

const KEY = "aiki.key";
const RETRIES_MAX = 2;
const RETRY_MS = 400;
const PAGE_ROWS = 500;
const PAGES_MAX = 10;

/** The API key of this tab, "" for none. */
export const key = signal(sessionStorage.getItem(KEY) ?? "");

/** Whether the server asks for a key that it has not got. */
export const isKeyWanted = signal(false);

/** How far the server's clock is ahead of this machine's, in milliseconds; small differences are taken for none. */
export const aheadMs = signal(0);

/** Something that the server refused, or that never reached it. */
export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", title = "", detail = "", path = null, facts = {} }) {
    super(detail || title);
    Object.assign(this, { status, code, title, path, facts });
  }
}

/** Keep a key for as long as this tab is open. */
export function useKey(given) {
  if (given) sessionStorage.setItem(KEY, given);
  else sessionStorage.removeItem(KEY);
  key.value = given;
  isKeyWanted.value = false;
}

/** The namespace that is shown. */
export function namespace() {
  return query.value.get("ns") || null;
}

/** The address of something of the API, with the namespace. */
export function address(path, asked = {}) {
  const url = new URL(path, BASE);
  const named = namespace();
  if (named) url.searchParams.set("namespace", named);
  for (const [name, value] of Object.entries(asked)) {
    for (const one of [value].flat()) {
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, one);
    }
  }
  return url;
}

/** Headers that say who asks. */
export function headers(more = {}) {
  return key.value ? { ...more, authorization: `Bearer ${key.value}` } : more;
}

/**
 * Read something.
 *
 * @param {string} path
 * @param {object} [asked]
 * @param {{signal?: AbortSignal}} [options]
 */
export function get(path, asked = {}, { signal: until } = {}) {
  return request(address(path, asked), { headers: headers(), signal: until });
}

/**
 * Read a list that comes in pages, up to a bound: `{[name]: [...], next_after}`.
 *
 * @param {string} path
 * @param {string} name
 * @param {{signal?: AbortSignal}} [options]
 */
export async function getAll(path, name, { signal: until } = {}) {
  const found = [];
  let after = 0;
  for (let page = 0; page < PAGES_MAX && after !== undefined; page++) {
    const answer = await get(path, { after, limit: PAGE_ROWS }, { signal: until });
    found.push(...(answer[name] ?? []));
    after = answer.next_after ?? undefined;
  }
  return { [name]: found, next_after: after };
}

/** Ask for a change. */
export function post(path, body = {}, asked = {}) {
  return send("POST", path, body, asked);
}

/** Ask for a change by any method. */
export function send(method, path, body, asked = {}) {
  return request(address(path, asked), {
    method,
    headers: headers({ "content-type": "application/json" }),
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

/** An id that the server takes: a UUIDv7. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let rest = Date.now();
  for (let place = 5; place >= 0; place--) {
    bytes[place] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

async function request(url, options) {
  for (let failed = 0; ; failed++) {
    let response;
    try {
      response = await fetch(url, { cache: "no-store", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (failed >= RETRIES_MAX) {
        throw new Problem({ title: "The server does not answer", detail: "The server cannot be reached." });
      }
    }
    if (response && !(response.status === 503 && failed < RETRIES_MAX)) return answerOf(response);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS * 2 ** failed));
  }
}

async function answerOf(response) {
  noteClock(response);
  const text = await response.text();
  let said = null;
  try {
    said = text ? parse(text) : null;
  } catch {
    throw new Problem({ status: response.status, title: "Not an answer of Aiki's", detail: text.slice(0, 200) });
  }
  if (response.ok) return said;
  if (response.status === 401) isKeyWanted.value = true;
  throw new Problem({ status: response.status, ...said });
}

/** JSON, with integers that JavaScript cannot hold kept as they are written. */
export function parse(text) {
  return JSON.parse(text, (_name, value, context) => {
    const isInexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isInexact && context?.source && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
  });
}

function noteClock(response) {
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isFinite(date)) {
    const ahead = date + 500 - Date.now();
    const told = Math.abs(ahead) > 2_000 ? ahead : 0;
    if (Math.abs(told - aheadMs.value) > 1_000) aheadMs.value = told;
  }
}
