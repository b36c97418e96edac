// Nodes are made of text and attributes, never of markup: whatever an id or a name holds is shown.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

/** Return an HTML element; children are nodes or texts, and nothing where null. */
export function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an SVG element. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set a text where it is another: what has not changed is not told again. */
export function say(id, text) {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
}

/** Return a table that scrolls by itself where it is wider than its place. */
export function table(caption, heads, rows) {
  const head = heads.map((each) => el("th", { scope: "col" }, each));
  const body = rows.map((row) =>
    el("tr", {}, row.map((cell, at) => (at ? el("td", {}, cell) : el("th", { scope: "row" }, cell)))),
  );
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    el(
      "table",
      {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, body),
    ),
  );
}

/** Call `draw` only where `value` is another than the last time. */
export function onChange(draw) {
  let last;
  return (value) => {
    const told = JSON.stringify(value) ?? "";
    if (told === last) return;
    last = told;
    draw(value);
  };
}
