// What a job has consumed: against its limits, by agent and by model.

import { el, replace } from "./dom.js";
import { count, counted, microusd, money, tokens } from "./format.js";
import { card, empty, progress, table } from "./ui.js";

export function costCard() {
  const body = el("div.card-body");
  const element = card("Cost", null, body);
  let said = "";
  const update = ({ ledger }) => {
    const now = JSON.stringify(ledger);
    if (now === said) return;
    said = now;
    replace(
      body, limits(ledger), by("agent", ledger), by("model", ledger),
      ledger.lines.length ? null : empty("Nothing was consumed yet."),
      ledger.unanswered ? el("p.soft", {}, `${counted(ledger.unanswered, "call")} went unanswered; what they cost only the provider knows.`) : null,
    );
  };
  return { element, update };
}

function limits({ budget, total }) {
  const pairs = [
    ["Dollars", total.cost_usd * 1e6, budget.cost_microusd, microusd], ["Tokens", tokens(total), budget.tokens, count],
    ["Model calls", total.requests, budget.requests, count], ["Tool calls", total.tool_calls, budget.tool_calls, count],
  ].filter(([, , limit]) => limit !== null && limit !== undefined);
  return pairs.map(([name, used, limit, words]) =>
    el("div.limit", {}, el("span", {}, name), el("span.number", {}, `${words(used)} of ${words(limit)}`), progress(used, limit, `${name}: ${words(used)} of ${words(limit)}`)));
}

// One line for each agent or model, the dearest first.
function by(what, { lines }) {
  const found = new Map();
  for (const line of lines) {
    const sum = found.get(line[what]) ?? { name: line[what], requests: 0, tokens: 0, cost: 0 };
    sum.requests += line.usage.requests;
    sum.tokens += tokens(line.usage);
    sum.cost += line.usage.cost_usd;
    found.set(line[what], sum);
  }
  const rows = [...found.values()].sort((one, other) => other.cost - one.cost || other.tokens - one.tokens);
  if (!rows.length) return null;
  return table(`Cost by ${what}`, [
    { name: what === "agent" ? "Agent" : "Model", of: (row) => row.name }, { name: "Calls", number: true, of: (row) => count(row.requests) },
    { name: "Tokens", number: true, of: (row) => count(row.tokens) }, { name: "Cost", number: true, of: (row) => money(row.cost) },
  ], rows);
}
