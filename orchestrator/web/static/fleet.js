// The fleet: what it did, which agents and tools there are, who is alive, what waits.

import { get, left, query } from "./api.js";
import { el, replace } from "./dom.js";
import { agentsPart, toolsPart } from "./fleet_agents.js";
import { queuesPart, workersPart } from "./fleet_processes.js";
import { statisticsPart } from "./fleet_statistics.js";
import { every } from "./live.js";
import { here, requery } from "./router.js";
import { choice, failure, field, heading, loading, tabs } from "./ui.js";
import { visitor } from "./visitor.js";

const WINDOWS = [["3600", "the last hour"], ["21600", "the last 6 hours"], ["86400", "the last day"], ["604800", "the last week"]];
const DAY = "86400";

// Each part: its name, how often it is asked for, whether it is for operators, what it asks for, how that is drawn.
const PARTS = [
  { name: "Statistics", ms: 10000, ask: (since, read) => read(`/statistics${query({ since })}`), draw: statisticsPart },
  { name: "Agents", ms: 10000, ask: (_, read) => read("/agents"), draw: agentsPart },
  { name: "Tools", ms: 10000, ask: (since, read) => read(`/tools${query({ since })}`), draw: toolsPart },
  { name: "Workers", ms: 4000, operators: true, ask: (_, read) => Promise.all([read("/workers"), read("/orchestrators")]), draw: workersPart },
  { name: "Queues", ms: 4000, operators: true, ask: (_, read) => Promise.all([read("/queues"), read("/scale")]), draw: queuesPart },
];

export async function show(context) {
  context.title("Fleet");
  const first = PARTS.find((one) => one.name.toLowerCase() === context.query.get("part")) ?? PARTS[0];
  const since = choice(WINDOWS, WINDOWS.some(([one]) => one === context.query.get("since")) ? context.query.get("since") : DAY);
  const window = field("Over", since, "", { hidden: true });
  let ending = new AbortController();
  const boxes = new Map(PARTS.map((one) => [one.name, el("div.panel-body")]));

  const open = (name) => {
    ending.abort();
    ending = new AbortController();
    const part = PARTS.find((one) => one.name === name);
    window.hidden = !["Statistics", "Tools"].includes(name);
    if (here().path === "/fleet") requery({ part: name === PARTS[0].name ? "" : name.toLowerCase(), since: since.value === DAY ? "" : since.value });
    const box = boxes.get(name);
    if (part.operators && !visitor().operator) replace(box, forOperators());
    else watch(part, box, since.value, AbortSignal.any([ending.signal, context.signal]));
  };
  const { list, panels, show: pick } = tabs("Parts of the fleet", PARTS.map((one) => [one.name, boxes.get(one.name)]), first.name, open);
  since.addEventListener("change", () => open([...list.children].find((one) => one.getAttribute("aria-selected") === "true").textContent));
  context.onQuery((now) => pick((PARTS.find((one) => one.name.toLowerCase() === now.get("part")) ?? PARTS[0]).name));
  context.main.append(heading("Fleet", window), list, panels);
}

// What was drawn stays until there is something else to draw, so that nothing jumps, and what is read aloud goes on.
async function watch(part, box, since, signal) {
  const read = (path) => get(path, { signal });
  let last = "";
  replace(box, el("div.card", {}, loading()));
  const refresh = async () => {
    const found = await part.ask(since, read);
    const text = JSON.stringify(found);
    if (text === last || signal.aborted) return;
    last = text;
    const scrolled = [...box.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const focused = [...box.querySelectorAll(".scroll, summary")].indexOf(document.activeElement);
    const opened = [...box.querySelectorAll("details")].map((one) => one.open);
    replace(box, part.draw(found));
    box.querySelectorAll(".scroll").forEach((one, at) => { one.scrollLeft = scrolled[at] ?? 0; });
    box.querySelectorAll("details").forEach((one, at) => { one.open = opened[at] ?? false; });
    if (focused >= 0) box.querySelectorAll(".scroll, summary")[focused]?.focus({ preventScroll: true });
  };
  const failed = (error) => {
    if (left(error) || signal.aborted) return;
    last = "";
    replace(box, failure(error, () => refresh().catch(failed)));
  };
  await every(part.ms, refresh, signal, failed);
}

function forOperators() {
  return el("div.card", {}, el("div.state", {},
    el("p", {}, "This is for operators."),
    el("p.soft", {}, "Processes and queues serve all tenants; your key is of tenant ", el("strong", {}, visitor().tenant), ". Statistics, agents and tools are yours to see.")));
}
