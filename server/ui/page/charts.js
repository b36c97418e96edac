// Small drawings in SVG. Each has words of its own for who cannot see it.

import { svg } from "./dom.js";

const WIDTH = 600;
const HEIGHT = 120;

function drawing(says, height, ...shapes) {
  const view = { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none" };
  const told = says ? { role: "img", "aria-label": says } : { "aria-hidden": "true" };
  return svg("svg", { ...view, ...told }, ...shapes);
}

/** Return lines over time: `series` are [class, values], null where there is none. */
export function lines(series, top, says) {
  const shapes = series.map(([name, values]) =>
    svg("path", { class: name, d: path(values, top), "vector-effect": "non-scaling-stroke" }),
  );
  return drawing(says, HEIGHT, ...shapes);
}

/** A value without neighbours is a short line of its own: most seconds of a small shop are. */
function path(values, top) {
  const step = WIDTH / values.length;
  let before = false;
  const parts = values.map((value, at) => {
    if (value === null) {
      before = false;
      return "";
    }
    const y = (HEIGHT - (HEIGHT - 4) * Math.min(value / top, 1) - 2).toFixed(1);
    const start = `${before ? "L" : "M"}${(at * step).toFixed(1)} ${y}`;
    before = true;
    return `${start}H${((at + 1) * step).toFixed(1)}`;
  });
  return parts.join("");
}

/** Return columns over time. */
export function columns(values, top, says) {
  const step = WIDTH / values.length;
  const shapes = values.map((value, at) => {
    const height = (HEIGHT * value) / top;
    return svg("rect", {
      class: "now",
      x: (at * step + 1).toFixed(1),
      y: (HEIGHT - height).toFixed(1),
      width: (step - 2).toFixed(1),
      height: height.toFixed(1),
    });
  });
  return drawing(says, HEIGHT, ...shapes);
}

/** Return shares beside one another: `parts` are [class, count]. */
export function bar(parts, says) {
  const whole = parts.reduce((sum, [, count]) => sum + count, 0);
  let x = 0;
  const shapes = parts.map(([name, count]) => {
    const width = whole ? (WIDTH * count) / whole : 0;
    x += width;
    return svg("rect", { class: name, x: (x - width).toFixed(1), y: 0, width: width.toFixed(1), height: 20 });
  });
  return drawing(says, 20, ...shapes);
}

/** Return a distribution beside its reference: `bins` are [label, reference, now]. */
export function distribution(bins, says) {
  const top = Math.max(...bins.flatMap(([, usual, now]) => [usual, now]), 1e-9);
  const step = WIDTH / bins.length;
  const column = (name, share, at, from, part) =>
    svg("rect", {
      class: name,
      x: (at * step + from * step).toFixed(1),
      y: (HEIGHT - (HEIGHT * share) / top).toFixed(1),
      width: (part * step).toFixed(1),
      height: ((HEIGHT * share) / top).toFixed(1),
    });
  const shapes = bins.flatMap(([, usual, now], at) => [
    column("usual", usual, at, 0.1, 0.4),
    column("now", now, at, 0.5, 0.4),
  ]);
  return drawing(says, HEIGHT, ...shapes);
}

/** Return a value with its interval, and one `before` if there is any, on an axis from 0 to `most`. */
export function interval(low, value, high, before, most) {
  const x = (each) => ((each / (most || 1)) * (WIDTH - 12) + 6).toFixed(1);
  const stroke = { class: "whisker", "vector-effect": "non-scaling-stroke" };
  return drawing(
    null,
    20,
    before === null ? null : svg("rect", { class: "usual", x: Number(x(before)) - 2, y: 0, width: 4, height: 20 }),
    svg("path", { ...stroke, d: `M${x(low)} 4V16M${x(low)} 10H${x(high)}M${x(high)} 4V16` }),
    svg("rect", { class: "now", x: Number(x(value)) - 3, y: 2, width: 6, height: 16 }),
  );
}
