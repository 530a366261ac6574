/* What can be done to a schedule. The rule: what cannot be undone asks first, and a trigger leads to its run. */

import { newId, post } from "../../lib/api.js";
import { go, href, parts } from "../../lib/router.js";
import { confirm } from "../../parts/dialog.js";
import { attempt } from "../../parts/toasts.js";

async function verb(name, asked, { body = {}, done, refresh }) {
  let standing = null;
  const isDone = await attempt(async () => (standing = await post(`v1/schedules/${encodeURIComponent(name)}/${asked}`, body)), done);
  refresh();
  return isDone && standing;
}

/** What can be done to this schedule now: `[{word, icon, run, isDanger}]`. */
export function actionsOf({ name, status }, refresh) {
  const trigger = async () => {
    const standing = await verb(name, "trigger", { body: { run_id: newId() }, done: "A run was started", refresh });
    if (standing?.run_id) go(href(["runs", standing.run_id]));
  };
  const deactivate = () => confirm({ title: `Deactivate ${name}`, text: "The schedule is removed. The runs that it has started stay, and go on.", yes: "Deactivate", isDanger: true,
    act: async () => {
      const standing = await verb(name, "deactivate", { done: `${name} is no longer there`, refresh: () => {} });
      if (parts.value.length === 1) refresh();
      else if (standing) go(href(["schedules"]));
      return Boolean(standing);
    } });
  return [
    { word: "Trigger", icon: "play", run: trigger },
    status === "active" ? { word: "Pause", icon: "paused", run: () => verb(name, "pause", { done: "It rests", refresh }) }
      : { word: "Resume", icon: "play", run: () => verb(name, "resume", { done: "It goes on", refresh }) },
    { word: "Deactivate", icon: "close", isDanger: true, run: deactivate },
  ];
}
