/*
 * From a moment to a place on the timeline. The rule: order is always kept; in true scale a place is a time, and with idle
 * time squeezed a day's sleep does not hide the second of work on either side of it.
 */

const POINTS_MAX = 4_000;
const SQUEEZED_FROM = 4; // times the usual distance between two things that happened

/** A straight scale: half of the time is half of the way. */
export function straight(from, to) {
  const span = Math.max(1, to - from);
  return { from, to, place: (ms) => (ms - from) / span, moment: (place) => from + place * span, gaps: [] };
}

/** A scale that squeezes what is long and empty; `moments` are when something happened. */
export function squeezed(from, to, moments) {
  const points = [...new Set([from, ...moments.filter((ms) => ms > from && ms < to), Math.max(to, from + 1)])].sort((one, other) => one - other);
  if (points.length > POINTS_MAX) return straight(from, to);
  const distances = points.slice(1).map((ms, place) => ms - points[place]);
  const usual = SQUEEZED_FROM * Math.max(1, [...distances].sort((one, other) => one - other)[Math.floor(distances.length * 0.6)]);
  const lengths = distances.map((ms) => (ms <= usual ? ms : usual * (1 + Math.log10(ms / usual))));
  const places = [0];
  for (const length of lengths) places.push(places.at(-1) + length);
  const whole = places.at(-1);
  const gaps = distances.flatMap((ms, at) => (ms > 20 * usual ? [{ from: points[at], to: points[at + 1], ms }] : []));
  const find = (list, value) => {
    let [low, high] = [0, list.length - 2];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (list[middle] <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const between = (value, xs, ys) => {
    const at = find(xs, value);
    return ys[at] + ((value - xs[at]) / (xs[at + 1] - xs[at])) * (ys[at + 1] - ys[at]);
  };
  return {
    from,
    to,
    place: (ms) => between(ms, points, places) / whole,
    moment: (place) => between(place * whole, places, points),
    gaps,
  };
}
