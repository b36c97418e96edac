// Which model serves, since when and why, which others there are, and who moved what.

import { el, onChange, table } from "./dom.js";
import { figure, moment, percent } from "./format.js";
import { adminPart, note } from "./admin.js";

export const drawModels = onChange(adminPart("models-body", draw, "There is no model yet: python -m models train makes one."));

function draw(told) {
  const on = told.canary;
  const trial = on && note(`On trial: ${on.version}, ${on.share ? `for ${percent(on.share)} of shoppers` : "beside the one that serves, for nobody"}, since ${moment(on.since)}.`);
  return [trial, versions(told), moves(told.history)].filter(Boolean);
}

function versions({ versions: all, aliases }) {
  const names = (version) => Object.keys(aliases).filter((name) => aliases[name] === version).join(", ");
  const rows = all.map((each) => [each.version, names(each.version), moment(each.created), figure(each.ndcg)]);
  return table("Versions, newest first", ["Version", "Alias", "Made", "NDCG@10"], rows);
}

function moves(history) {
  if (!history.length) return note("No alias was ever moved.");
  const rows = history.map((each) => [
    moment(each.at),
    el("span", { class: `move ${each.action}` }, each.action),
    each.version ?? "",
    each.why || "no reason told",
    each.who,
  ]);
  return table("Moves, newest first", ["When", "What", "Version", "Why", "Who"], rows);
}
