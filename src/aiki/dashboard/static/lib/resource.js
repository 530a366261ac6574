/*
 * Something read from the server and kept up to date. The rule: what is there stays until its successor has come, so that
 * nothing jumps or blinks; and however much happens, at most one request for it is on its way.
 */

import { useLayoutEffect, useRef, useState } from "./html.js";
import { connection, onChanges } from "./live.js";

const GAP_MS = 900;
const FALLBACK_MS = 1_000;
const RESTS_LIVE = 4; // as below, for what has changed
const RESTS = 20; // times as long as it took to read, so that what is slow is not asked for without end

/**
 * Use something of the server.
 *
 * @param name a text that says what it is: another name is another thing, null is nothing
 * @param load reads it: `(signal, former) => Promise`
 * @param concerns whether a change of a run concerns it; none: it is read once
 * @param every milliseconds after which it is read anew in any case, 0 for never
 * @returns `{data, error, isLoading, refresh, set}`; `data` is undefined until it is there
 */
export function useResource(name, load, { concerns = null, every = 0 } = {}) {
  const [state, setState] = useState({ name: null, data: undefined, error: null, isLoading: true });
  const kept = useRef({});
  kept.current.load = load;
  kept.current.concerns = concerns;
  const shown = state.name === name ? state : { ...state, data: undefined, error: null, isLoading: true };

  // Not after the next paint: what is asked for a frame earlier is there a frame earlier.
  useLayoutEffect(() => {
    if (name === null) return undefined;
    const own = new AbortController();
    let timer = null;
    let isUnderWay = false;
    let isWanted = false;
    let readAt = 0;
    let tookMs = 0;
    let former;

    const read = async () => {
      timer = null;
      if (isUnderWay) {
        isWanted = true;
        return;
      }
      isUnderWay = true;
      isWanted = false;
      readAt = Date.now();
      try {
        former = await kept.current.load(own.signal, former);
        if (!own.signal.aborted) setState({ name, data: former, error: null, isLoading: false });
      } catch (error) {
        if (!own.signal.aborted) setState((old) => ({ name, data: old.name === name ? old.data : undefined, error, isLoading: false }));
      }
      isUnderWay = false;
      tookMs = Date.now() - readAt;
      if (isWanted && !own.signal.aborted) soon();
    };
    const soon = () => {
      timer ??= setTimeout(read, Math.max(0, readAt + Math.max(GAP_MS, RESTS_LIVE * tookMs) - Date.now()));
    };
    kept.current.refresh = () => {
      readAt = 0;
      clearTimeout(timer);
      timer = null;
      return read();
    };
    kept.current.set = (data) => {
      former = data;
      setState({ name, data, error: null, isLoading: false });
    };
    read();
    const forget = onChanges((told) => {
      const concerned = kept.current.concerns;
      if (concerned && (told.missed || told.runs.some(concerned))) soon();
    });
    const beat = setInterval(() => {
      const age = Date.now() - readAt;
      const isDue = kept.current.concerns && connection.value !== "live" ? age > FALLBACK_MS : every && age > Math.max(every, RESTS * tookMs);
      if (isDue && !document.hidden) soon();
    }, FALLBACK_MS);
    return () => {
      own.abort();
      forget();
      clearTimeout(timer);
      clearInterval(beat);
    };
  }, [name, every]);

  return { ...shown, refresh: () => kept.current.refresh?.(), set: (data) => kept.current.set?.(data) };
}
