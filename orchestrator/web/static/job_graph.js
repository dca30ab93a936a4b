// The steps as a graph. The API says where nodes are; here they are drawn once, and then only change their look.

import { el, replace, say, svg } from "./dom.js";
import { cut, duration, money } from "./format.js";
import { spanOf } from "./job_model.js";
import { MARKS, button, empty, family } from "./ui.js";

const NODE = { width: 176, height: 46, across: 240, down: 60, edge: 14 };
const LEAST_SCALE = 0.72;
const MANY_EDGES = 400;

export function graphPanel(model) {
  const box = el("div.graph");
  const zoom = el("div.graph-tools", { role: "group", "aria-label": "Size of the graph" });
  const element = el("div.graph-place", {}, box, zoom);
  const part = { element, shown: true, update, box, nodes: new Map(), edges: [], form: "", scale: 0, size: null, drawing: null };
  zoom.append(
    button("−", () => scaleTo(part, part.scale / 1.3), { kind: "small", "aria-label": "Smaller" }),
    button("+", () => scaleTo(part, part.scale * 1.3), { kind: "small", "aria-label": "Larger" }),
    button("Fit", () => fit(part, true), { kind: "small" }),
  );
  const watch = new ResizeObserver(() => part.scale || fit(part, false));
  watch.observe(box);
  model.signal.addEventListener("abort", () => watch.disconnect());

  function update() {
    if (!part.shown) return;
    const form = formOf(model.graph);
    if (form !== part.form) draw(part, model);
    part.form = form;
    for (const [id, node] of part.nodes) look(node, model, id);
    mark(part, model);
  }
  return part;
}

// What decides where things are: only when it changes is the graph drawn anew.
const formOf = ({ nodes, edges }) => JSON.stringify([nodes.map((one) => [one.id, one.column, one.row]), edges.length]);

function draw(part, model) {
  const { graph } = model;
  part.nodes.clear();
  part.edges = [];
  if (!graph.nodes.length) {
    replace(part.box, empty("There are no steps yet.", "They appear as soon as the work is planned."));
    return;
  }
  part.size = {
    width: (graph.columns - 1) * NODE.across + NODE.width + 2 * NODE.edge,
    height: (graph.rows - 1) * NODE.down + NODE.height + 2 * NODE.edge,
  };
  const focused = document.activeElement?.closest?.(".node")?.dataset.step;
  const places = new Map(graph.nodes.map((node) => [node.id, { x: NODE.edge + node.column * NODE.across, y: NODE.edge + node.row * NODE.down }]));
  const edges = svg("g", graph.edges.length > MANY_EDGES ? { opacity: "0.5" } : {});
  for (const edge of graph.edges) {
    const path = drawEdge(edge, places.get(edge.source), places.get(edge.target));
    part.edges.push([edge, path]);
    edges.append(path);
  }
  const nodes = graph.nodes.map((node) => drawNode(part, model, node, places.get(node.id)));
  part.drawing = svg("svg", { viewBox: `0 0 ${part.size.width} ${part.size.height}`, role: "group", "aria-label": "Steps of the job: arrows lead from one to the next" }, tips(), edges, nodes);
  replace(part.box, part.drawing);
  part.nodes.values().next().value.group.setAttribute("tabindex", "0");
  if (focused && part.nodes.has(focused)) focus(part, focused);
  if (part.scale && part.form) scaleTo(part, part.scale);
  else fit(part, false);
}

