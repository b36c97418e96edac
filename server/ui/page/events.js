// How far what reads the stream of events is behind, and what nobody could read.

import { byId, el, onChange, say } from "./dom.js";
import { count } from "./format.js";

const NOTES = {
  none: "There is no store for events.",
  away: "The store of events does not answer.",
  there: "Events in the stream that a group of consumers has yet to finish, looked at every five seconds.",
};

export const drawEvents = onChange((events) => {
  say("events-note", NOTES[events.store]);
  const behind = Object.entries(events.behind ?? {}).map(([group, left]) => tile(`Behind: ${group}`, left));
  const dead = events.store === "there" ? [tile("Dead letters", events.dead_letters)] : [];
  byId("events-figures").replaceChildren(...behind, ...dead);
});

function tile(label, value) {
  return el("div", {}, el("dt", {}, label), el("dd", {}, count(value)));
}
