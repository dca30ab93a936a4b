// Bars beside numbers, and parts of a whole. The numbers stand beside them as text: bars are for the eye alone.

import { el, svg } from "./dom.js";

/** A number with a bar of how much of the largest it is. */
export function barCell(amount, most, text) {
  const part = most > 0 ? Math.max(0, Math.min(1, amount / most)) : 0;
  return el("span.bar-cell", {}, el("span.bar-track", { "aria-hidden": "true" },
    el("span.bar-fill", { style: { width: `${(part * 100).toFixed(2)}%` } })), el("span.number", {}, text));
}

/** One line of parts: `[[name, amount, kind]]`, with a legend that says all of them. */
export function stacked(label, parts) {
  const whole = parts.reduce((sum, [, amount]) => sum + amount, 0);
  let at = 0;
  const pieces = parts.filter(([, amount]) => amount).map(([, amount, kind]) => {
    const x = at;
    at += (amount / whole) * 100;
    return svg(`rect.${kind}`, { x: x.toFixed(3), y: 0, width: (at - x).toFixed(3), height: 10 });
  });
  const words = parts.map(([name, amount]) => `${amount} ${name}`).join(", ");
  return el("figure.stacked", {},
    svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${words}` }, pieces),
    el("figcaption", {}, parts.map(([name, amount, kind]) =>
      el("span.legend", {}, el(`span.swatch.${kind}`, { "aria-hidden": "true" }), `${name} `, el("span.strong", {}, amount.toLocaleString("en-GB"))))));
}

/** Big numbers with their names: `[[name, text, note]]`. */
export function tiles(pairs) {
  return el("dl.tiles", {}, pairs.map(([name, text, note]) =>
    el("div.tile", {}, el("dt", {}, name), el("dd", {}, text, note ? el("span.hint", {}, note) : null))));
}
