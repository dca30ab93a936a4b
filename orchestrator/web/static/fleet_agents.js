// Agents and tools of living workers.

import { el } from "./dom.js";
import { count, counted, duration } from "./format.js";
import { percent } from "./fleet_statistics.js";
import { card, empty, facts, table, tag } from "./ui.js";
import { visitor } from "./visitor.js";

export function agentsPart(agents) {
  if (!agents.length) return el("div.card", {}, empty("No worker is alive.", "Agents appear here as soon as a worker announces them: troupe up, or troupe worker."));
  return card(counted(agents.length, "agent"), null, el("ul.agents", {}, agents.map(agentRow)));
}

function agentRow(agent) {
  return el("li.agent", {},
    el("p", {}, el("span.strong", {}, agent.name), " ", tag(`version ${agent.version}`), " ", tag(`queue ${agent.queue}`, "busy"),
      agent.plannable ? null : [" ", tag("not planned")]),
    el("p.soft", {}, agent.description),
    el("p.tags", {}, agent.capabilities.map((one) => tag(one, "good"))),
    facts([
      ["Tools", agent.tools.join(", ")],
      ["Delegates to", agent.sub_agents?.join(", ")],
      ["Hands over to", agent.hand_offs?.join(", ")],
      ["Falls back on", agent.fallback],
      ["Tried", agent.retry ? `at most ${agent.retry.max_attempts} times` : ""],
      ["One attempt", agent.timeout_ms ? `at most ${duration(agent.timeout_ms)}` : ""],
    ]));
}

export function toolsPart(tools) {
  if (!tools.length) return el("div.card", {}, empty("Living workers have no tools."));
  const counts = visitor().operator ? [
    { name: "Calls", number: true, of: (one) => count(one.figures.calls) },
    { name: "Success", number: true, of: (one) => percent(one.figures.success_rate) },
    { name: "Median", number: true, of: (one) => duration(one.figures.p50_ms) || "–" },
    { name: "95 %", number: true, of: (one) => duration(one.figures.p95_ms) || "–" },
    { name: "Errors", of: (one) => errorsOf(one.figures.errors) },
  ] : [];
  return card(counted(tools.length, "tool"), null, table("Tools, and how their calls went", [
    { name: "Tool", of: (one) => [el("span.strong.mono", {}, one.name), one.requires_approval ? [" ", tag("needs a yes", "waits")] : "", el("span.about", {}, one.description)] },
    { name: "Agents", of: (one) => one.agents.join(", ") },
    { name: "Limits", of: limitsOf },
    ...counts,
  ], tools));
}

function limitsOf(tool) {
  return [
    `${duration(tool.timeout_s * 1000)} a call`,
    tool.rate_limit ? `${count(tool.rate_limit)} a minute` : "",
    tool.max_uses ? `${count(tool.max_uses)} in a step` : "",
    tool.retries ? counted(tool.retries, "retry").replace(/retrys$/, "retries") : "",
  ].filter(Boolean).join(", ");
}

const errorsOf = (errors) => Object.entries(errors).map(([code, times]) => `${code} ${count(times)}`).join(", ") || "–";
