// Asks the service how it is, again and again while somebody can see it.

import * as token from "./token.js";

const PATIENCE_MS = 5000;
const EVERY_MS = 1000 * everySeconds(new URLSearchParams(location.search).get("every"));

/** Two seconds, if the address does not say otherwise: `?every=10`. */
function everySeconds(told) {
  const seconds = Number(told ?? 2);
  return seconds >= 0.2 && seconds <= 3600 ? seconds : 2;
}

/** Tell of every answer by `on.state`, `on.refused` or `on.gone`; return what asks at once. */
export function follow(on) {
  let timer;
  let isAsking = false;
  let isAskedAgain = false;

  async function ask() {
    clearTimeout(timer);
    isAskedAgain = isAsking;
    if (isAsking) return;
    isAsking = true;
    try {
      await tell(on);
    } finally {
      isAsking = false;
      if (isAskedAgain) ask();
      else if (!document.hidden) timer = setTimeout(ask, EVERY_MS);
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else ask();
  });
  ask();
  return ask;
}

async function tell(on) {
  let told;
  try {
    told = await fetched();
  } catch (error) {
    on.gone(error.message);
    return;
  }
  if (told.state) on.state(told.state);
  else on.refused(told.refused);
}

async function fetched() {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch("ui/state", { headers: token.headers(), cache: "no-store", signal });
  if (answer.status === 401 || answer.status === 403) {
    return { refused: (await answer.json()).detail };
  }
  if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
  return { state: await answer.json() };
}
