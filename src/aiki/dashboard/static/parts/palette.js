/*
 * The command palette. The rule: whatever can be reached by the mouse can be reached from here with a few letters: pages,
 * saved views, what this page can do, workflows, and any run by the beginning of its id or reference.
 */

import { actions } from "../lib/actions.js";
import { classes, html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { alike } from "../lib/alike.js";
import { get } from "../lib/api.js";
import { Icon } from "../lib/icons.js";
import { setTheme, theme, THEMES, views } from "../lib/prefs.js";
import { go, href } from "../lib/router.js";
import { PAGES } from "../pages/index.js";
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
  const items = useMemo(() => {
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = commands().filter(({ word }) => words.every((one) => word.toLowerCase().includes(one)));
    const runs = found.runs.map((run) => ({ run: () => go(href(["runs", run.id])), group: found.isAlike ? `Nothing begins with ${found.text}. What has it behind its first words` : "Runs", shown: run, word: run.id }));
    return [...runs, ...fitting];
  }, [wanted, found]);
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
      aria-label="Search" placeholder="A page, an action, the beginning of a run's id or reference…" autofocus spellcheck=${false} autocomplete="off" value=${text}
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
