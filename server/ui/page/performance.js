// What the lists were worth: whatever figures the monitor of performance left, with their intervals.

import { el, onChange, table } from "./dom.js";
import { count, figure, moment } from "./format.js";
import { adminPart, note } from "./admin.js";
import { interval } from "./charts.js";

const MISSING = "Nothing was judged yet: python -m monitoring performance judges now, python -m monitoring run again and again.";

export const drawPerformance = onChange(adminPart("performance-body", draw, MISSING));

function draw(told) {
  const parts = [note(`Found ${moment(told.found_ms)}.`)];
  if (told.figures.length) {
    const rows = told.figures.map(row);
    parts.push(table("Figures with their intervals", ["Figure", "Value", "From", "To", "Interval", "State", "Besides"], rows));
  }
  if (told.words.length) parts.push(el("dl", { class: "pairs" }, told.words.map(pair)));
  if (told.left_out) parts.push(note(`${count(told.left_out)} more are left out.`));
  return parts;
}

/** The axis begins at nothing, so that the width of an interval says how sure the figure is. */
function row({ name, value, low, high, state, besides }) {
  const least = Math.min(0, low ?? 0, value);
  const most = Math.max(0, high ?? 0, value);
  const drawn = low === null ? "" : el("div", { class: "chart interval" }, interval(low, value, high, least, most));
  return [name, figure(value), figure(low), figure(high), drawn, el("span", { class: "state" }, state), besides];
}

const pair = ([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
