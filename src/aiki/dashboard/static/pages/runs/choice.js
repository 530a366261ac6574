/* Which runs are meant: pointed at, chosen, or all that fit. The rule: they are held by their ids, until somebody lets go. */

import { useEffect, useRef, useState } from "../../lib/html.js";
import { useKeys } from "../../lib/keys.js";
import { go, href } from "../../lib/router.js";

const NOTHING = { runs: new Map(), isAll: false };

/** Use a choice among runs: of the filter `name`, on whichever of its pages. */
export function useChoice(name) {
  const [{ runs: chosen, isAll }, setChoice] = useState(NOTHING);
  const [at, setAt] = useState(null);
  const [isOver, setOver] = useState(false);
  const pointed = useRef(null); // at once: whoever types fast presses the next key before the page is drawn anew
  const last = useRef(null);
  const onPoint = (id) => {
    pointed.current = id;
    setAt(id);
  };
  const clear = () => setChoice(NOTHING);
  useEffect(() => {
    clear();
    onPoint(null);
  }, [name]);
  return { chosen, isAll, at, pointed, last, isOver, setOver, setChoice, onPoint, clear, isHeld: isAll || chosen.size > 0 || at !== null || isOver };
}

/** What chooses among the runs that are shown. */
export function choosing(shown, { chosen, isAll, last, setChoice, clear }) {
  const isOn = (run) => isAll || chosen.has(run.id);
  const onChoose = (id, isRange) => {
    const place = shown.findIndex((run) => run.id === id);
    const former = isRange ? shown.findIndex((run) => run.id === last.current) : -1;
    const [from, to] = former < 0 ? [place, place] : [Math.min(place, former), Math.max(place, former)];
    const wanted = !isOn(shown[place]);
    const runs = new Map(isAll ? shown.map((run) => [run.id, run]) : chosen);
    for (const run of shown.slice(from, to + 1)) wanted ? runs.set(run.id, run) : runs.delete(run.id);
    setChoice({ runs, isAll: false });
    last.current = id;
  };
  const onChooseAll = () => {
    if (isAll) return clear();
    const isWhole = shown.every((run) => chosen.has(run.id));
    const runs = new Map(chosen);
    for (const run of shown) isWhole ? runs.delete(run.id) : runs.set(run.id, run);
    return setChoice({ runs, isAll: false });
  };
  return { isOn, onChoose, onChooseAll };
}

/** The keys of the list. */
export function useRunKeys(shown, { pointed, last, onPoint, clear, isAll, chosen }, { onChoose, onChooseAll }, show) {
  const move = (by) => () => {
    if (!shown.length) return;
    const place = shown.findIndex((run) => run.id === (pointed.current ?? last.current));
    onPoint(shown[place < 0 ? (by > 0 ? 0 : shown.length - 1) : Math.max(0, Math.min(shown.length - 1, place + by))].id);
  };
  const here = () => shown.find((run) => run.id === pointed.current);
  const open = () => here() && go(href(["runs", here().id]));
  useKeys("Runs", [
    { press: "j", does: "The next run", run: move(1) },
    { press: "k", does: "The run before", run: move(-1) },
    { press: "ArrowDown", run: move(1) },
    { press: "ArrowUp", run: move(-1) },
    { press: "Enter", does: "Open the run", run: (event) => (document.activeElement?.matches("a, button") ? /** @type {HTMLElement} */ (document.activeElement).click() : open()) },
    { press: "o", run: open },
    { press: "x", does: "Choose the run", run: () => here() && onChoose(here().id, false) },
    { press: "*", does: "Choose all on the page", run: onChooseAll },
    { press: ".", does: "Show what is new", run: show },
    { press: "/", does: "Search", run: () => document.getElementById("runs-search")?.focus() },
    { press: "Escape", does: "Choose none, then let the list go on", run: () => (isAll || chosen.size ? clear() : onPoint(null)) },
  ], [shown, onChoose]);
}
