/* What the page that is shown offers to the palette. The rule: a page sets it, and takes it away when it goes. */

import { signal, useEffect } from "./html.js";

/** What can be done here: `[{word, icon, run}]`. */
export const actions = signal([]);

/** Offer actions of a page in the palette while it is shown. */
export function useActions(offered, deps) {
  useEffect(() => {
    actions.value = offered;
    return () => (actions.value = []);
  }, deps);
}
