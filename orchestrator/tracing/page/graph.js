// The steps as a graph; the places of its nodes were computed when the page was made.
const NODE = { width: 172, height: 44, across: 236, down: 58, edge: 14 };
const LEAST_SCALE = 0.72;
const box = document.getElementById("graph");
const nodes = new Map();
const SVG = "http://www.w3.org/2000/svg";
let scale = 1;
let drawing = null;
const size = { width: (graph.columns - 1) * NODE.across + NODE.width + 2 * NODE.edge, height: (graph.rows - 1) * NODE.down + NODE.height + 2 * NODE.edge };

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

const fitted = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function drawGraph() {
  if (!graph.nodes.length) {
    box.append(make("p", "empty", "There are no steps yet."));
    return;
  }
  drawing = svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "group", "aria-label": "Steps of the job" });
  const tips = svg("defs", {});
  const tip = svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" });
  tip.append(svg("path", { d: "M0 0L8 4L0 8z", class: "tip" }));
  tips.append(tip);
  const edges = svg("g", {});
  const places = new Map(graph.nodes.map((node) => [spans.get(node.span).name, { x: NODE.edge + node.column * NODE.across, y: NODE.edge + node.row * NODE.down }]));
  for (const edge of graph.edges) edges.append(drawEdge(edge, places.get(edge.from), places.get(edge.to)));
  drawing.append(tips, edges);
  const few = graph.edges.length <= 400;
  if (!few) edges.setAttribute("opacity", "0.5");
  for (const node of graph.nodes) drawing.append(drawNode(spans.get(node.span), places));
  box.append(drawing);
  const first = nodes.values().next().value;
  if (first) first.setAttribute("tabindex", "0");
  fitGraph();
}

// From node to node, level through the columns that it passes.
function drawEdge(edge, from, to) {
  const stops = edge.by.map(([column, row]) => ({ x: NODE.edge + column * NODE.across, y: NODE.edge + row * NODE.down }));
  const middle = (place) => place.y + NODE.height / 2;
  let line = `M${from.x + NODE.width} ${middle(from)}`;
  let [x1, y1] = [from.x + NODE.width, middle(from)];
  for (const place of [...stops, to]) {
    const [x2, y2] = [place === to ? to.x - 2 : place.x, middle(place)];
    const bend = Math.max(26, Math.min(90, Math.abs(x2 - x1) / 2));
    line += `C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
    [x1, y1] = [place.x + NODE.width, y2];
    if (place !== to) line += `H${x1}`;
  }
  const path = svg("path", { d: line, class: `edge ${edge.kind}`, "marker-end": "url(#tip)" });
  path.dataset.from = edge.from;
  path.dataset.to = edge.to;
  return path;
}

function drawNode(span, places) {
  const { x, y } = places.get(span.name);
  const facts = [span.agent === span.name ? "" : span.agent, duration(span.duration_ms), money(span.usage && span.usage.cost_usd)].filter(Boolean);
  const tries = span.attributes && span.attributes.attempts > 1 ? ` ×${span.attributes.attempts}` : "";
  const node = svg("g", { class: `node ${familyOf(span)}`, transform: `translate(${x} ${y})`, tabindex: "-1", role: "button" });
  node.setAttribute("aria-label", [span.name, span.status, ...facts].join(", "));
  const name = svg("text", { x: 10, y: 18, class: "name" });
  name.textContent = fitted(`${MARKS[familyOf(span)]} ${span.name}${tries}`, 22);
  const line = svg("text", { x: 10, y: 35, class: "facts" });
  line.textContent = fitted(facts.length > 1 || !span.error ? facts.join(" · ") || span.status : [...facts, span.error.code].join(" · "), 26);
  const title = svg("title", {});
  title.textContent = [span.name, span.status, ...facts, span.error ? span.error.code : ""].filter(Boolean).join(" · ");
  node.append(svg("rect", { width: NODE.width, height: NODE.height, rx: 9 }), name, line, title);
  node.addEventListener("click", () => pick(span, "graph"));
  node.addEventListener("keydown", (event) => graphKey(event, span));
  nodes.set(span.id, node);
  return node;
}

// Arrows lead to the nearest node on that side; Enter picks.
function graphKey(event, span) {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    pick(span, "graph");
    return;
  }
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  if (!way) return;
  event.preventDefault();
  const at = graph.nodes.find((node) => node.span === span.id);
  let nearest = null, least = Infinity;
  for (const node of graph.nodes) {
    const across = node.column - at.column, down = node.row - at.row;
    const along = across * way[0] + down * way[1], aside = Math.abs(across * way[1]) + Math.abs(down * way[0]);
    if (along > 0 && along + 3 * aside < least) { least = along + 3 * aside; nearest = node; }
  }
  if (nearest) focusNode(nearest.span);
}

function focusNode(id) {
  for (const node of nodes.values()) node.setAttribute("tabindex", "-1");
  nodes.get(id).setAttribute("tabindex", "0");
  nodes.get(id).focus();
}

function zoomGraph(next) {
  scale = Math.max(0.08, Math.min(2.5, next));
  if (!drawing) return;
  drawing.setAttribute("width", size.width * scale);
  drawing.setAttribute("height", size.height * scale);
}

// Small graphs whole; large ones no smaller than can be read, unless it is asked for.
function fitGraph(whole) {
  const fits = Math.min((box.clientWidth - 14) / size.width, (window.innerHeight * 0.46 - 14) / size.height);
  zoomGraph(whole ? Math.min(1, fits) : Math.max(LEAST_SCALE, Math.min(1, fits)));
}

function markGraph(span, where) {
  const step = span.kind === "step" ? span : steps.find((one) => one.step === span.step);
  for (const node of nodes.values()) node.classList.remove("picked");
  for (const path of box.querySelectorAll(".edge.near")) path.classList.remove("near");
  const node = step && nodes.get(step.id);
  if (!node) return;
  node.classList.add("picked");
  for (const path of box.querySelectorAll(".edge")) if (path.dataset.from === step.name || path.dataset.to === step.name) path.classList.add("near");
  if (where && where !== "graph") intoView(node);
}

// Scrolls the graph alone, not the page.
function intoView(node) {
  const [inner, outer] = [node.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.left < outer.left || inner.right > outer.right) box.scrollLeft += inner.left - outer.left - outer.width / 3;
  if (inner.top < outer.top || inner.bottom > outer.bottom) box.scrollTop += inner.top - outer.top - outer.height / 3;
}

state.listeners.push(markGraph);
