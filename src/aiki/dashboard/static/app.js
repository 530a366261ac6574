/* The dashboard: begins here. The rule: it knows no page by itself; `pages/index.js` is the table of them. */

import { html, render } from "./lib/html.js";
import { begin } from "./lib/live.js";
import { listen } from "./lib/router.js";
import { listenToKeys } from "./lib/keys.js";
import { Shell } from "./parts/shell.js";

listen();
listenToKeys();
begin();
const root = document.getElementById("app");
root.textContent = "";
render(html`<${Shell} />`, root);
