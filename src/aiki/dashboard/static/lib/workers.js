/* How busy workers are. The rule: one measure for all pages, the share of what it can hold that a worker holds. */

/** The share of its capacity that a worker has in use, from 0 to 1. */
export function loadOf(worker) {
  return Math.min(1, (worker.held ?? 0) / (worker.capacity || 1));
}

/** Workers, the busiest first: by share, then by tasks under way, then by name. */
export function busiestFirst(workers) {
  return [...workers].sort((one, other) => loadOf(other) - loadOf(one) || tasks(other) - tasks(one) || (one.name < other.name ? -1 : 1));
}

/** The session that is busiest, or null where all are idle. */
export function busiestOf(workers) {
  const [first] = busiestFirst(workers);
  return first && loadOf(first) > 0 ? first.session_id : null;
}

function tasks(worker) {
  return worker.executing?.length ?? 0;
}
