// The form: a request as a storefront sends it, and the list that comes.

import { byId, el, onChange, say } from "./dom.js";
import { count, figure, ms } from "./format.js";

const FROM = {
  cache: "from the cache",
  model: "from the model",
  segment: "of what the shopper's segment buys",
  global: "of what everybody buys",
};

/** Fields of the request, and the input in which a mistake of each is told. */
const FIELDS = {
  user_id: "shopper",
  k: "k",
  "context.location.country": "country",
  "context.device": "device",
  "context.item_id": "item",
  "context.segment": "segment",
};

let asked = {};
let cursor = null;
let shown = 0;
let isAsking = false;

export function startTrying() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    run(request(), 0);
  });
  byId("next").addEventListener("click", () => run({ ...asked, cursor }, shown));
}

export const suggest = onChange((ids) => {
  byId("shoppers").replaceChildren(...ids.map((id) => el("option", { value: id })));
  say("shopper-hint", ids.length ? `Any id; for one, ${ids[0]}.` : "Any id; one that nobody knows gets what is popular.");
});

async function run(query, after) {
  if (isAsking) return;
  isAsking = true;
  asked = query;
  shown = after;
  byId("list").setAttribute("aria-busy", "true");
  const began = performance.now();
  try {
    const answer = await fetch("v1/recommendations", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(query),
    });
    const told = await answer.json();
    if (answer.ok) await show(told, performance.now() - began);
    else refuse(told);
  } catch (error) {
    clear(`No answer: ${error.message}.`);
  }
  isAsking = false;
  byId("list").removeAttribute("aria-busy");
}

function request() {
  const told = (id) => byId(id).value.trim() || undefined;
  const country = told("country");
  const context = {
    page: told("page"),
    device: told("device"),
    item_id: told("item"),
    segment: told("segment"),
    location: country && { country },
  };
  const isTold = Object.values(context).some((each) => each !== undefined);
  return {
    user_id: byId("shopper").value,
    k: Number(byId("k").value),
    context: isTold ? context : undefined,
  };
}

async function show(answer, tookMs) {
  mark([]);
  const items = answer.items;
  byId("list").setAttribute("start", shown + 1);
  byId("list").replaceChildren(...items.map(line));
  shown += items.length;
  cursor = answer.next_cursor;
  showNext(cursor !== null);
  byId("json").textContent = JSON.stringify(answer, null, 2);
  byId("raw").hidden = false;
  say("answered", summary(answer, tookMs));
  await name(items.map((each) => each.item_id)).catch(() => undefined);
}

/** Who has just used the button and needs it no more goes on from the one beside it. */
function showNext(isThere) {
  if (!isThere && document.activeElement === byId("next")) byId("submit").focus();
  byId("next").hidden = !isThere;
}

function summary(answer, tookMs) {
  const { items, source, reason, model_version: version, segment, latency_ms: latency } = answer;
  const because = reason ? ` (${reason.replaceAll("_", " ")})` : "";
  const whose = segment ? `, segment ${segment}` : "";
  const taken = `${ms(latency)} in the service, ${ms(tookMs)} to here`;
  return `${count(items.length)} items ${FROM[source] ?? source}${because}: ${taken}. Model ${version}${whose}.`;
}

function line({ item_id: id, score, reason, reason_text: text }) {
  return el(
    "li",
    { "data-item": id },
    el("span", { class: "title" }, id),
    el("span", { class: "why" }, text),
    el("span", { class: "soft" }, `score ${figure(score)}, `, el("code", {}, reason)),
  );
}

/** Call items by their names, as far as they have one; without, their ids do. */
async function name(ids) {
  if (!ids.length) return;
  const names = await namesOf(ids);
  for (const node of byId("list").children) {
    const id = node.dataset.item;
    if (!Object.hasOwn(names, id)) continue;
    node.querySelector(".title").replaceChildren(names[id], " ", el("code", {}, id));
  }
}

async function namesOf(ids) {
  const answer = await fetch("ui/names", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ item_ids: ids }),
  });
  return answer.ok ? (await answer.json()).names : {};
}

function refuse(problem) {
  const errors = problem.errors ?? [];
  mark(errors);
  clear(`${problem.title}: ${problem.detail}`);
  byId(FIELDS[errors[0]?.field] ?? "submit").focus();
}

function clear(text) {
  byId("list").replaceChildren();
  byId("raw").hidden = true;
  showNext(false);
  say("answered", text);
}

/** Tell each mistake at its field. */
function mark(errors) {
  for (const [field, id] of Object.entries(FIELDS)) {
    const mistake = errors.find((each) => each.field === field);
    say(`${field.split(".").at(-1)}-error`, mistake?.message ?? "");
    if (mistake) byId(id).setAttribute("aria-invalid", "true");
    else byId(id).removeAttribute("aria-invalid");
  }
}
