/* A run's journal, read page by page. The rule: an entry never changes within its attempt, so only what is new is read. */

import { useEffect, useRef, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";

const PAGES_MAX = 2_000;

/**
 * Use the journal of a run: `{entries, isLoading, error}`. It grows while its pages arrive, and with the run.
 *
 * @param run as it stands, or undefined while it is not there
 * @param attempt an earlier one of the run's attempts, null for the one that counts
 */
export function useJournal(run, attempt = null) {
  const [state, setState] = useState({ entries: [], of: null, isLoading: true, error: null });
  const under = useRef(null);
  const of = run && `${run.id} ${run.chapter ?? 1} ${attempt ?? run.attempt ?? 1}`;
  const seq = attempt ? Infinity : run?.seq ?? 0;
  const had = state.of === of ? state.entries : [];

  useEffect(() => {
    if (!run) return undefined;
    if (had.length >= seq) {
      setState((old) => (old.of === of && !old.isLoading ? old : { entries: had, of, isLoading: false, error: null }));
      return undefined;
    }
    const own = (under.current = new AbortController());
    read(run.id, { attempt, had, signal: own.signal }, (entries, isLoading) => setState({ entries, of, isLoading, error: null })).catch((error) => {
      if (!own.signal.aborted) setState((old) => ({ ...old, of, isLoading: false, error }));
    });
    return () => own.abort();
  }, [of, seq]);

  return state.of === of ? state : { entries: [], isLoading: true, error: null };
}

async function read(runId, { attempt, had, signal }, give) {
  let entries = had;
  for (let page = 0; page < PAGES_MAX; page++) {
    const found = await get(`v1/runs/${runId}/journal`, { after_seq: entries.at(-1)?.seq ?? 0, attempt }, { signal });
    if (signal.aborted) return;
    const hasMore = Boolean(found.has_more && found.entries?.length);
    entries = [...entries, ...(found.entries ?? [])];
    give(entries, hasMore);
    if (!hasMore) return;
  }
}
