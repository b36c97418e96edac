// What the lists were worth: figures of mature lists with their intervals, beside those before.

import { el, onChange, table } from "./dom.js";
import { change, count, day, figure, moment } from "./format.js";
import { adminPart, note } from "./admin.js";
import { interval } from "./charts.js";

const MISSING = "Nothing was judged yet: python -m monitoring performance judges now, python -m monitoring run again and again.";
const WAITING = "No list of this model is mature yet: clicks are known after a day, purchases after a week.";
const HEADS = ["Figure", "Now", "From", "To", "Interval", "Before", "Change", "Lists", "Window", "State"];
const STATES = { insufficient: "too few lists", "no baseline": "nothing before" };

export const drawPerformance = onChange(adminPart("performance-body", draw, MISSING));

function draw({ at_ms: at, version, baseline, figures, left_out: leftOut, scores, notes }) {
  const parts = [note(`Model ${version} beside ${baseline}, judged ${moment(at)}.`)];
  if (figures.some(({ value }) => value !== null)) parts.push(table("Figures with their intervals", HEADS, figures.map(row)));
  else parts.push(note(WAITING));
  if (scores.length) parts.push(byScore(scores));
  if (leftOut) parts.push(note(`${count(leftOut)} more are not shown: python -m monitoring performance --all.`));
  return [...parts, ...notes.map(note)];
}

/** The axis begins at nothing, so that the width of an interval says how sure the figure is. */
function row({ name, value, low, high, before, change: moved, state, lists, least_lists: least, days, end_ms: end }) {
  const drawn = value === null ? "" : el("div", { class: "chart interval" }, interval(low, value, high, before, Math.max(high, before ?? 0)));
  const found = least === null ? count(lists) : `${count(lists)} of ${count(Math.ceil(least))}`;
  const said = el("span", { class: "state" }, STATES[state] ?? state);
  return [name, figure(value), figure(low), figure(high), drawn, figure(before), change(moved), found, `${days} d to ${day(end)}`, said];
}

function byScore(scores) {
  const rows = scores.map((each) => [`${figure(each.from)} to ${figure(each.to)}`, count(each.items), figure(each.predicted), count(each.clicks)]);
  return table("Clicks by score", ["Score", "Items", "Predicted", "Came"], rows);
}
