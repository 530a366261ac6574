/*
 * Small charts. The rule: a chart has its largest value and its ends written beside it, and says in one sentence what it
 * shows, for those who do not see it.
 */

import { html } from "../lib/html.js";
import { count, duration, time } from "../lib/format.js";

/** Columns of what happened in parts of a window. `series`: `[{name, word, status}]`, the first at the bottom. */
export function Columns({ parts, series, bucketMs, label }) {
  const sums = parts.map((part) => series.reduce((sum, { name }) => sum + (part[name] ?? 0), 0));
  const most = Math.max(1, ...sums);
  const said = series.map(({ name, word }) => `${count(parts.reduce((sum, part) => sum + (part[name] ?? 0), 0))} ${word}`).join(", ");
  return html`<figure class="chart">
    <${Key} ...${{ label, series }} />
    <div class="chart-plot" role="img" aria-label=${`${label}: ${said}`}><span class="chart-most">${count(most)}</span>
      ${parts.map((part, place) => html`<div class="chart-part" key=${part.at_ms} title=${titleOf(part, series, bucketMs)}>
        ${sums[place] > 0 && series.map(({ name, status }) => part[name] > 0 && html`<i key=${name} class=${`is-${status}`} style=${{ height: `${(100 * part[name]) / most}%` }}></i>`)}</div>`)}</div>
    <${Ends} parts=${parts} />
  </figure>`;
}

/** A line through `values`, one for each part. */
export function Line({ parts, values, label, status }) {
  const most = Math.max(1, ...values);
  const points = values.map((value, place) => `${(100 * place) / Math.max(1, values.length - 1)},${100 - (100 * value) / most}`);
  return html`<figure class="chart">
    <${Key} label=${label} series=${[]} />
    <div class="chart-plot" role="img" aria-label=${`${label}: ${count(values.at(-1) ?? 0)} now, ${count(most)} at most`}><span class="chart-most">${count(most)}</span>
      <svg class=${`chart-line is-${status}`} viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true"><polygon points=${`0,100 ${points.join(" ")} 100,100`} /><polyline points=${points.join(" ")} /></svg></div>
    <${Ends} parts=${parts} />
  </figure>`;
}

/** Durations of the last runs, the oldest first, as columns without axes. */
export function Spark({ runs }) {
  const most = Math.max(1, ...runs.map((run) => run.tookMs));
  return html`<span class="spark" role="img" aria-label=${`The last ${runs.length} durations, up to ${duration(most)}`}>
    ${runs.map((run) => html`<i key=${run.id} class=${`is-${run.status}`} title=${`${duration(run.tookMs)}, ${run.status}`} style=${{ height: `${Math.max(8, (100 * run.tookMs) / most)}%` }}></i>`)}</span>`;
}

function Key({ label, series }) {
  return html`<figcaption><b>${label}</b>${series.map(({ name, word, status }) => html`<span key=${name} class=${`is-${status}`}><i></i>${word}</span>`)}</figcaption>`;
}

function Ends({ parts }) {
  return html`<div class="chart-ends"><time>${parts.length > 0 && time(parts[0].at_ms)}</time><span>now</span></div>`;
}

function titleOf(part, series, bucketMs) {
  const said = series.map(({ name, word }) => `${count(part[name] ?? 0)} ${word}`).join(", ");
  return `${time(part.at_ms)}, ${duration(bucketMs)}: ${said}`;
}
