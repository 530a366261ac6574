/*
 * The command palette. The rule: whatever can be reached by the mouse can be reached from here with a few letters: pages,
 * saved views, what this page can do, statuses, workflows, schedules, workers, and any run by the beginning of its id or reference.
 */

import { actions } from "../lib/actions.js";
import { classes, html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { alike } from "../lib/alike.js";
import { get } from "../lib/api.js";
import { Icon } from "../lib/icons.js";
import { setTheme, theme, THEMES, views } from "../lib/prefs.js";
import { go, href } from "../lib/router.js";
import { STATUSES, wordOf } from "../lib/words.js";
import { PAGES } from "../pages/index.js";
import { group } from "../pages/workflows/page.js";
import { askStart } from "../pages/workflows/start.js";
import { Badge } from "./basics.js";
import { close, show } from "./dialog.js";

const FOUND_MAX = 8;
const SEARCH_AFTER_MS = 160;
const SEARCH_FROM_CHARS = 2;

/** Open it. */
export function openPalette() {
  show("Search, or do", () => html`<${Palette} />`);
}

function commands() {
  return [
    ...actions.value.map((action) => ({ ...action, group: "This page" })),
    ...PAGES.map(({ name, title, key }) => ({ word: title, icon: name, group: "Pages", hint: `g ${key}`, run: () => go(href([name])) })),
    ...views.value.map(({ name, address }) => ({ word: name, icon: "bookmark", group: "Saved views", run: () => go(address) })),
    ...THEMES.filter((one) => one !== theme.value).map((one) => ({ word: `Theme: ${one}`, icon: one === "dark" ? "moon" : one === "light" ? "sun" : "system",
      group: "Appearance", run: () => setTheme(one) })),
  ];
}

/** What is found only by whoever types: statuses, and what the server knows by name, asked for once. */
function usePlaces() {
  const [named, setNamed] = useState([]);
  useEffect(() => {
    const own = new AbortController();
    const ask = (path, made) => get(path, {}, { signal: own.signal }).then((answer) => own.signal.aborted || setNamed((old) => [...old, ...made(answer)])).catch(() => null);
    ask("v1/workflows", ({ versions = [] }) => group(versions).flatMap(({ name, versions: own }) => [
      { word: name, icon: "workflows", group: "Workflows", run: () => go(href(["workflows"], { name })) },
      { word: `Start ${name}`, icon: "play", group: "Workflows", run: () => askStart(name, own) }]));
    ask("v1/schedules", ({ schedules = [] }) => schedules.map(({ name }) => ({ word: name, icon: "schedules", group: "Schedules", run: () => go(href(["schedules", name])) })));
    ask("v1/workers", ({ workers = [] }) => [...new Set(workers.map(({ name }) => name))].map((name) => ({ word: name, icon: "workers", group: "Workers", run: () => go(href(["workers"])) })));
    return () => own.abort();
  }, []);
  const statuses = STATUSES.map((status) => ({ word: `Runs: ${wordOf(status)}`, icon: status, group: "Runs by status", run: () => go(href(["runs"], { status })) }));
  return [...statuses, ...[...named].sort((one, other) => (one.group < other.group ? -1 : one.group > other.group ? 1 : 0))];
}

function useFound(text) {
  const [found, setFound] = useState({ text: "", runs: [] });
  useEffect(() => {
    if (text.length < SEARCH_FROM_CHARS) return setFound({ text, runs: [] });
    const own = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const page = await get("v1/runs", { search: text, limit: FOUND_MAX }, { signal: own.signal });
        setFound(page.runs.length ? { text, runs: page.runs } : { text, runs: await alike(text, own.signal), isAlike: true });
      } catch {
        if (!own.signal.aborted) setFound({ text, runs: [] });
      }
    }, SEARCH_AFTER_MS);
    return () => {
      clearTimeout(timer);
      own.abort();
    };
  }, [text]);
  return found;
}

function Palette() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef(null);
  const wanted = text.trim();
  const found = useFound(wanted);
  const places = usePlaces();
  const items = useMemo(() => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const offered = commands();
    const taken = new Set(offered.map(({ word }) => word));
    const fitting = [...offered, ...(words.length ? places.filter(({ word }) => !taken.has(word)) : [])].filter(({ word }) => words.every((one) => word.toLowerCase().includes(one)));
    const runs = found.runs.map((run) => ({ run: () => go(href(["runs", run.id])), group: found.isAlike ? `Nothing begins with ${found.text}. What has it behind its first words` : "Runs", shown: run, word: run.id }));
    return [...runs, ...fitting];
  }, [wanted, found, places.length]);
  const place = Math.min(at, Math.max(0, items.length - 1));
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [place]);
  const pick = (item) => {
    close();
    queueMicrotask(item.run);
  };
  const onKey = (event) => {
    if (event.key === "ArrowDown") setAt((place + 1) % Math.max(1, items.length));
    else if (event.key === "ArrowUp") setAt((place - 1 + items.length) % Math.max(1, items.length));
    else if (event.key === "Enter" && items[place]) pick(items[place]);
    else return;
    event.preventDefault();
  };
  let group = null;
  return html`<div class="palette">
    <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant=${items[place] ? `palette-${place}` : null}
      aria-label="Search" placeholder="A page, action, status, workflow, worker, or how a reference begins…" autofocus spellcheck=${false} autocomplete="off" value=${text}
      onInput=${(event) => { setText(event.target.value); setAt(0); }} onKeyDown=${onKey} />
    <div id="palette-list" class="palette-list" role="listbox" aria-label="Found" ref=${list}>
      ${items.map((item, number) => {
        const head = item.group !== group && (group = item.group);
        return html`${head && html`<p class="palette-group" role="presentation">${head}</p>`}
          <div id=${`palette-${number}`} role="option" aria-selected=${number === place} class=${classes("palette-item")} onClick=${() => pick(item)} onPointerMove=${() => setAt(number)}>
            ${item.shown ? html`<${FoundRun} run=${item.shown} />` : html`<${Icon} name=${item.icon} /><span>${item.word}</span>${item.hint && html`<kbd>${item.hint}</kbd>`}`}
          </div>`;
      })}
      ${!items.length && html`<p class="palette-none">${found.text === wanted ? `No page or action has ${wanted} in it, and no reference or run id begins with it.` : "Looking…"}</p>`}
    </div>
  </div>`;
}

function FoundRun({ run }) {
  return html`<${Badge} status=${run.status} /><span>${run.workflow}</span><span class="palette-more">${run.reference_id ?? run.id}</span>`;
}
