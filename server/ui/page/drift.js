// Features beside the reference of the model: what has drifted first, each with its distribution.

import { byId, el, onChange, say, table } from "./dom.js";
import { ago, count, figure, moment, percent } from "./format.js";
import { adminPart, note } from "./admin.js";
import { distribution } from "./charts.js";

const MISSING = "Nothing was judged yet: python -m monitoring run, beside the service, watches what is served.";
const EMPTY = "Nothing was served in it that could be compared: features of lists are logged where CUVEE_FEATURE_LOG_SHARE says so.";

export const drawDrift = onChange(adminPart("drift-body", draw, MISSING));

/** Tell how old the findings are; apart from the rest, which need not be drawn anew for it. */
export function drawDriftAge(told, nowMs) {
  if (byId("drift-age") && told?.ended_ms) say("drift-age", ago(told.ended_ms, nowMs));
}

function draw(told) {
  const wereOpen = new Set([...byId("drift-body").querySelectorAll("details[open]")].map((each) => each.dataset.feature));
  const head = el(
    "p",
    { class: "soft" },
    `Model ${told.version}, window of ${figure(told.window_ms / 60000)} minutes to ${moment(told.ended_ms)} (`,
    el("span", { id: "drift-age" }, ""),
    `), ${count(told.rows)} rows. `,
    el("span", { class: "key usual" }, "reference"),
    " ",
    el("span", { class: "key now" }, "now"),
  );
  const features = told.features.map((each) => feature(each, wereOpen.has(each.name)));
  const rest = told.left_out ? [note(`${count(told.left_out)} more features, all of them quieter, are left out.`)] : [];
  const notes = [];
  if (!told.rows) notes.push(note(EMPTY));
  if (!told.scores) notes.push(note("Scores are not watched: the model holds no reference of them."));
  return [head, ...notes, el("div", { class: "features" }, features), ...rest];
}

function feature({ name, state, q, effect, windows, bins }, isOpen) {
  const summary = el(
    "summary",
    {},
    el("span", { class: "name" }, name),
    " ",
    el("span", { class: `state ${state}` }, state),
    bins.length ? el("span", { class: "chart small" }, distribution(bins, null)) : null,
  );
  const words = `Effect ${figure(effect)}, q ${figure(q)}, of ${count(windows)} windows together.`;
  return el("details", { "data-feature": name, open: isOpen ? "" : null }, summary, el("p", {}, words), shares(name, bins));
}

function shares(name, bins) {
  if (!bins.length) return note("Too few rows to show a distribution.");
  const [label, usual, now] = bins.reduce((most, each) => (moved(each) > moved(most) ? each : most));
  const says = `Distribution of ${name}: most moved is ${label}, from ${percent(usual)} to ${percent(now)}`;
  const rows = bins.map((each) => [each[0], percent(each[1]), percent(each[2])]);
  return el(
    "div",
    { class: "shares" },
    el("div", { class: "chart" }, distribution(bins, says)),
    table(`Shares of ${name}`, ["Values", "Reference", "Now"], rows),
  );
}

const moved = ([, usual, now]) => Math.abs(now - usual);
