/* The list itself: a table on a wide screen, cards on a narrow one. */

import { classes, html, useEffect, useRef } from "../../lib/html.js";
import { duration, shortId } from "../../lib/format.js";
import { Icon } from "../../lib/icons.js";
import { ask, BASE, go, href } from "../../lib/router.js";
import { causeLine, TERMINAL, waitCell } from "../../lib/words.js";
import { Badge, serverNow, Time, Took } from "../../parts/basics.js";
import { withTag } from "./filter.js";

/** What a column sorts by; only what is on the page is sorted, for the list itself is newest first. */
export const ORDERS = {
  status: (run) => run.status,
  workflow: (run) => `${run.workflow} ${run.version}`,
  reference: (run) => run.reference_id ?? "",
  started: (run) => run.created_at_ms,
  duration: (run) => (run.finished_at_ms ?? Date.now()) - (run.started_at_ms ?? Date.now()),
};

/** Return the runs in the order that the address asks for. */
export function sorted(runs, sort) {
  const name = sort.replace("-", "");
  if (!Object.hasOwn(ORDERS, name)) return runs;
  const by = ORDERS[name];
  const down = sort.startsWith("-") ? -1 : 1;
  return [...runs].sort((one, other) => {
    const [left, right] = [by(one), by(other)];
    return (left < right ? -1 : left > right ? 1 : 0) * down;
  });
}

export function Table({ runs, sort, at, isOn, onChoose, onChooseAll, setOver }) {
  const isAll = runs.length > 0 && runs.every(isOn);
  const isSome = !isAll && runs.some(isOn);
  const body = useRef(null);
  useEffect(() => {
    body.current?.querySelector(".is-at")?.scrollIntoView({ block: "nearest" });
  }, [at]);
  useEffect(() => () => setOver(false), []);
  const over = (is) => (event) => event.pointerType === "mouse" && setOver(is);
  return html`<div class="runs-box"><table class="runs">
    <thead><tr>
      <th class="cell-choose"><input type="checkbox" checked=${isAll} indeterminate=${isSome} onChange=${onChooseAll} aria-label="Choose all on this page" /></th>
      <${Head} name="status" sort=${sort}>Status<//><${Head} name="workflow" sort=${sort}>Workflow<//><${Head} name="reference" sort=${sort}>Reference<//>
      <th scope="col">Why</th>
      <${Head} name="started" sort=${sort} isNumber>Started<//><${Head} name="duration" sort=${sort} isNumber>Duration<//>
    </tr></thead>
    <tbody ref=${body} onPointerEnter=${over(true)} onPointerLeave=${over(false)}>${runs.map((run) => html`<${Row} key=${run.id} run=${run} onChoose=${onChoose} isChosen=${isOn(run)} isAt=${run.id === at} />`)}</tbody>
  </table></div>`;
}

function Head({ name, sort, isNumber = false, children }) {
  const direction = sort === name ? "ascending" : sort === `-${name}` ? "descending" : null;
  const next = direction === "ascending" ? `-${name}` : direction === "descending" ? null : name;
  return html`<th scope="col" aria-sort=${direction} class=${classes(isNumber && "cell-number")}>
    <button type="button" onClick=${() => ask({ sort: next })} title="Sort what is on this page: pages are newest first">${children}<${Icon} name="down" size=${11} class=${classes("sort", direction)} /></button></th>`;
}

/** Open a run by a click anywhere on its row that is meant for nothing else, and selects no text. */
function open(event, address) {
  if (event.target.closest("a, button, .cell-choose") || getSelection()?.type === "Range") return;
  if (event.metaKey || event.ctrlKey) window.open(new URL(address, BASE), "_blank", "noopener");
  else {
    go(address);
    scrollTo(0, 0);
  }
}

function Row({ run, isChosen, isAt, onChoose }) {
  const address = href(["runs", run.id]);
  return html`<tr class=${classes(isChosen && "is-chosen", isAt && "is-at")} onClick=${(event) => open(event, address)}>
    <td class="cell-choose"><input type="checkbox" checked=${isChosen} onClick=${(event) => onChoose(run.id, event.shiftKey)} aria-label=${`Choose run ${shortId(run.id)}`} /></td>
    <td class="cell-status"><${Badge} status=${run.status} /></td>
    <td class="cell-workflow"><a href=${address} class="run-link" data-run=${run.id}><b>${run.workflow}</b> <span class="version">${run.version}</span></a></td>
    <td class="cell-reference"><a href=${address} tabindex="-1" title=${run.id}>${run.reference_id ?? html`<code>…${shortId(run.id)}</code>`}</a>
      ${Object.entries(run.tags ?? {}).slice(0, 2).map(([name, value]) => html`<a class="tag" key=${name} href=${withTag(`${name}:${value}`)}>${name}:${value}</a>`)}</td>
    <td class="cell-waits"><div><${Waits} run=${run} /></div></td>
    <td class="cell-number"><${Time} at=${run.started_at_ms ?? run.created_at_ms} /></td>
    <td class="cell-number"><${Took} from=${run.started_at_ms} to=${run.finished_at_ms} /></td>
  </tr>`;
}

function Waits({ run }) {
  const [first] = run.waits ?? [];
  if (run.status === "failed" || run.status === "stalled") {
    return html`<span class="waits-why is-${run.status}" title=${run.error?.message ?? run.why}>${causeLine(run.error ?? run.why ?? "")}</span>`;
  }
  if (run.status === "scheduled") return html`<${Starts} at=${run.due_at_ms ?? run.alarm_at_ms} />`;
  if (run.status === "queued") return html`<span class="waits-name" title=${run.why}>a worker</span>`;
  if (run.status === "running") return html`<span class="none">${run.worker && `by ${run.worker}`}</span>`;
  if (TERMINAL.has(run.status)) return run.why ? html`<span class="none" title=${run.why}>${run.why}</span>` : null;
  if (!first) return html`<span class="none" title=${run.why}>${run.why}</span>`;
  return html`<${Wait} wait=${first} more=${(run.waits_count ?? run.waits.length) - 1} />`;
}

function Starts({ at }) {
  return html`<span class="waits-name">its start</span><span class="number waits-left">${duration(Math.max(0, at - serverNow()))}</span>`;
}

function Wait({ wait, more }) {
  const { name, left } = waitCell(wait, serverNow());
  return html`<span class="waits-name">${name}</span>${left && html`<span class="number waits-left">${left}</span>`}${more > 0 && html`<span class="none">+${more}</span>`}`;
}
