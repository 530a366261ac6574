/*
 * Statuses and reasons in words. The rule: one sentence says why a run is where it is, in terms of its author's code, and
 * never needs the documentation beside it.
 */

import { html } from "./html.js";
import { duration, plural, relative, shortId, time, wholeTime } from "./format.js";
import { href } from "./router.js";

/** Statuses in the order of what a person looks for first. */
export const STATUSES = ["stalled", "failed", "running", "queued", "awaiting_retry", "awaiting_event", "awaiting_child", "sleeping",
  "scheduled", "paused", "completed", "cancelled"];

export const TERMINAL = new Set(["completed", "failed", "cancelled"]);

const WORDS = { awaiting_event: "awaits event", awaiting_child: "awaits child", awaiting_retry: "awaits retry" };

/** A status in words. */
export function wordOf(status) {
  return WORDS[status] ?? status;
}

const REASONS = {
  started: "was started",
  due: "its time had come",
  claimed: "a worker took it",
  suspended: "its code waits",
  message: "something arrived for it",
  woken: "somebody woke it",
  returned: "its code returned",
  raised: "its code raised an error",
  cancelled: "it was cancelled",
  terminated: "it was terminated",
  grace_over: "it did not end within the grace of its cancellation",
  timed_out: "its timeout struck",
  retry: "it is tried again",
  handed_back: "its worker handed it back",
  worker_lost: "its worker was lost",
  crashed: "its workers died on it",
  diverged: "its code no longer fits its journal",
  waits_for_nothing: "it waits for nothing that can happen",
  refused: "what it did could not be stored",
  undelivered: "no worker took it in time",
  requeued: "somebody put it back into its queue",
  paused: "somebody paused it",
  resumed: "somebody resumed it",
};

/** Why a run moved, in words. */
export function reasonOf(reason) {
  return REASONS[reason] ?? reason;
}

/** Why a run moved, and who took it, as a sentence without its end. */
export function moveWords({ reason, note, worker }) {
  const cause = note && (REASONS[note] ?? `“${note}”`);
  if (reason === "claimed" && worker) return `${worker} took it${cause ? `: ${cause}` : ""}`;
  return `${reasonOf(reason)}${worker ? `, and ${worker} took it at once` : ""}${cause ? `: ${cause}` : ""}`;
}

/** The name of an error without its module. */
export function errorName(type) {
  return type?.split(".").at(-1) ?? "error";
}

/** `TaskFailed: no such card`, in one line. */
export function errorLine(error) {
  const message = (error?.message ?? "").split("\n")[0];
  if (error?.code === "task_failed") return message; // it names the task and its error itself
  return message ? `${errorName(error.type)}: ${message}` : errorName(error?.type);
}

/** What an error, or the text of one, came from, in one line: where there is no room for what it came through. */
export function causeLine(error) {
  const said = typeof error === "string" ? error.split("\n")[0] : errorLine(error);
  return said.replace(/^task (\S+) failed after \d+ attempts?: /, "$1: ").replace(/^(\S+: )?(?:\w+\.)*NonRetryable: /, "$1");
}

function strong(text) {
  return html`<b>${text}</b>`;
}

function moment(ms, nowMs) {
  return html`<time datetime=${new Date(ms).toISOString()} title=${wholeTime(ms)}>${time(ms, nowMs)}</time>`;
}

function childLink(id) {
  return html`<a href=${href(["runs", id])}>child ${shortId(id)}</a>`;
}

function remaining(deadlineMs, nowMs) {
  const left = deadlineMs - nowMs;
  return left > 0 ? html`${strong(duration(left))} more` : "no longer: it is due now";
}

function waitWords(wait, nowMs) {
  const deadline = wait.deadline_ms;
  switch (wait.kind) {
    case "sleep":
    case "timer":
      return html`sleeps ${remaining(deadline, nowMs)}${wait.kind === "sleep" && html` (${strong(wait.name)})`}, until ${moment(deadline, nowMs)}`;
    case "event":
      if (!deadline) return html`waits for the event ${strong(wait.name)}, for as long as it takes`;
      return html`waits ${remaining(deadline, nowMs)} for ${strong(wait.name)}, or its timeout at ${moment(deadline, nowMs)}`;
    case "child_result":
      if (!deadline) return html`waits for ${childLink(wait.name)} to end`;
      return html`waits ${remaining(deadline, nowMs)} for ${childLink(wait.name)}, or its timeout at ${moment(deadline, nowMs)}`;
    case "task":
      return html`tries ${strong(wait.name)} again ${deadline > nowMs ? html`in ${strong(duration(deadline - nowMs))}, at ${moment(deadline, nowMs)}` : "now"}, after ${plural(wait.attempt, "failed attempt")}${wait.error && html`: <q>${errorLine(wait.error)}</q>`}`;
    default:
      return html`waits for ${wait.name}`;
  }
}

