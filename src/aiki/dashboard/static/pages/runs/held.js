/*
 * The list held still. The rule: while somebody points, walks or chooses, no row comes, goes or moves under their hand; what
 * is shown goes on telling the truth about its runs, and what has come meanwhile is counted, to be shown when they ask.
 */

import { useEffect, useRef, useState } from "../../lib/html.js";
import { onChanges } from "../../lib/live.js";

/**
 * Hold which runs are shown, and in which order.
 *
 * @param runs as they are now, in their order
 * @param name what is shown: of another nothing is held
 * @param isCurrent whether they are of that name already
 * @param isHeld whether to hold them
 * @returns `{shown, fresh, gone, show}`: how many have come and how many fit no more, and what brings the list up to date
 */
export function useHeld(runs, { name, isCurrent, isHeld }) {
  const held = useRef({ name: null, ...nothing() });
  const [, draw] = useState(0);
  const now = held.current;
  if (now.name !== name || !isCurrent) Object.assign(now, { name, ...nothing() });
  if (!isHeld || !isCurrent) now.order = null;
  else if (!now.order?.length) now.order = now.known.size ? [...now.known.keys()] : runs.map((run) => run.id);

  const current = new Map(runs.map((run) => [run.id, run]));
  const shown = now.order ? now.order.map((id) => current.get(id) ?? moved(now.known.get(id), now.told.get(id))) : runs;
  if (isCurrent) now.known = new Map(shown.map((run) => [run.id, run]));
  useEffect(() => onChanges(({ runs: changed }) => {
    const concerned = changed.filter(({ id }) => held.current.known.has(id));
    for (const change of concerned) held.current.told.set(change.id, change);
    if (held.current.order && concerned.length) draw((number) => number + 1);
  }), []);

  const fresh = now.order ? runs.filter((run) => !now.known.has(run.id)).length : 0;
  const gone = now.order ? Math.max(0, shown.filter((run) => !current.has(run.id)).length - fresh) : 0;
  const show = () => {
    Object.assign(held.current, nothing());
    draw((number) => number + 1);
  };
  return { shown, fresh, gone, show };
}

/** `order`: ids, while it is held. `known`: the runs that are shown. `told`: the last change of each of them. */
function nothing() {
  return { order: null, known: new Map(), told: new Map() };
}

/** A run that has left the page, as the stream tells it: what it waited for is over. */
function moved(run, change) {
  if (!change || run.status === change.status) return run;
  const { status, why, started_at_ms, finished_at_ms } = change;
  return { ...run, status, why, started_at_ms, finished_at_ms, waits: [], waits_count: 0, error: undefined };
}
