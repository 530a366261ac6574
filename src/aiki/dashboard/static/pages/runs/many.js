/* What is done to many runs at once. The rule: it says how many before, and for each that was refused why after. */

import { html } from "../../lib/html.js";
import { get, namespace, newId, post } from "../../lib/api.js";
import { plural } from "../../lib/format.js";
import { confirm } from "../../parts/dialog.js";
import { say } from "../../parts/toasts.js";
import { filterWords } from "./filter.js";

const JOB_WAIT_S = 30;

/** Verbs, and the statuses of the runs that each is for. */
export const VERBS = {
  cancel: { word: "Cancel", icon: "cancelled", isDanger: true, fits: (run) => !["completed", "failed", "cancelled"].includes(run.status),
    text: (number) => `${plural(number, "run")} will be asked to cancel: their code may clean up first.` },
  retry: { word: "Retry", icon: "awaiting_retry", fits: (run) => run.status === "failed",
    text: (number) => `${plural(number, "failed run")} will be tried again. What went well is kept; what failed is done anew.` },
  requeue: { word: "Requeue", icon: "queued", fits: (run) => run.status === "stalled",
    text: (number) => `${plural(number, "stalled run")} will go back into the queue.` },
};

/** Ask whether to do `verb` to those of `runs` that it is for. */
export function askMany(verb, runs, done) {
  const { word, text, fits, isDanger } = VERBS[verb];
  const fitting = runs.filter(fits);
  confirm({
    title: `${word} ${plural(fitting.length, "run")}`,
    text: html`${text(fitting.length)}${runs.length > fitting.length && html` ${plural(runs.length - fitting.length, "other")} of those chosen ${runs.length - fitting.length === 1 ? "is" : "are"} in no status for it.`}`,
    yes: `${word} ${plural(fitting.length, "run")}`,
    isDanger,
    reason: verb === "cancel",
    act: async (reason) => {
      try {
        tell(verb, await post("v1/controls", fitting.map((run) => ({ namespace: namespace() ?? "default", run_id: run.id, message_id: newId(), verb, reason }))));
      } catch (error) {
        say(error.message, { kind: "failed" });
        return false;
      }
      done();
      return true;
    },
  });
}

/** Ask whether to do `verb` to all runs that fit a filter, however many: a job of the server's. `total` are there now in a status for it. */
export function askAll(verb, { which, total }, done) {
  const { word, text, isDanger } = VERBS[verb];
  const words = filterWords(which);
  confirm({
    title: `${word} all that fit`,
    text: html`${text(total)} ${words.length ? html`They are those that fit: <b>${words.join(", ")}</b>.` : html`<b>No filter narrows them: they are all that there are.</b>`} Runs in no status for it are left as they are.`,
    yes: `${word} ${plural(total, "run")}`,
    isDanger,
    reason: verb === "cancel",
    act: async (reason) => {
      try {
        const { tag, ...filter } = Object.fromEntries(Object.entries(which).filter(([, value]) => value !== "" && value !== null && value !== undefined && value.length !== 0));
        const tags = Object.fromEntries((tag ?? []).map((one) => one.split(/:(.*)/s).slice(0, 2)));
        const job = await post(`v1/runs/${verb}`, { id: newId(), reason, filter: { ...filter, tags }, everything: true });
        say(`${word}: ${plural(total, "run")} asked, as a job`);
        follow(verb, job.id, done);
      } catch (error) {
        say(error.message, { kind: "failed" });
        return false;
      }
      done();
      return true;
    },
  });
}

async function follow(verb, id, done) {
  const job = await get(`v1/bulk-jobs/${id}`, { wait: JOB_WAIT_S }).catch(() => null);
  if (!job?.finished_at_ms) return;
  say(`${VERBS[verb].word}: done for ${plural(job.changed ?? 0, "run")}`);
  if (job.refused) say(`${plural(job.refused, "run")} refused: ${job.problems?.[0]?.problem.message ?? ""}`, { kind: "failed" });
  done();
}

function tell(verb, standings) {
  const refused = standings.filter((standing) => standing.problem);
  const done = standings.length - refused.length;
  if (done) say(`${VERBS[verb].word}: ${plural(done, "run")} asked`);
  if (refused.length) say(`${plural(refused.length, "run")} refused: ${refused[0].problem.message}`, { kind: "failed" });
}