/** How long a wait has left and for what, short: for a cell of a table. */
export function waitCell(wait, nowMs) {
  const left = wait.deadline_ms ? duration(Math.max(0, wait.deadline_ms - nowMs)) : "";
  const name = wait.kind === "child_result" ? `child ${shortId(wait.name)}` : wait.kind === "timer" ? "asyncio.sleep" : wait.name.split("(")[0];
  return { name, left };
}

/** The move by which a run was paused, if that is where it stands: its note is the reason that a person gave. */
function pausedBy(run, moves) {
  const last = moves.at(-1);
  return run.status === "paused" && last?.new === "paused" ? last : null;
}

function pausedWords(run, moves, nowMs) {
  const move = pausedBy(run, moves);
  const reason = move ? (REASONS[move.note] ? null : move.note) : run.why;
  const [first] = run.waits ?? [];
  return html`was paused${move && html` ${relative(move.at_ms, nowMs)}`}${reason && html`: <q>${reason}</q>`}; ${first ? html`once resumed, it ${waitWords(first, nowMs)}` : "resume lets it go on"}`;
}

/**
 * The sentence that says why a run is where it is; ends without a full stop, begins without a capital.
 *
 * @param moves its history, where that is known: since when it is paused
 */
export function why(run, nowMs, moves = []) {
  const waits = run.waits ?? [];
  const [first] = waits;
  const others = waits.length > 1 ? html`, and ${plural(waits.length - 1, "other thing")}` : "";
  const warned = run.warnings?.length ? html`: ${run.warnings.join("; ")}` : "";
  const took = run.finished_at_ms ? duration(run.finished_at_ms - (run.started_at_ms ?? run.created_at_ms)) : "";
  switch (run.status) {
    case "scheduled":
      return html`starts in ${strong(duration((run.due_at_ms ?? run.alarm_at_ms) - nowMs))}, at ${moment(run.due_at_ms ?? run.alarm_at_ms, nowMs)}`;
    case "queued":
      return html`has been ready for ${strong(duration(nowMs - (run.due_at_ms ?? run.created_at_ms)))} and waits for a worker${warned}`;
    case "running":
      return html`is being executed${run.worker && html` by ${strong(run.worker)}`}${run.cancel_requested && ", and has been asked to cancel"}`;
    case "sleeping":
    case "awaiting_event":
    case "awaiting_child":
    case "awaiting_retry":
      if (first) return html`${waitWords(first, nowMs)}${others}${run.cancel_requested && "; a cancellation is on its way"}`;
      if (run.status === "awaiting_retry" && run.alarm_at_ms) {
        return html`begins its attempt ${strong(run.attempt)} ${run.alarm_at_ms > nowMs ? html`in ${strong(duration(run.alarm_at_ms - nowMs))}, at ${moment(run.alarm_at_ms, nowMs)}` : "now"}${run.why && html`, for the last one failed: <q>${run.why}</q>`}`;
      }
      return html`waits${run.alarm_at_ms && html` until ${moment(run.alarm_at_ms, nowMs)} at most`}`;
    case "paused":
      return pausedWords(run, moves, nowMs);
    case "stalled":
      return html`needs a person: ${run.why ?? "it says not why"}`;
    case "completed":
      return html`completed in ${strong(took)}, ${relative(run.finished_at_ms, nowMs)}`;
    case "failed":
      return html`failed after ${strong(took)}${run.attempt > 1 && ` in attempt ${run.attempt}`}, ${relative(run.finished_at_ms, nowMs)}${run.error ? html`: <q>${errorLine(run.error)}</q>` : run.why && html`: <q>${run.why}</q>`}`;
    case "cancelled":
      return html`was cancelled after ${strong(took)}, ${relative(run.finished_at_ms, nowMs)}${run.why && html`: <q>${run.why}</q>`}`;
    default:
      return run.why ?? "";
  }
}
