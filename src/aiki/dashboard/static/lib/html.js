/* What components are written with: one place to import from, so that nobody names the vendored files twice. */

import { Fragment, h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
export { batch, computed, effect, signal, useComputed, useSignal, useSignalEffect } from "../vendor/signals.js";
export { Fragment, h, render };

export const html = htm.bind(h);

/** Join the names of classes that apply. */
export function classes(...names) {
  return names.filter(Boolean).join(" ");
}
