// Numbers and moments in words; what is not known is a dash.

const DASH = "–";
const counts = new Intl.NumberFormat("en");

const told = (value) => value !== null && value !== undefined;

export const count = (value) => (told(value) ? counts.format(value) : DASH);

export function ms(value) {
  if (!told(value)) return DASH;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

export function percent(share) {
  if (!told(share)) return DASH;
  const digits = share && Math.abs(share) < 0.1 ? 2 : 1;
  return `${(100 * share).toFixed(digits)} %`;
}

export function figure(value) {
  if (!told(value)) return DASH;
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 1000) return counts.format(Math.round(value));
  return value.toPrecision(size < 0.001 ? 2 : 3);
}

/** Return a relative change, with its sign. */
export function change(share) {
  if (!told(share)) return DASH;
  return `${share < 0 ? "\u2212" : "+"}${percent(Math.abs(share))}`;
}

/** Return the day of a moment by UTC, as lists are counted. */
export const day = (when) => new Date(when).toISOString().slice(0, 10);

/** Return a moment as `2026-11-26 14:03` in the time zone of who looks. */
export function moment(when) {
  const at = new Date(when);
  if (Number.isNaN(at.getTime())) return String(when);
  const two = (part) => String(part).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export const clock = (at) => at.toLocaleTimeString("en-GB");

export function ago(thenMs, nowMs) {
  const minutes = Math.max(Math.round((nowMs - thenMs) / 60000), 0);
  if (minutes < 120) return `${minutes} minutes ago`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} hours ago` : `${Math.round(minutes / 1440)} days ago`;
}
