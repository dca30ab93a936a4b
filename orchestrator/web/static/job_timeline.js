// The steps over time: a bar for each, from its first attempt to its end.

import { el, keyed, replace, say } from "./dom.js";
import { cut, duration } from "./format.js";
import { spanOf } from "./job_model.js";
import { MARKS, empty, family } from "./ui.js";

const NICE_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];
const MARKS_ON_AXIS = 5;

export function timelinePanel(model) {
  const axis = el("div.axis", { "aria-hidden": "true" });
  const rows = el("ul.bars", { "aria-label": "Steps by their beginning" });
  const none = el("div");
  const element = el("div.timeline", {}, axis, rows, none);
  const part = { element, shown: false, update, tick: update };

  function update() {
    if (!part.shown) return;
    const { job } = model;
    const now = Date.now();
    const begin = Date.parse(job.created_at);
    const end = Math.max(begin + 1, job.finished_at ? Date.parse(job.finished_at) : now);
    const spans = model.graph.nodes.map((node) => ({ node, span: spanOf(model, node.id, now) }));
    spans.sort((one, other) => (one.span?.[0] ?? Infinity) - (other.span?.[0] ?? Infinity));
    replace(none, spans.length ? null : empty("There are no steps yet."));
    drawAxis(axis, end - begin);
    axis.hidden = !spans.length;
    keyed(rows, spans, ({ node }) => node.id, (one) => change(makeBar(model, one.node.id), one), change);

    function change(row, { node, span }) {
      const kind = family(node.status);
      row.className = `${kind}${node.id === model.picked ? " picked" : ""}`;
      const [pick, track] = row.children;
      say(pick.children[0], MARKS[kind]);
      const took = span ? duration(span[1] - span[0]) : "";
      pick.setAttribute("aria-label", [node.id, node.status, took, span ? `after ${duration(span[0] - begin)}` : ""].filter(Boolean).join(", "));
      pick.setAttribute("aria-pressed", String(node.id === model.picked));
      const [bar, text] = track.children;
      const part = (ms) => `${Math.max(0, Math.min(100, (ms * 100) / (end - begin)))}%`;
      bar.hidden = !span;
      say(text, took);
      if (!span) return row;
      bar.style.left = part(span[0] - begin);
      bar.style.width = part(span[1] - span[0]);
      text.style.left = part(span[1] - begin);
      return row;
    }
  }
  return part;
}

function makeBar(model, id) {
  const pick = el("button", { type: "button", onclick: () => model.pick(id) }, el("span.mark", { "aria-hidden": "true" }), el("span.name", {}, cut(id, 48)));
  return el("li", {}, pick, el("div.track", { "aria-hidden": "true" }, el("div.bar"), el("span.took")));
}

function drawAxis(axis, total) {
  const every = NICE_MS.find((one) => one >= total / MARKS_ON_AXIS) ?? Math.ceil(total / MARKS_ON_AXIS / 864e5) * 864e5;
  const marks = [];
  for (let at = 0; at <= total; at += every) {
    marks.push(el("span", { style: { left: `${(at / total) * 100}%` } }, at ? duration(at).replace(".0 s", " s") : "0"));
  }
  replace(axis, el("div.axis-track", {}, marks));
}
