/*
 * What the server tells as it happens. The rule: the stream is a hint that says when to read again; where it cannot be had,
 * pages read every few seconds, and nobody sees a difference but a moment's delay.
 */

import { effect, signal } from "./html.js";
import { address, headers, isKeyWanted, key, parse } from "./api.js";

const PAUSE_LEAST_MS = 500;
const PAUSE_MOST_MS = 15_000;
const SILENT_MS = 45_000;

/** How the stream is: `live`, `connecting` or `lost`. */
export const connection = signal("connecting");

/** The time, for what counts down: moves every second. */
export const now = signal(Date.now());

const listeners = new Set();
let reading = null;
let mark = null;
let failures = 0;

/** Have `told` called with `{runs, missed}` at each change; returns what ends it. */
export function onChanges(told) {
  listeners.add(told);
  return () => listeners.delete(told);
}

/** Begin, and go on for as long as the page is there and can be seen. */
export function begin() {
  setInterval(() => (now.value = Date.now()), 1_000);
  document.addEventListener("visibilitychange", () => {
    now.value = Date.now();
    if (document.hidden) reading?.abort();
    else connect();
  });
  effect(() => {
    void key.value;
    failures = 0;
    reading?.abort();
    queueMicrotask(connect);
  });
}

async function connect() {
  if (document.hidden || isKeyWanted.value || (reading && !reading.signal.aborted)) return;
  const own = (reading = new AbortController());
  try {
    await read(own);
    failures = 0;
  } catch {
    failures += 1;
  }
  if (reading !== own) return;
  reading = null;
  if (document.hidden || own.signal.aborted) return;
  connection.value = failures > 1 ? "lost" : "connecting";
  const pause = Math.min(PAUSE_MOST_MS, PAUSE_LEAST_MS * 2 ** failures) * (0.7 + Math.random() * 0.6);
  setTimeout(connect, pause);
}

async function read(own) {
  const response = await fetch(address("v1/stream", { after: mark }), { headers: headers(), signal: own.signal });
  if (!response.ok || !response.body) throw new Error(`the stream answered ${response.status}`);
  connection.value = "live";
  failures = 0;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const silence = setTimeout(() => own.abort(), SILENT_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    events.forEach(tell);
  }
}

function tell(event) {
  const fields = Object.fromEntries(
    event.split("\n").filter((line) => line && !line.startsWith(":")).map((line) => line.split(/: (.*)/s)),
  );
  if (!fields.data) return;
  mark = fields.id ?? mark;
  const { runs = [], missed = false } = parse(fields.data);
  for (const told of [...listeners]) told({ runs, missed });
}
