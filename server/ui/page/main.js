// Puts together what is on the page: what the service tells, and who draws which part of it.

import { byId, say } from "./dom.js";
import { clock } from "./format.js";
import { follow } from "./poll.js";
import * as token from "./token.js";
import { drawNow } from "./now.js";
import { drawEvents } from "./events.js";
import { drawModels } from "./models.js";
import { drawPerformance } from "./performance.js";
import { drawDrift, drawDriftAge } from "./drift.js";
import { startTrying, suggest } from "./tryit.js";

let goneSince = null;

const ask = follow({ state: show, refused: refuse, gone: tellGone });

function show(state) {
  tellBack();
  say("about", about(state.service));
  drawNow(state.window);
  drawEvents(state.events);
  drawModels({ admin: state.admin, told: state.models });
  drawPerformance({ admin: state.admin, told: state.performance });
  drawDrift({ admin: state.admin, told: state.drift });
  drawDriftAge(state.drift, state.at * 1000);
  suggest(state.shoppers ?? []);
  showLogin(state.admin);
}

function about(service) {
  const serving = service.model_version ? `model ${service.model_version}` : service.why_none;
  return `Version ${service.version}, ${serving}${service.draining ? ", about to stop" : ""}`;
}

function tellGone(reason) {
  document.body.classList.add("gone");
  goneSince ??= new Date();
  const since = clock(goneSince);
  say("connection", `The service does not answer since ${since} (${reason}). What you see is of then; it is asked again and again.`);
}

function tellBack() {
  if (goneSince === null) return;
  goneSince = null;
  document.body.classList.remove("gone");
  say("connection", `The service answers again, since ${clock(new Date())}.`);
}

function refuse(reason) {
  tellBack();
  token.forget();
  say("login-note", `Refused: ${reason}.`);
  byId("token").focus();
  ask();
}

function showLogin(admin) {
  byId("forget").hidden = admin !== "open";
  byId("token").disabled = byId("show").disabled = admin === "off";
  if (admin === "off") say("login-note", "Admin routes are off: start the service with CUVEE_ADMIN_TOKEN.");
}

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("token").value) return;
  token.keep(byId("token").value);
  byId("token").value = "";
  say("login-note", "Kept until this tab is closed.");
  ask();
});

byId("forget").addEventListener("click", () => {
  token.forget();
  say("login-note", "Forgotten.");
  byId("token").focus();
  ask();
});

startTrying();
