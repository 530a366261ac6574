/* Tracebacks of Python, read. The rule: what a reader wrote comes before what called it. */

const FRAME = /^\s+File "(.+?)", line \d+/;
const OTHERS = /[\\/](?:site-packages|dist-packages)[\\/]|[\\/]aiki[\\/](?:worker|sdk|model|engine|server|testing)[\\/]|[\\/]lib[\\/]python3|^</;

/**
 * Return the last call of a traceback that is of the reader's own code, with what was raised, and of how many calls it is;
 * null where there is nothing to leave out.
 */
export function ownCall(text) {
  const lines = text.trimEnd().split("\n");
  const starts = lines.flatMap((line, place) => (FRAME.test(line) ? [place] : []));
  if (starts.length < 2) return null;
  const isOwn = (start) => !OTHERS.test(lines[start].match(FRAME)[1]);
  const start = starts.findLast(isOwn) ?? starts.at(-1);
  const endOf = (from) => lines.findIndex((line, place) => place > from && (FRAME.test(line) || !/^\s/.test(line)));
  const raised = endOf(starts.at(-1));
  const end = endOf(start);
  return { text: [...lines.slice(start, end < 0 ? undefined : end).map((line) => line.replace(/^ {2}/, "")), ...(raised < 0 ? [] : lines.slice(raised))].join("\n"), calls: starts.length };
}
