/* What asks before it acts. The rule: one dialog at a time, the browser's own, so that focus and Escape work as everywhere. */

import { html, signal, useEffect, useRef, useState } from "../lib/html.js";
import { Icon } from "../lib/icons.js";

/** Where a reader begins to write: at what must be filled in, then at what the dialog is about, then anywhere. */
const FIRST = [".start-options input[required]", ".bare-fields :is(input, select, textarea)", "textarea", "input:not([type=checkbox])"];

const open = signal(null);

/** Show a dialog: `content(close)` is drawn in it. */
export function show(title, content, { wide = false } = {}) {
  open.value = { title, content, wide };
}

/** Close what is shown. */
export function close() {
  open.value = null;
}

/** Ask whether to do something, with a reason if `reason` says so; `act(reason)` is done on yes. */
export function confirm({ title, text, yes, act, isDanger = false, reason = false }) {
  show(title, () => html`<${Confirm} ...${{ text, yes, act, isDanger, reason }} />`);
}

function Confirm({ text, yes, act, isDanger, reason }) {
  const [isBusy, setBusy] = useState(false);
  const field = useRef(null);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    const isDone = await act(field.current?.value.trim() || null);
    setBusy(false);
    if (isDone !== false) close();
  };
  return html`<form onSubmit=${submit}>
    <p>${text}</p>
    ${reason && html`<label>Reason, for those who look at it later <span class="optional">optional</span><input ref=${field} maxlength="500" autofocus /></label>`}
    <footer><button type="button" class="button" onClick=${close}>Not now</button>
      <button class="button ${isDanger ? "danger" : "primary"}" disabled=${isBusy} autofocus=${!reason}>${yes}</button></footer>
  </form>`;
}

/** Where dialogs appear. */
export function Dialogs() {
  const element = useRef(null);
  const isOurs = useRef(false); // that it closes is told late, when the next one may be there already
  const shown = open.value;
  useEffect(() => {
    if (shown && !element.current.open) {
      element.current.showModal();
      FIRST.map((one) => element.current.querySelector(one)).find(Boolean)?.focus();
    }
    if (!shown && element.current.open) {
      isOurs.current = true;
      element.current.close();
    }
  }, [shown]);
  const onDown = (event) => event.target === element.current && close();
  const onClose = () => {
    if (!isOurs.current) close();
    isOurs.current = false;
  };
  return html`<dialog ref=${element} class=${shown?.wide ? "wide" : ""} aria-labelledby="dialog-title" onClose=${onClose} onPointerDown=${onDown}>
    ${shown && html`<div class="dialog">
      <header><h2 id="dialog-title">${shown.title}</h2><button type="button" class="bare" aria-label="Close" onClick=${close}><${Icon} name="close" /></button></header>
      ${shown.content(close)}
    </div>`}
  </dialog>`;
}
