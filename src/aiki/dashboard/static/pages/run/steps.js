/*
 * What a run did and waits for, as steps in time. The rule: it is all told by the journal, the open waits and what the
 * worker says it is executing; nothing here is guessed but when a call was made, which is when what led to it was delivered.
 */

import { errorLine } from "../../lib/words.js";
import { shortId } from "../../lib/format.js";

export const KINDS = {
  task: ["task", "task"],
  child: ["child", "awaiting_child"],
  sleep: ["sleep", "sleeping"],
  timer: ["asyncio.sleep", "scheduled"],
  event: ["event", "awaiting_event"],
  cancel: ["cancellation", "cancelled"],
};

/** A name without its arguments: `charge-card` of `charge-card(amount=12)`. */
export function nameOf(label) {
  return label.split("(")[0];
}

/**
 * Return the steps of a run, the earliest call first.
 *
 * @returns `[{id, kind, label, called, begun, ended, outcome, seq, entry, result, wait, executing, childId}]`; `ended` is null
 *   for what goes on, `begun` is when a task's first attempt began
 */
export function stepsOf(run, entries) {
  const base = (run.chapter ?? 1) > 1 || !run.started_at_ms ? first(entries) ?? run.started_at_ms ?? run.created_at_ms : run.started_at_ms;
  const at = (seq) => (seq > 0 ? entries[seq - 1]?.at_ms ?? base : base);
  const children = new Map();
  const steps = [];
  for (const entry of entries) {
    const { kind, address } = entry.key;
    if (kind === "child_result" && children.has(address)) {
      settle(children.get(address), entry);
      continue;
    }
    const step = stepOf(entry, at(entry.asked));
    if (entry.child_id) children.set(entry.child_id, step);
    steps.push(step);
  }
  const executing = [...(run.executing ?? [])];
  for (const wait of run.waits ?? []) {
    const child = wait.kind === "child_result" && children.get(wait.name);
    if (child) child.wait = wait;
    else steps.push(waitStep(wait, run, entries, executing));
  }
  for (const task of executing) steps.push(taskStep(task));
  return steps.sort((one, other) => one.called - other.called || (one.seq ?? Infinity) - (other.seq ?? Infinity));
}

function first(entries) {
  return entries.length ? Math.min(entries[0].at_ms, ...entries.slice(0, 100).map((entry) => entry.started_at_ms ?? Infinity)) : null;
}

function stepOf(entry, called) {
  const { kind, address } = entry.key;
  const isChild = kind === "child" || kind === "child_result";
  return {
    id: String(entry.seq),
    kind: isChild ? "child" : kind,
    label: entry.label || labelOf(kind, address),
    called: Math.min(called, entry.started_at_ms ?? entry.at_ms),
    begun: entry.started_at_ms ?? null,
    ended: kind === "child" && !entry.error ? null : entry.finished_at_ms ?? entry.at_ms,
    outcome: outcomeOf(entry),
    seq: entry.seq,
    entry,
    childId: entry.child_id ?? (kind === "child_result" ? address : null),
  };
}

/** What a call is named after, where nothing says how it was written. */
export function labelOf(kind, address) {
  if (kind === "child_result") return `child ${shortId(address)}`;
  if (kind === "timer") return "asyncio.sleep";
  return address || kind;
}

function outcomeOf(entry) {
  if (entry.error) return "failed";
  if (entry.timed_out) return "awaiting_retry";
  if (entry.status) return entry.status;
  if (entry.key.kind === "child") return "awaiting_child";
  if (entry.key.kind === "sleep" || entry.key.kind === "timer") return "sleeping";
  return entry.key.kind === "cancel" ? "cancelled" : "completed";
}

function settle(step, entry) {
  step.ended = entry.at_ms;
  step.outcome = outcomeOf(entry);
  step.result = entry;
}

function waitStep(wait, run, entries, executing) {
  const kind = wait.kind === "child_result" ? "child" : wait.kind;
  const under = kind === "task" ? executing.findIndex((task) => task.task === wait.name) : -1;
  const task = under >= 0 ? executing.splice(under, 1)[0] : null;
  const since = entries.at(-1)?.at_ms ?? run.started_at_ms ?? run.created_at_ms;
  return {
    id: `wait-${wait.kind}-${wait.name}`,
    kind,
    label: kind === "child" ? `child ${shortId(wait.name)}` : labelOf(kind, wait.name),
    called: Math.min(since, wait.tries?.[0]?.started_at_ms ?? since),
    begun: wait.tries?.[0]?.started_at_ms ?? null,
    ended: null,
    outcome: { task: "awaiting_retry", child: "awaiting_child", event: "awaiting_event" }[kind] ?? "sleeping",
    seq: null,
    wait,
    executing: task,
    childId: kind === "child" ? wait.name : null,
  };
}

function taskStep(task) {
  return { id: `task-${task.task}-${task.since_ms}`, kind: "task", label: task.task, called: task.since_ms, begun: task.since_ms, ended: null, outcome: "running",
    seq: null, executing: task };
}

/** How a step went, in a few words. */
export function saidOf(step) {
  const { entry, result, wait, executing } = step;
  if (executing) return `attempt ${executing.attempt} is being executed`;
  if (wait && step.kind === "task") return `attempt ${wait.attempt} failed${wait.error ? `: ${errorLine(wait.error)}` : ""}`;
  if (wait) return "waits";
  if (entry.error) return errorLine(entry.error);
  if (result?.error) return errorLine(result.error);
  if (entry.timed_out || result?.timed_out) return "timed out";
  if (entry.woken) return "woken early";
  if (result) return result.status;
  if (step.kind === "child") return "started";
  if (step.kind === "cancel") return entry.reason ?? "asked to cancel";
  return entry.attempts > 1 ? `in attempt ${entry.attempts}` : "";
}

/** The attempts of a task that are told of, with the one under way: `[{attempt, from, to, error, outcome}]`; `to` is null for that. */
export function triesOf({ entry, wait, executing, outcome }) {
  const tries = entry?.tries ?? wait?.tries ?? [];
  const told = tries.map((one) => ({ attempt: one.attempt, from: one.started_at_ms, to: one.finished_at_ms, error: one.error, outcome: one.error ? "failed" : outcome }));
  return executing && told.length ? [...told, { attempt: executing.attempt, from: executing.since_ms, to: null, outcome: "running" }] : told;
}

/** Whether it failed, or an attempt of it did. */
export function hasFailed(step) {
  return step.outcome === "failed" || Boolean(step.wait?.error) || triesOf(step).some((one) => one.outcome === "failed");
}

/** The statuses of a run over time: `[{status, from, to, move}]`, the last to `until`. */
export function segmentsOf(moves, until) {
  return moves.map((move, place) => ({ status: move.new, from: move.at_ms, to: moves[place + 1]?.at_ms ?? until, move }));
}
