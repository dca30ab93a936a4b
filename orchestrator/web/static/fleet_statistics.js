// What was done in a time: of the whole fleet for operators, of their own tenant for others.

import { barCell, stacked, tiles } from "./bars.js";
import { el } from "./dom.js";
import { count, counted, duration, money, moment, tokens } from "./format.js";
import { card, empty, table } from "./ui.js";

/** `98 %`; a line where there was nothing. */
export const percent = (rate) => (rate === null || rate === undefined ? "–" : `${(rate * 100).toFixed(rate > 0.99 && rate < 1 ? 1 : 0)} %`);

export function statisticsPart(found) {
  if (!found.jobs.submitted && !tokens(found.usage) && !ended(found.jobs)) {
    return el("div.card", {}, empty("Nothing was done in this time.", el("a", { href: "#/submit" }, "Submit a job"), ", or look back further."));
  }
  return found.agents === undefined ? ofTenant(found) : ofFleet(found);
}

const ended = (jobs) => jobs.completed + jobs.failed + jobs.cancelled;

function ofTenant(found) {
  return [card(`Jobs of tenant ${found.tenant}`, null, el("div.card-body", {}, figures(found), outcomes(found.jobs)))];
}

function ofFleet(found) {
  return [
    card("Jobs", el("span.soft", {}, `since ${moment(found.since)}`), el("div.card-body", {}, figures(found), outcomes(found.jobs))),
    agents(found.agents), models(found.models), tenants(found.tenants), queues(found.queues), trouble(found),
  ];
}

function figures({ jobs, usage }) {
  return tiles([
    ["Submitted", count(jobs.submitted)],
    ["Success", percent(jobs.success_rate), "of those that completed or failed"],
    jobs.duration.count ? ["Median duration", duration(jobs.duration.p50_ms), `95 % within ${duration(jobs.duration.p95_ms)}`] : null,
    ["Tokens", count(tokens(usage)), `${count(usage.requests)} model calls`],
    ["Cost", money(usage.cost_usd), ended(jobs) ? `${money(usage.cost_usd / ended(jobs))} a job` : ""],
    ["Tool calls", count(usage.tool_calls)],
  ].filter(Boolean));
}

const outcomes = (jobs) => stacked("Jobs that ended", [["completed", jobs.completed, "good"], ["failed", jobs.failed, "bad"], ["cancelled", jobs.cancelled, "off"]]);

function usageColumns(rows) {
  const dearest = Math.max(0, ...rows.map((one) => one.usage.cost_usd));
  const most = Math.max(0, ...rows.map((one) => tokens(one.usage)));
  return [
    { name: "Tokens", of: (one) => barCell(tokens(one.usage), most, count(tokens(one.usage))) },
    { name: "Cost", of: (one) => barCell(one.usage.cost_usd, dearest, money(one.usage.cost_usd)) },
  ];
}

const byCost = (rows) => [...rows].sort((one, other) => other.usage.cost_usd - one.usage.cost_usd || tokens(other.usage) - tokens(one.usage));

function agents(rows) {
  if (!rows.length) return null;
  const slowest = Math.max(0, ...rows.map((one) => one.duration.p50_ms ?? 0));
  return card("By agent", null, table("What each agent did", [
    { name: "Agent", of: (one) => el("span.strong", {}, one.agent) },
    { name: "Steps", number: true, of: (one) => count(one.steps.succeeded + one.steps.failed) },
    { name: "Success", number: true, of: (one) => percent(one.steps.success_rate) },
    { name: "Median", of: (one) => barCell(one.duration.p50_ms ?? 0, slowest, duration(one.duration.p50_ms) || "–") },
    { name: "95 %", number: true, of: (one) => duration(one.duration.p95_ms) || "–" },
    ...usageColumns(rows),
  ], byCost(rows)));
}

function models(rows) {
  if (!rows.length) return null;
  return card("By model", null, table("What each model consumed", [
    { name: "Model", of: (one) => (one.model === "-" ? "none: own code, tools" : el("span.strong", {}, one.model)) },
    { name: "Calls", number: true, of: (one) => count(one.usage.requests) },
    ...usageColumns(rows),
  ], byCost(rows)));
}

function tenants(rows) {
  if (!rows.length) return null;
  return card("By tenant", null, table("What each tenant's jobs did", [
    { name: "Tenant", of: (one) => el("span.strong", {}, one.tenant) },
    { name: "Jobs", number: true, of: (one) => count(one.jobs.submitted) },
    { name: "Success", number: true, of: (one) => percent(one.jobs.success_rate) },
    ...usageColumns(rows),
  ], byCost(rows)));
}

function queues(rows) {
  if (!rows.length) return null;
  return card("By queue", null, table("How steps came to their workers", [
    { name: "Queue", of: (one) => el("span.strong.mono", {}, one.queue) },
    { name: "Steps", number: true, of: (one) => count(one.pickup.count) },
    { name: "To a worker", number: true, of: (one) => duration(one.pickup.p50_ms) || "–" },
    { name: "95 %", number: true, of: (one) => duration(one.pickup.p95_ms) || "–" },
    { name: "Retries", number: true, of: (one) => count(one.retries) },
  ], rows));
}

function trouble(found) {
  const refused = Object.entries(found.refused).map(([kind, times]) => `${counted(times, "call")} by ${kind}`).join(", ");
  const lines = [
    refused ? `Refused because a budget was used up: ${refused}.` : "",
    found.attempts.lost ? `${counted(found.attempts.lost, "attempt")} lost their worker, and were tried again.` : "",
    found.unanswered ? `${counted(found.unanswered, "model call")} whose answer nobody got.` : "",
  ].filter(Boolean);
  return lines.length ? card("Also", null, el("div.card-body", {}, lines.map((one) => el("p", {}, one)))) : null;
}
