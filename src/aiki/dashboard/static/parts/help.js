/* Which keys work now. */

import { html } from "../lib/html.js";
import { groups } from "../lib/keys.js";
import { show } from "./dialog.js";

const NAMES = { "mod+k": "Ctrl K", "mod+enter": "Ctrl Enter", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc", " ": "Space" };

/** Show them. */
export function openHelp() {
  show("Keys", () => html`<div class="help">${groups.value.map(({ title, keys }) => html`<section key=${title}><h3>${title}</h3>
    <dl>${keys.filter((one) => one.does).map(({ press, does }) => html`<div key=${press}><dt>${press.split(/ (?=.)/).map((part) => html`<kbd>${NAMES[part] ?? part}</kbd>`)}</dt>
      <dd>${does}</dd></div>`)}</dl></section>`)}</div>`);
}
