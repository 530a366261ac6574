/* What stands around every page: navigation, connection, theme, palette and keys. */

import { classes, html, useEffect } from "../lib/html.js";
import { isKeyWanted } from "../lib/api.js";
import { Icon } from "../lib/icons.js";
import { useKeys } from "../lib/keys.js";
import { connection } from "../lib/live.js";
import { setTheme, theme, THEMES } from "../lib/prefs.js";
import { go, href, parts, query } from "../lib/router.js";
import { HOME, PAGES, pageOf } from "../pages/index.js";
import { Empty, KeyForm } from "./basics.js";
import { Dialogs } from "./dialog.js";
import { openHelp } from "./help.js";
import { openPalette } from "./palette.js";
import { Toasts } from "./toasts.js";

const THEME_ICONS = { system: "system", light: "sun", dark: "moon" };

export function Shell() {
  const found = pageOf(parts.value);
  useKeys("Everywhere", [
    { press: "mod+k", does: "Search and go anywhere", run: openPalette },
    { press: "?", does: "Show the keys", run: openHelp },
    { press: "t", does: "Change the theme", run: nextTheme },
    ...PAGES.map(({ name, title, key }) => ({ press: `g ${key}`, does: `Go to ${title.toLowerCase()}`, run: () => go(href([name])) })),
  ]);
  useEffect(() => {
    document.title = found ? `${found.title} · Aiki` : "Aiki";
  }, [found?.name]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Go to the page's content</a>
    <${Side} current=${found?.name} />
    <main id="main" tabindex="-1">${content(found)}</main>
    <${Dialogs} /><${Toasts} />`;
}

function content(found) {
  if (isKeyWanted.value) return html`<${KeyForm} />`;
  if (!found) {
    return html`<${Empty} title="There is nothing here" icon="search"><p>The address may be cut short, or mistyped.</p><a class="button" href=${href(["runs"])}>All runs</a><//>`;
  }
  return found.id === null ? html`<${found.page} key=${found.name} />` : html`<${found.one} key=${found.id} id=${found.id} />`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]);
}

function Side({ current }) {
  const namespace = query.value.get("ns");
  return html`<nav class="side" aria-label="Pages">
    <a class="brand" href=${href([HOME])} aria-label="Aiki"><${Mark} /><b>Aiki</b></a>
    <div class="side-pages">${PAGES.map(({ name, title, key }) => html`<a key=${name} href=${href([name])} aria-current=${name === current ? "page" : null}
      title=${`${title}: g ${key}`}><${Icon} name=${name} /><span>${title}</span></a>`)}</div>
    <div class="side-foot">
      ${namespace && html`<p class="side-namespace" title="The namespace that is shown">in <b>${namespace}</b></p>`}
      <button type="button" class="side-find" onClick=${openPalette}><${Icon} name="search" size=${14} /><span>Search</span><kbd>Ctrl K</kbd></button>
      <div class="side-row">
        <${Connection} />
        <button type="button" class="bare" onClick=${openHelp} aria-label="Keys" title="Keys: ?"><${Icon} name="keys" /></button>
        <button type="button" class="bare" onClick=${nextTheme} aria-label=${`Theme: ${theme.value}`} title=${`Theme: ${theme.value}. Press t.`}><${Icon} name=${THEME_ICONS[theme.value]} /></button>
      </div>
    </div>
  </nav>`;
}

const SAID = {
  live: ["Live", "Changes are shown as they happen."],
  connecting: ["Connecting", "The page is asking for changes."],
  lost: ["No connection", "The server does not answer. The page goes on asking; what it shows may be old."],
};

function Connection() {
  const [word, means] = SAID[connection.value];
  return html`<span class=${classes("connection", connection.value)} title=${means} role="status"><i></i>${word}</span>`;
}

function Mark() {
  return html`<svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true"><rect class="mark-box" width="32" height="32" rx="8" />
    <path class="mark-line" d="M7 21.500c4.200 0 5.200-11 9-11s4.800 11 9 11" /><circle class="mark-dot" cx="16" cy="21.500" r="2.200" /></svg>`;
}
