/* The chosen step, or, where none is chosen, the run's own input and outcome. */

import { html } from "../../lib/html.js";
import { count, duration, exactTime, shortId, wholeTime } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { href } from "../../lib/router.js";
import { wordOf } from "../../lib/words.js";
import { Copy, serverNow } from "../../parts/basics.js";
import { Failure } from "../../parts/failure.js";
import { Json } from "../../parts/json.js";
import { KINDS, nameOf, saidOf, triesOf } from "./steps.js";

export function Detail({ step, run, onClose }) {
  if (!step) return html`<aside class="detail outcome panel" aria-label="Outcome"><${Outcome} run=${run} /></aside>`;
  const { entry, result, wait, executing } = step;
  const last = result ?? entry;
  const value = result?.result ?? (step.kind === "child" ? undefined : entry?.result);
  const error = last?.error ?? wait?.error;
  return html`<aside class="detail panel" aria-label="The chosen step">
    <header class="detail-head is-${step.outcome}"><${Icon} name=${KINDS[step.kind]?.[1]} size=${15} /><h2 title=${step.label}>${nameOf(step.label)}</h2>
      <button type="button" class="bare" aria-label="Close" onClick=${onClose}><${Icon} name="close" size=${14} /></button></header>
    <div class="detail-body">
      ${step.label !== nameOf(step.label) && html`<p class="detail-call"><code>${step.label}</code></p>`}
      <${Facts} step=${step} />
      <${Tries} step=${step} attempts=${entry?.attempts ?? wait?.attempt ?? 0} />
      ${error && html`<${Failure} error=${error} />`}
      ${executing?.progress !== undefined && html`<h3>Progress</h3><${Json} value=${executing.progress} label="the progress" />`}
      ${value !== undefined && html`<h3>${step.kind === "event" ? "What it carried" : "Result"}</h3><${Json} value=${value} label="the result" />`}
    </div>
  </aside>`;
}

function Facts({ step }) {
  const { entry, wait, executing } = step;
  const ended = step.ended ?? serverNow();
  const moment = (ms) => html`<time title=${wholeTime(ms)}>${exactTime(ms)}</time>`;
  const attempts = entry?.attempts ?? executing?.attempt ?? wait?.attempt ?? 0;
  return html`<dl class="facts">
    <dt>${KINDS[step.kind]?.[0] ?? step.kind}</dt><dd>${saidOf(step) || wordOf(step.outcome)}</dd>
    ${step.childId && html`<dt>Run</dt><dd><a href=${href(["runs", step.childId])}>…${shortId(step.childId)}</a></dd>`}
    <dt>Called</dt><dd>${moment(step.called)}</dd>
    ${step.begun && html`<dt>Began</dt><dd>${moment(step.begun)}${step.begun - step.called > 0 && html` <span class="none">after ${duration(step.begun - step.called)}</span>`}</dd>`}
    ${step.ended && html`<dt>Ended</dt><dd>${moment(step.ended)}</dd>`}
    <dt>${step.ended ? "Took" : "So far"}</dt><dd>${duration(ended - (step.begun ?? step.called))}</dd>
    ${(wait?.deadline_ms ?? entry?.deadline_ms) && html`<dt>Due</dt><dd>${moment(wait?.deadline_ms ?? entry.deadline_ms)}</dd>`}
    ${entry?.duration_ms && html`<dt>Asked for</dt><dd>${duration(entry.duration_ms)}</dd>`}
    ${attempts > 0 && html`<dt>Attempts</dt><dd>${count(attempts)}</dd>`}
    ${entry && html`<dt>Entry</dt><dd>${count(entry.seq)}${entry.mail ? `, of message ${count(entry.mail)}` : ""}</dd>`}
    ${entry?.where && html`<dt>Code</dt><dd><${Copy} text=${entry.where} what="the place"><code>${entry.where}</code><//></dd>`}
  </dl>`;
}

/** What each attempt came to, where there was more than one. */
function Tries({ step, attempts }) {
  const tries = triesOf(step);
  if (!tries.length) return null;
  const untold = attempts - tries.filter((one) => one.to).length;
  return html`<h3>Attempts</h3><ol class="tries">${tries.map((one, place) => html`${place === 1 && untold > 0 && html`<li class="none">${count(untold)} more, of which nothing else is kept</li>`}
    <li key=${one.attempt} class=${`is-${one.outcome}`}><b>${one.attempt}</b><span>${one.error || wordOf(one.outcome)}</span><time title=${wholeTime(one.from)}>${exactTime(one.from)}</time><span class="number">${duration((one.to ?? serverNow()) - one.from)}</span></li>`)}</ol>`;
}

/** Input, output and error of the run itself; of one that failed, first what it was given. */
export function Outcome({ run }) {
  const input = html`<h3>Input</h3><${Json} value=${run.input} label="the input" />`;
  return html`<div class="detail-body">
    ${run.error && input}
    ${run.error && html`<h3>Error</h3><${Failure} error=${run.error} />`}
    ${run.output !== undefined && html`<h3>Output</h3><${Json} value=${run.output} label="the output" />`}
    ${run.executing?.length > 0 && html`<h3>Now</h3>${run.executing.map((task) => html`<p key=${task.task}><b>${task.task}</b> <span class="none">attempt ${task.attempt}, for ${duration(serverNow() - task.since_ms)}</span></p>
      ${task.progress !== undefined && html`<${Json} value=${task.progress} label="the progress" />`}`)}`}
    ${!run.error && input}
  </div>`;
}

