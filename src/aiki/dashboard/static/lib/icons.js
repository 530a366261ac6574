/* Icons, drawn here: 16 by 16, one line's width, in the colour of their text. */

import { html } from "./html.js";

const SHAPES = {
  completed: "M3.5 8.5l3 3 6-7",
  failed: "M4.500 4.500l7 7M11.500 4.500l-7 7",
  cancelled: "M8 2a6 6 0 100 12A6 6 0 008 2zM3.800 3.800l8.400 8.400",
  running: "M8 2a6 6 0 11-6 6",
  queued: "M3 4.500h10M3 8h10M3 11.500h6",
  scheduled: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 4.800V8l2.200 1.600",
  sleeping: "M13 9.500A5.500 5.500 0 016.500 3 5.500 5.500 0 1013 9.500z",
  awaiting_event: "M2.500 9.500h3l1 2h3l1-2h3M2.500 9.500l2-6h7l2 6v4h-11z",
  awaiting_child: "M5 3v6.500a2 2 0 002 2h4.500M9.500 9.500l2 2-2 2M5 5.500h6",
  awaiting_retry: "M12.500 5.500A5.200 5.200 0 108 13.200a5.200 5.200 0 004.700-3M12.800 2.500v3.200H9.600",
  paused: "M5.500 3.500v9M10.500 3.500v9",
  stalled: "M8 2.500l6.200 11H1.800zM8 6.500v3.200M8 11.600v.2",
  overview: "M2.500 13.500v-5h3v5zM6.500 13.500v-11h3v11zM10.500 13.500v-8h3v8z",
  runs: "M2.500 4h11M2.500 8h11M2.500 12h7",
  workflows: "M2.500 2.500h4v4h-4zM9.500 9.500h4v4h-4zM6.500 4.500h3a2 2 0 012 2v3",
  schedules: "M2.500 4h11v9.500h-11zM2.500 7h11M5.500 2.500V4M10.500 2.500V4",
  workers: "M3 3h10v4H3zM3 9h10v4H3zM5.200 5h.1M5.200 11h.1",
  jobs: "M2.500 5.500l5.500-3 5.500 3-5.500 3zM2.500 8l5.500 3 5.500-3M2.500 10.500l5.500 3 5.500-3",
  search: "M7 2.500a4.500 4.500 0 100 9 4.500 4.500 0 000-9zM10.300 10.300l3.200 3.200",
  close: "M4 4l8 8M12 4l-8 8",
  chevron: "M6 4l4 4-4 4",
  down: "M4 6l4 4 4-4",
  back: "M10 4L6 8l4 4",
  copy: "M5.500 5.500h8v8h-8zM10.500 5.500v-3h-8v8h3",
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1.500v1.200M8 13.300v1.200M1.500 8h1.200M13.300 8h1.200M3.400 3.400l.9.9M11.700 11.700l.9.9M12.600 3.400l-.9.9M4.300 11.700l-.9.9",
  moon: "M13 9.500A5.500 5.500 0 016.500 3 5.500 5.500 0 1013 9.500z",
  system: "M2.500 3h11v8h-11zM6 13.500h4M8 11v2.500",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.500 6v-3.500H6M10 2.500h3.500V6M13.500 10v3.500H10M6 13.500H2.500V10",
  bookmark: "M4 2.500h8v11l-4-3-4 3z",
  download: "M8 2.500v7.500M5 7.500L8 10.500l3-3M3 13.500h10",
  filter: "M2.500 3.500h11L9.500 8.500v4l-3 1.500V8.500z",
  play: "M5 3l8 5-8 5z",
  send: "M14 2L7 9M14 2l-4 12-3-5-5-3z",
  more: "M3.500 8h.01M8 8h.01M12.500 8h.01",
  task: "M3 3h10v10H3z",
  link: "M6.500 9.500l3-3M5 7.500l-1.500 1.500a2.500 2.500 0 003.500 3.500L8.500 11M11 8.500L12.500 7A2.500 2.500 0 009 3.500L7.500 5",
  keys: "M1.500 4h13v8.500h-13zM4 6.700h.01M6.700 6.700h.01M9.300 6.700h.01M12 6.700h.01M5 10h6",
  value: "M5.500 3c-2 0-1.500 2-1.500 3s-.5 2-2 2c1.500 0 2 1 2 2s-.5 3 1.500 3M10.500 3c2 0 1.500 2 1.500 3s.5 2 2 2c-1.500 0-2 1-2 2s.5 3-1.500 3",
};

/** An icon; it says nothing to a screen reader, for words stand beside it or in a label. */
export function Icon({ name, size = 16, class: more = "" }) {
  return html`<svg class="icon ${more}" width=${size} height=${size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d=${SHAPES[name] ?? SHAPES.task} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
  </svg>`;
}
