// The last minute: figures, latency and requests second by second, where lists came from.

import { byId, el, say } from "./dom.js";
import { count, ms, percent } from "./format.js";
import { bar, columns, lines } from "./charts.js";

const SOURCES = [
  ["cache", "the cache"],
  ["model", "the model"],
  ["segment", "the shopper's segment"],
  ["global", "everybody"],
];

export function drawNow(minute) {
  say("requests", count(minute.request_count));
  say("p50", ms(minute.p50_latency_ms));
  say("p95", ms(minute.p95_latency_ms));
  say("p99", ms(minute.p99_latency_ms));
  say("cache", percent(minute.cache_hit_rate));
  say("fallback", percent(minute.fallback_rate));
  say("errors", percent(minute.error_rate));
  drawLatency(minute.seconds);
  drawRequests(minute.seconds.requests);
  drawSources(minute.sources);
}

function drawLatency({ p50_ms: p50, p95_ms: p95 }) {
  const top = Math.max(...p95.map((each) => each ?? 0));
  say("latency-top", top ? `, up to ${ms(top)}` : "");
  const says = top ? `Latency of the last minute: p95 at most ${ms(top)} in any second` : "No requests in the last minute";
  byId("latency-chart").replaceChildren(lines([["high", p95], ["now", p50]], top || 1, says));
}

function drawRequests(requests) {
  const top = Math.max(...requests);
  say("requests-top", top ? `, up to ${count(top)}` : "");
  const says = `Requests of the last minute: at most ${count(top)} in any second`;
  byId("requests-chart").replaceChildren(columns(requests, top || 1, says));
}

function drawSources(sources) {
  const parts = SOURCES.map(([name]) => [name, sources[name]]);
  const whole = parts.reduce((sum, [, each]) => sum + each, 0);
  byId("sources-chart").replaceChildren(bar(parts, null));
  byId("sources").replaceChildren(
    ...SOURCES.map(([name, label]) =>
      el(
        "div",
        {},
        el("dt", {}, el("span", { class: `key ${name}` }, label)),
        el("dd", { "data-source": name }, `${count(sources[name])}, ${percent(whole ? sources[name] / whole : null)}`),
      ),
    ),
  );
}
