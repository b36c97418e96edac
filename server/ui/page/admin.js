// Parts that only admins may see: why they are not there, else what is to be drawn.

import { byId, el } from "./dom.js";

const CLOSED = {
  off: "Shown to admins alone, and there are none: start the service with CUVEE_ADMIN_TOKEN.",
  closed: "Shown to admins alone: give the token at the end of this page.",
};

/** Return what draws into `id`: `draw` returns nodes of what was told, `missing` says what is not. */
export function adminPart(id, draw, missing) {
  return ({ admin, told }) => byId(id).replaceChildren(...nodes(admin, told, draw, missing));
}

function nodes(admin, told, draw, missing) {
  if (CLOSED[admin]) return [note(CLOSED[admin])];
  if (told === null || told === undefined) return [note(missing)];
  if (told.unreadable) return [note(`This cannot be shown: ${told.unreadable}`)];
  return draw(told);
}

export const note = (text) => el("p", { class: "soft" }, text);
