/* Errors of authors' code. The rule: first what went wrong, then where in the author's code; the whole way there is one click away. */

import { html, useState } from "../lib/html.js";
import { ownCall } from "../lib/traceback.js";
import { errorName } from "../lib/words.js";
import { Copy } from "./basics.js";
import { Json } from "./json.js";

const CAUSES_MAX = 10;

/** An error with its traceback, details and causes. */
export function Failure({ error }) {
  if (!error) return null;
  const causes = [];
  for (let cause = error.cause; cause && causes.length < CAUSES_MAX; cause = cause.cause) causes.push(cause);
  return html`<div class="failure is-failed">
    <${One} error=${error} />
    ${causes.map((cause) => html`<p class="failure-from">raised from</p><${One} error=${cause} />`)}
  </div>`;
}

function One({ error }) {
  return html`<div class="failure-one">
    <p class="failure-head"><b title=${error.type}>${errorName(error.type)}</b>${error.code && html` <code>${error.code}</code>`}</p>
    <p class="failure-message">${error.message}</p>
    ${error.details !== undefined && html`<${Json} value=${error.details} label="the details" />`}
    ${error.traceback && html`<${Traceback} text=${error.traceback} />`}
  </div>`;
}

function Traceback({ text }) {
  const [isWhole, setWhole] = useState(false);
  const own = ownCall(text);
  return html`<div class="traceback"><${Copy} text=${text} what="the traceback" /><pre tabindex="0">${isWhole || !own ? text : own.text}</pre>
    ${own && html`<button type="button" class="link" aria-expanded=${isWhole} onClick=${() => setWhole(!isWhole)}>${isWhole ? "Show your own last call alone" : `Show all ${own.calls} calls`}</button>`}</div>`;
}
