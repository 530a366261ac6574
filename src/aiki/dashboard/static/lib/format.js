/* Times, durations and numbers, as people read them. The rule: a number has its unit, and a time its date once that helps. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
const integer = new Intl.NumberFormat("en-US");

/** `1,234`. */
export function count(number) {
  return integer.format(number);
}

/** `1.2 k`, `3.4 M`: for where there is no room. */
export function shortCount(number) {
  if (number < 10_000) return count(number);
  if (number < 1_000_000) return `${Math.floor(number / 1_000)} k`;
  return `${(Math.floor(number / 100_000) / 10).toFixed(1)} M`;
}

/** `1 run`, `2 runs`. */
export function plural(number, noun, nouns = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : nouns}`;
}

/** `45 ms`, `1.2 s`, `3 min 12 s`, `2 d 4 h`: two units at most, rounded down. */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "";
  const left = Math.max(0, ms);
  if (left < SECOND) return `${Math.round(left)} ms`;
  if (left < 10 * SECOND) return `${(Math.floor(left / 100) / 10).toFixed(1)} s`;
  if (left < MINUTE) return `${Math.floor(left / SECOND)} s`;
  if (left < HOUR) return two(left, MINUTE, "min", SECOND, "s");
  if (left < DAY) return two(left, HOUR, "h", MINUTE, "min");
  return two(left, DAY, "d", HOUR, "h");
}

function two(ms, large, largeName, small, smallName) {
  const first = Math.floor(ms / large);
  const second = Math.floor((ms % large) / small);
  return second ? `${first} ${largeName} ${second} ${smallName}` : `${first} ${largeName}`;
}

/** `14:03:22` today, `26 Nov 14:03` this year. */
export function time(ms, nowMs = Date.now()) {
  const date = new Date(ms);
  const today = new Date(nowMs);
  const at = clock.format(date);
  if (date.toDateString() === today.toDateString()) return at;
  const on = date.getFullYear() === today.getFullYear() ? day : dayOfYear;
  return `${on.format(date)} ${at.slice(0, 5)}`;
}

/** With milliseconds, for orders of events. */
export function exactTime(ms) {
  const date = new Date(ms);
  return `${clock.format(date)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** All of it, for a tooltip. */
export function wholeTime(ms) {
  return `${whole.format(new Date(ms))} (${new Date(ms).toISOString()})`;
}

/** `3 min ago`, `in 2 h`. */
export function relative(ms, nowMs) {
  const ahead = ms - nowMs;
  if (Math.abs(ahead) < 1_500) return "now";
  return ahead > 0 ? `in ${coarse(ahead)}` : `${coarse(-ahead)} ago`;
}

function coarse(ms) {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** The last part of an id, which tells runs apart: those that begin together begin alike. */
export function shortId(id) {
  return id.slice(-8);
}

/** Distances of a time axis that are easy to read, in milliseconds. */
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE,
  5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 30 * DAY, 90 * DAY, 365 * DAY];

/** Marks of a time axis of `span` ms, at most `most` of them: `[[offset, "2 min"]]`. */
export function ticks(from, span, most) {
  const step = STEPS.find((candidate) => span / candidate <= most) ?? STEPS.at(-1);
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= from + span && marks.length < 100; at += step) {
    marks.push([at, at === 0 ? "0" : `${at < 0 ? "−" : "+"}${axis(Math.abs(at), step)}`]);
  }
  return marks;
}

function axis(ms, step) {
  if (step < SECOND && ms < MINUTE) return ms < SECOND ? `${ms} ms` : `${+(ms / SECOND).toFixed(3)} s`;
  if (step < SECOND) return `${two(ms, MINUTE, "min", SECOND, "s")} ${ms % SECOND} ms`;
  if (ms < MINUTE) return `${ms / SECOND} s`;
  if (ms < HOUR) return two(ms, MINUTE, "min", SECOND, "s");
  if (ms < DAY) return two(ms, HOUR, "h", MINUTE, "min");
  return two(ms, DAY, "d", HOUR, "h");
}