function tips() {
  const tip = svg("path.tip", { d: "M0 0L8 4L0 8z" });
  return svg("defs", {}, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" }, tip));
}

// From node to node, level through the columns that it passes.
function drawEdge(edge, from, to) {
  const stops = edge.by.map(([column, row]) => ({ x: NODE.edge + column * NODE.across, y: NODE.edge + row * NODE.down }));
  const middle = (place) => place.y + NODE.height / 2;
  let [x1, y1] = [from.x + NODE.width, middle(from)];
  let line = `M${x1} ${y1}`;
  for (const place of [...stops, to]) {
    const [x2, y2] = [place === to ? to.x - 2 : place.x, middle(place)];
    const bend = Math.max(26, Math.min(90, Math.abs(x2 - x1) / 2));
    line += `C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
    [x1, y1] = [place.x + NODE.width, y2];
    if (place !== to) line += `H${x1}`;
  }
  return svg(`path.edge.${edge.kind}`, { d: line, "marker-end": "url(#tip)" });
}

function drawNode(part, model, node, { x, y }) {
  const name = svg("text.name", { x: 11, y: 19 });
  const facts = svg("text.facts", { x: 11, y: 36 });
  const title = svg("title");
  const group = svg(
    "g.node", { transform: `translate(${x} ${y})`, tabindex: "-1", role: "button", dataset: { step: node.id } },
    svg("rect", { width: NODE.width, height: NODE.height, rx: 10 }), name, facts, title,
  );
  group.addEventListener("click", () => model.pick(node.id));
  group.addEventListener("keydown", (event) => key(event, part, model, node.id));
  part.nodes.set(node.id, { group, name, facts, title, said: "" });
  return group;
}

function look(drawn, model, id) {
  const node = model.nodes.get(id);
  if (!node) return;
  const span = spanOf(model, id);
  const took = node.ended_at && span ? duration(span[1] - span[0]) : "";
  const facts = [node.agent === id ? "" : node.agent, took, node.cost_usd ? money(node.cost_usd) : ""].filter(Boolean);
  const kind = family(node.status);
  const said = [kind, node.status, node.attempts, ...facts, node.error?.code].join("|");
  if (drawn.said === said) return;
  drawn.said = said;
  drawn.group.setAttribute("class", `node ${kind}${drawn.group.classList.contains("picked") ? " picked" : ""}`);
  say(drawn.name, cut(`${MARKS[kind]} ${id}${node.attempts > 1 ? ` ×${node.attempts}` : ""}`, 23));
  const short = node.error && kind === "bad" ? [...facts.slice(0, 1), node.error.code] : facts.length ? facts : [node.status];
  say(drawn.facts, cut(short.join(" · "), 27));
  const whole = [id, node.status, ...facts, node.error?.code].filter(Boolean).join(", ");
  say(drawn.title, whole);
  drawn.group.setAttribute("aria-label", whole);
}

function mark(part, model) {
  for (const [id, { group }] of part.nodes) {
    group.classList.toggle("picked", id === model.picked);
    group.setAttribute("aria-pressed", String(id === model.picked));
  }
  for (const [edge, path] of part.edges) path.classList.toggle("near", edge.source === model.picked || edge.target === model.picked);
}

// Arrows lead to the nearest node on that side; Enter picks.
function key(event, part, model, id) {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    model.pick(id);
    return;
  }
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  const at = model.nodes.get(id);
  if (!way || !at) return;
  event.preventDefault();
  let nearest = null;
  let least = Infinity;
  for (const node of model.graph.nodes) {
    const [across, down] = [node.column - at.column, node.row - at.row];
    const along = across * way[0] + down * way[1];
    const far = along + 3 * (Math.abs(across * way[1]) + Math.abs(down * way[0]));
    if (along > 0 && far < least) [least, nearest] = [far, node.id];
  }
  if (nearest) focus(part, nearest);
}

function focus(part, id) {
  for (const { group } of part.nodes.values()) group.setAttribute("tabindex", "-1");
  const { group } = part.nodes.get(id);
  group.setAttribute("tabindex", "0");
  group.focus();
}

function scaleTo(part, scale) {
  if (!part.drawing) return;
  part.scale = Math.max(0.08, Math.min(2.5, scale));
  part.drawing.setAttribute("width", part.size.width * part.scale);
  part.drawing.setAttribute("height", part.size.height * part.scale);
}

// Small graphs whole; large ones no smaller than can be read, unless it is asked for.
function fit(part, whole) {
  if (!part.drawing || !part.box.clientWidth) return;
  const fits = Math.min((part.box.clientWidth - 14) / part.size.width, (innerHeight * 0.46 - 14) / part.size.height);
  scaleTo(part, whole ? Math.min(1, fits) : Math.max(LEAST_SCALE, Math.min(1, fits)));
}
