// What stands around graph and timeline: totals, notices, search, filters.
function drawHead() {
  document.getElementById("task").textContent = trace.task;
  document.getElementById("job").textContent = trace.job_id;
  const status = document.getElementById("status");
  status.className = `chip ${families[trace.status] || "still"}`;
  status.textContent = trace.status.replaceAll("_", " ") + (root.attributes && root.attributes.paused ? ", paused" : "");
  const usage = root.usage;
  const done = steps.filter((span) => span.status === "succeeded").length;
  for (const [name, value] of [
    [root.ended_at ? "Took" : "Until now", duration(root.duration_ms) || "–"],
    ["Steps", `${done} of ${steps.length}`],
    ["Cost", money(usage && usage.cost_usd) || "$0"],
    ["Tokens", count(tokensOf(usage))],
    ["Model calls", count(usage ? usage.requests : 0)],
    ["Tool calls", count(usage ? usage.tool_calls : 0)],
  ]) {
    const tile = make("div");
    tile.append(make("dt", "", name), make("dd", "", value));
    document.getElementById("totals").append(tile);
  }
  const notice = (text, kind) => document.getElementById("notices").append(make("p", kind, text));
  if (root.error) notice(`${root.error.code}: ${root.error.message}`, "bad");
  const counted = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;
  if (trace.cut) notice(`${counted(trace.cut, "call")} not kept any more, and missing here: the oldest ones.`);
  if (trace.unanswered) notice(`${counted(trace.unanswered, "model call")} unanswered: only the provider knows the cost.`);
}

function drawFilters() {
  const counts = new Map();
  for (const span of steps) counts.set(familyOf(span), (counts.get(familyOf(span)) || 0) + 1);
  for (const family of Object.keys(FAMILY_NAMES)) {
    if (!counts.has(family)) continue;
    const button = make("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.append(make("span", `dot ${family}`), make("span", "", `${FAMILY_NAMES[family]} ${counts.get(family)}`));
    button.addEventListener("click", () => {
      if (!state.hidden.delete(family)) state.hidden.add(family);
      button.setAttribute("aria-pressed", String(!state.hidden.has(family)));
      filter();
    });
    document.getElementById("filters").append(button);
  }
}

function filter() {
  drawRows();
  let kept = 0;
  for (const span of steps) {
    const fits = !state.hidden.has(familyOf(span)) && holds(span);
    kept += fits;
    nodes.get(span.id)?.classList.toggle("dim", !fits);
  }
  box.classList.toggle("sieved", kept < steps.length);
  document.getElementById("found").textContent = kept < steps.length ? `${kept} of ${steps.length} steps` : "";
  if (state.picked) markRow(state.picked);
}

function openAll(open) {
  state.open.clear();
  if (open) for (const span of trace.spans) if (childrenOf(span).length) state.open.add(span.id);
  drawRows();
}

const on = (id, act) => document.getElementById(id).addEventListener("click", act);
const search = document.getElementById("search");
search.addEventListener("input", () => {
  state.words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  filter();
});
on("graph-fit", () => fitGraph(true));
on("graph-out", () => zoomGraph(scale / 1.25));
on("graph-in", () => zoomGraph(scale * 1.25));
on("time-fit", () => zoomTime(1));
on("time-out", () => zoomTime(wide / 1.6));
on("time-in", () => zoomTime(wide * 1.6));
on("time-open", () => openAll(true));
on("time-close", () => openAll(false));
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape") {
    if (document.activeElement === search && search.value) { search.value = ""; search.dispatchEvent(new Event("input")); }
    panel.classList.remove("open");
  }
});
window.addEventListener("resize", () => drawAxis());

drawHead();
drawFilters();
for (const span of steps) if (childrenOf(span).some((one) => childrenOf(one).some((part) => part.kind === "step"))) reveal(childrenOf(span).flatMap(childrenOf).find((part) => part.kind === "step"));
drawGraph();
drawRows();
drawAxis();
showDetails(root);
panel.classList.remove("open");
