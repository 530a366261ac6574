/* Errors of authors' code. The rule: first what went wrong, then where; the whole traceback is one click away. */

import { html, useState } from "../lib/html.js";
import { errorName } from "../lib/words.js";
import { Copy } from "./basics.js";
import { Json } from "./json.js";

const CAUSES_MAX = 10;

/** An error with its traceback, details and causes. */
export function Failure({ error, open = true }) {
  if (!error) return null;
  const causes = [];
  for (let cause = error.cause; cause && causes.length < CAUSES_MAX; cause = cause.cause) causes.push(cause);
  return html`<div class="failure is-failed">
    <${One} error=${error} open=${open} />
    ${causes.map((cause) => html`<p class="failure-from">raised from</p><${One} error=${cause} open=${false} />`)}
  </div>`;
}

function One({ error, open }) {
  const [isOpen, setOpen] = useState(open);
  return html`<div class="failure-one">
    <p class="failure-head"><b title=${error.type}>${errorName(error.type)}</b>${error.code && html` <code>${error.code}</code>`}</p>
    <p class="failure-message">${error.message}</p>
    ${error.details !== undefined && html`<${Json} value=${error.details} label="the details" />`}
    ${error.traceback && html`<details open=${isOpen} onToggle=${(event) => setOpen(event.target.open)}>
      <summary>Traceback</summary>
      <div class="traceback"><${Copy} text=${error.traceback} what="the traceback" /><pre tabindex="0">${error.traceback}</pre></div></details>`}
  </div>`;
}
