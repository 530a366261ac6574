/*
 * Long lists of rows of one height. The rule: only what can be seen is there, so that ten thousand rows cost what fifty do;
 * rows are placed by a margin, so that find, focus and screen readers see them in order.
 */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../lib/html.js";

const EXTRA_ROWS = 12;

/**
 * A list that scrolls in itself.
 *
 * @param count how many rows there are
 * @param height of one, in pixels
 * @param row draws one: `(place) => vnode`
 * @param focus the place that is to be seen, or null
 */
export function Virtual({ count, height, row, focus = null, class: more = "", label, children }) {
  const box = useRef(null);
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  useEffect(() => {
    const element = box.current;
    const measure = () => setSeen({ top: element.scrollTop, height: element.clientHeight });
    const watching = new ResizeObserver(measure);
    watching.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      watching.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useLayoutEffect(() => {
    if (focus === null || focus < 0) return;
    const element = box.current;
    const top = focus * height;
    if (top < element.scrollTop + height) element.scrollTop = Math.max(0, top - height);
    else if (top + 2 * height > element.scrollTop + element.clientHeight) element.scrollTop = top + 2 * height - element.clientHeight;
  }, [focus]);
  const first = Math.max(0, Math.floor(seen.top / height) - EXTRA_ROWS);
  const last = Math.min(count, Math.ceil((seen.top + seen.height) / height) + EXTRA_ROWS);
  // A row that was drawn by the same `row` is the same, and is not looked at again: only what comes into sight costs anything.
  const drawn = useRef({ row: null, rows: new Map() });
  const kept = drawn.current.row === row ? drawn.current.rows : new Map();
  const seenRows = new Map();
  for (let place = first; place < last; place++) seenRows.set(place, kept.get(place) ?? row(place));
  drawn.current = { row, rows: seenRows };
  const rows = [...seenRows.values()];
  return html`<div class="virtual ${more}" ref=${box} role="list" aria-label=${label}>
    ${children}
    <div class="virtual-all" style=${{ height: `${count * height}px` }}><div class="virtual-seen" style=${{ transform: `translateY(${first * height}px)` }}>${rows}</div></div>
  </div>`;
}
