/*
 * The timeline: a row for each step, a bar for its time. The rule: colour is outcome, place is time, and a pale part is
 * waiting; all of it can be reached with the keyboard.
 */

import { classes, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { count, duration, exactTime, ticks } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { useKeys } from "../../lib/keys.js";
import { ask, query } from "../../lib/router.js";
import { moveWords, TERMINAL, wordOf } from "../../lib/words.js";
import { Choice, Empty, serverNow } from "../../parts/basics.js";
import { Virtual } from "../../parts/virtual.js";
import { squeezed, straight } from "./scale.js";
import { hasFailed, KINDS, nameOf, saidOf, segmentsOf, triesOf } from "./steps.js";

const ROW_PX = 28;
const NARROW_PX = 860;
const LETTER_PX = 7; // of an axis label, at most
const LABEL_GAP_PX = 10;
const ZOOM_MOST = 1 / 5_000;
const END = 1.01; // a little beyond the end, so that it is seen
const SQUEEZE_BELOW = 0.08; // of the time is work: then the rest is squeezed at first

export function Timeline({ run, steps, moves, isLoading, chosen, onChoose }) {
  const isOpen = !TERMINAL.has(run.status);
  const until = isOpen ? serverNow() : run.finished_at_ms;
  const from = Math.min(run.created_at_ms, steps[0]?.called ?? Infinity);
  const asked = query.value;
  const mode = asked.get("scale") ?? usualScale(steps, from, until);
  const text = asked.get("step-name") ?? "";
  const isFailedOnly = asked.get("step-only") === "failed";
  const shown = useMemo(() => fitting(steps, text, isFailedOnly), [steps, text, isFailedOnly]);
  const scale = useMemo(() => (mode === "true" ? straight(from, until) : squeezed(from, until, momentsOf(steps, moves))), [mode, from, until, steps, moves]);
  const [view, setView] = useState([0, END]);
  const zoom = (factor, around = 0.5) => setView(([low, high]) => zoomed(low, high, factor, around));
  const at = shown.findIndex((step) => step.id === chosen);
  const step = (by) => () => {
    const now = shown.findIndex((one) => one.id === query.value.get("step"));
    const next = Math.max(0, Math.min(shown.length - 1, (now < 0 ? (by > 0 ? -1 : shown.length) : now) + by));
    if (next !== now && shown.length) onChoose(shown[next].id);
  };
  useKeys("Timeline", [
    { press: "j", does: "The next step", run: step(1) },
    { press: "k", does: "The step before", run: step(-1) },
    { press: "ArrowDown", run: step(1) },
    { press: "ArrowUp", run: step(-1) },
    { press: "+", does: "Zoom in", run: () => zoom(0.5) },
    { press: "-", does: "Zoom out", run: () => zoom(2) },
    { press: "0", does: "Show all of it", run: () => setView([0, END]) },
    { press: "ArrowLeft", does: "Earlier", run: () => setView(panned(view, -0.2)) },
    { press: "ArrowRight", does: "Later", run: () => setView(panned(view, 0.2)) },
    { press: "f", does: "Failed steps only", run: () => ask({ "step-only": isFailedOnly ? null : "failed" }) },
    { press: "/", does: "Find a step", run: () => document.getElementById("step-name")?.focus() },
  ], [shown, at, view, isFailedOnly]);

  return html`<section class="timeline panel" aria-label="Timeline">
    <div class="timeline-tools">
      <div class="search"><${Icon} name="search" size=${13} /><input id="step-name" type="search" placeholder="Find a step" aria-label="Find a step by name" value=${text}
        onInput=${(event) => ask({ "step-name": event.target.value })} spellcheck=${false} /></div>
      <button type="button" class="chip is-failed" aria-pressed=${isFailedOnly} onClick=${() => ask({ "step-only": isFailedOnly ? null : "failed" })}>
        <${Icon} name="failed" size=${12} />failed<span class="chip-count">${count(steps.filter(hasFailed).length)}</span></button>
      <span class="timeline-count">${isLoading ? `${count(steps.length)} steps so far…` : shown.length === steps.length ? "" : `${count(shown.length)} of ${count(steps.length)}`}</span>
      <${Choice} label="Scale" value=${mode} onPick=${(picked) => ask({ scale: picked })} options=${[["squeezed", "Squeezed"], ["true", "True time"]]} />
      <span class="timeline-zoom"><button type="button" class="bare" aria-label="Zoom out" onClick=${() => zoom(2)}><${Icon} name="minus" size=${14} /></button>
        <button type="button" class="bare" aria-label="Show all of it" onClick=${() => setView([0, END])}><${Icon} name="fit" size=${14} /></button>
        <button type="button" class="bare" aria-label="Zoom in" onClick=${() => zoom(0.5)}><${Icon} name="plus" size=${14} /></button></span>
    </div>
    <${Tracks} ...${{ run, shown, steps, moves, scale, view, setView, until, at, onChoose }} />
  </section>`;
}

function usualScale(steps, from, until) {
  const long = (step) => triesOf(step).reduce((sum, one) => sum + (one.to ?? until) - one.from, 0) || (step.begun && (step.ended || step.executing) ? (step.ended ?? until) - step.begun : 0);
  const work = steps.reduce((sum, step) => sum + long(step), 0);
  return work < SQUEEZE_BELOW * (until - from) ? "squeezed" : "true";
}

function fitting(steps, text, isFailedOnly) {
  const wanted = text.toLowerCase();
  return steps.filter((step) => (!isFailedOnly || hasFailed(step)) && (!wanted || step.label.toLowerCase().includes(wanted)));
}

function momentsOf(steps, moves) {
  return [...steps.flatMap((step) => [step.called, step.begun, step.ended, ...triesOf(step).flatMap(({ from, to }) => [from, to])].filter(Boolean)), ...moves.map((move) => move.at_ms)];
}

function zoomed(low, high, factor, around) {
  const span = Math.min(END, Math.max(ZOOM_MOST, (high - low) * factor));
  const middle = low + (high - low) * around;
  const start = Math.max(0, Math.min(END - span, middle - span * around));
  return [start, start + span];
}

function panned([low, high], by) {
  const start = Math.max(0, Math.min(END - (high - low), low + by * (high - low)));
  return [start, start + high - low];
}

function Tracks({ run, shown, steps, moves, scale, view, setView, until, at, onChoose }) {
  const box = useRef(null);
  const state = useRef({});
  state.current = { view, setView };
  useEffect(() => {
    const element = box.current;
    const track = () => element.querySelector(".timeline-axis .track").getBoundingClientRect();
    const onWheel = (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
      event.preventDefault();
      const { left, width } = track();
      const { view: now, setView: set } = state.current;
      if (event.ctrlKey || event.metaKey) set(zoomed(...now, Math.exp(event.deltaY / 240), Math.max(0, Math.min(1, (event.clientX - left) / width))));
      else set(panned(now, (event.deltaX || event.deltaY) / width));
    };
    const onDown = (event) => {
      if (event.button !== 0 || !event.target.closest(".track") || state.current.view[1] - state.current.view[0] >= END) return;
      const { width } = track();
      const begun = { x: event.clientX, view: state.current.view };
      const onMove = (moved) => state.current.setView(panned(begun.view, (begun.x - moved.clientX) / width));
      const onUp = () => {
        removeEventListener("pointermove", onMove);
        removeEventListener("pointerup", onUp);
      };
      addEventListener("pointermove", onMove);
      addEventListener("pointerup", onUp);
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    element.addEventListener("pointerdown", onDown);
    return () => {
      element.removeEventListener("wheel", onWheel);
      element.removeEventListener("pointerdown", onDown);
    };
  }, []);
  const span = view[1] - view[0];
  const x = (ms) => ((scale.place(Math.max(scale.from, Math.min(scale.to, ms))) - view[0]) / span) * 100;
  const row = (place) => html`<${Row} key=${shown[place].id} step=${shown[place]} x=${x} until=${until} isChosen=${place === at} onChoose=${onChoose} />`;
  const height = Math.min(22, Math.max(2, shown.length)) * ROW_PX + 2 * 30 + 2;
  return html`<div ref=${box} style=${{ "--tracks-height": `${height}px` }} class="timeline-box">
    <${Virtual} count=${shown.length} height=${ROW_PX} row=${row} focus=${at < 0 ? null : at} label="Steps" class="timeline-rows">
      <div class="timeline-head"><${Axis} scale=${scale} view=${view} x=${x} /><${Statuses} moves=${moves} run=${run} until=${until} x=${x} /></div>
    <//>
    ${!shown.length && html`<p class="timeline-none">${steps.length ? "No step fits." : "It has done nothing yet that is recorded."}</p>`}
  </div>`;
}

function Axis({ scale, view, x }) {
  const [low, high] = [scale.moment(view[0]), scale.moment(Math.min(1, view[1]))];
  const marks = scale.gaps.length ? scale.gaps.map((gap) => [(gap.from + gap.to) / 2, `⋯ ${duration(gap.ms)} ⋯`]).filter(([ms]) => ms > low && ms < high)
    : ticks(low - scale.from, high - low, innerWidth > NARROW_PX ? 7 : 3).map(([offset, word]) => [scale.from + offset, word]);
  const track = useRef(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => setWidth(track.current.clientWidth));
  let free = 0; // the left of the next label, in pixels
  const drawn = marks.filter(([ms, word]) => {
    const wide = word.length * LETTER_PX + LABEL_GAP_PX;
    const left = (x(ms) / 100) * width - (scale.gaps.length ? wide / 2 : 0);
    const fits = left >= free && left + wide <= width;
    if (fits) free = left + wide;
    return fits;
  });
  return html`<div class="timeline-axis"><span class="timeline-label">${exactTime(low)}</span><div class="track" ref=${track}>${drawn.map(([ms, word]) => html`<span key=${ms} class=${classes("tick", scale.gaps.length && "tick-gap")}
    style=${{ left: `${x(ms)}%` }}>${word}</span>`)}</div><span class="timeline-said">Took</span></div>`;
}

function Statuses({ moves, run, until, x }) {
  const segments = moves.length ? segmentsOf(moves, run.finished_at_ms ?? until) : [{ status: run.status, from: run.created_at_ms, to: until, move: null }];
  const drawn = segments.filter(({ from, to, status }) => x(to) > 0 && x(from) < 100 && !(TERMINAL.has(status) && to <= from));
  const handovers = handoversOf(moves).filter(({ at }) => x(at) > 0 && x(at) < 100);
  return html`<div class="timeline-statuses"><span class="timeline-label"><b>status</b></span><div class="track">${drawn.slice(-400).map(({ status, from, to, move }, place) => html`
    <i key=${place} class="segment is-${status}" style=${{ left: `${x(from)}%`, width: `${Math.max(0, x(to) - x(from))}%` }}
      title=${`${wordOf(status)} for ${duration(to - from)}${move ? `: ${moveWords(move)}` : ""}`}></i>`)}
      ${handovers.slice(-100).map(({ at, from, to }) => html`<i key=${`to ${at}`} class="handover" style=${{ left: `${x(at)}%` }} title=${`${to} took over from ${from}`}></i>`)}</div>
    <span class="timeline-said">${duration((run.finished_at_ms ?? until) - run.created_at_ms)}</span></div>`;
}

/** When another worker took the run than the one that had it before: `[{at, from, to}]`. */
export function handoversOf(moves) {
  const taken = moves.filter((move) => move.worker);
  return taken.flatMap((move, place) => (place > 0 && taken[place - 1].worker !== move.worker ? [{ at: move.at_ms, from: taken[place - 1].worker, to: move.worker }] : []));
}

function Row({ step, x, until, isChosen, onChoose }) {
  const { called, begun, outcome, kind } = step;
  const ended = step.ended ?? until;
  const name = nameOf(step.label);
  const start = begun ?? called;
  const tries = triesOf(step);
  const isWait = kind !== "task" || (!begun && !step.executing) || tries.length > 0;
  const span = step.ended || step.executing || step.wait ? duration(ended - start) : "";
  const due = step.wait?.deadline_ms;
  const attempts = step.entry?.attempts ?? step.executing?.attempt ?? step.wait?.attempt ?? 0;
  const said = `${KINDS[kind]?.[0] ?? kind} ${name}, ${saidOf(step) || wordOf(outcome)}, ${span}`;
  return html`<div role="listitem" class=${classes("timeline-row", `is-${outcome}`, isChosen && "is-at")}>
    <button type="button" class="timeline-label" aria-pressed=${isChosen} aria-label=${said} onClick=${() => onChoose(step.id)} title=${step.label}>
      <${Icon} name=${KINDS[kind]?.[1]} size=${13} /><span><b>${name}</b><span class="timeline-args">${step.label.slice(name.length)}</span></span></button>
    <div class="track" onClick=${() => onChoose(step.id)}>
      ${begun && called < begun && html`<i class="bar queue" style=${{ left: `${x(called)}%`, width: `${x(begun) - x(called)}%` }} title=${`called ${duration(begun - called)} before it began`}></i>`}
      <i class=${classes("bar", isWait && "wait", tries.length > 0 && "is-awaiting_retry", !step.ended && "open")} style=${{ left: `${x(start)}%`, width: `${x(ended) - x(start)}%` }}></i>
      ${tries.map((one) => html`<i key=${one.attempt} class=${`bar is-${one.outcome}`} style=${{ left: `${x(one.from)}%`, width: `${x(one.to ?? until) - x(one.from)}%` }}
        title=${`attempt ${one.attempt}, ${duration((one.to ?? until) - one.from)}${one.error ? `: ${one.error}` : ""}`}></i>`)}
    </div>
    <span class="timeline-said">${attempts > 1 && html`<em title=${`${attempts} attempts`}>×${count(attempts)}</em>`}${due && due > until && !step.executing ? html`<span title=${`for ${span} so far`}>${duration(due - until)} left</span>` : span}</span>
  </div>`;
}
