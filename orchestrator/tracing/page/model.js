"use strict";
// What the page shows, and small words for it. Texts of the trace are only ever set as textContent.
const { trace, graph, families } = JSON.parse(document.getElementById("data").textContent);
const spans = new Map();
const below = new Map();
for (const span of trace.spans) {
  spans.set(span.id, span);
  if (!below.has(span.parent)) below.set(span.parent, []);
  below.get(span.parent).push(span);
  span.start = span.started_at ? Date.parse(span.started_at) : null;
  span.end = span.ended_at ? Date.parse(span.ended_at) : null;
  if (span.start !== null && span.end === null && span.duration_ms !== undefined) span.end = span.start + span.duration_ms;
}
const root = trace.spans[0];
const steps = trace.spans.filter((span) => span.kind === "step");
const childrenOf = (span) => below.get(span.id) || [];
const familyOf = (span) => families[span.status] || "still";
const begin = Math.min(...trace.spans.map((span) => span.start ?? span.end ?? Infinity));
const finish = Math.max(begin + 1, ...trace.spans.map((span) => span.end ?? span.start ?? -Infinity));

const MARKS = { good: "✓", bad: "✗", busy: "●", waits: "↻", off: "–", still: "·" };
const FAMILY_NAMES = { good: "succeeded", bad: "failed", busy: "running", waits: "waiting", off: "skipped", still: "to come" };
const KIND_NAMES = { job: "job", step: "step", attempt: "attempt", park: "parked", retry: "retry", model_call: "model call", tool_call: "tool call", custom: "custom" };

const state = { picked: null, words: [], hidden: new Set(), open: new Set(), listeners: [] };

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined && text !== null) element.textContent = text;
  return element;
}

const two = (number) => String(number).padStart(2, "0");

function duration(ms) {
  if (ms === undefined || ms === null) return "";
  if (ms < 999.5) return `${ms < 10 && ms > 0 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3599500) { const all = Math.round(ms / 1000); return `${Math.floor(all / 60)} min ${two(all % 60)} s`; }
  if (ms < 86370000) { const all = Math.round(ms / 60000); return `${Math.floor(all / 60)} h ${two(all % 60)} min`; }
  const hours = Math.round(ms / 3600000);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function money(usd) {
  if (!usd) return "";
  const text = usd.toFixed(6).replace(/0+$/, "");
  return "$" + text + "0".repeat(Math.max(0, 2 - text.split(".")[1].length));
}

const tokensOf = (usage) => (usage ? usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens : 0);

function count(number) {
  if (number < 10000) return number.toLocaleString("en-GB");
  return number < 999950 ? `${(number / 1000).toFixed(1)}k` : `${(number / 1e6).toFixed(1)}M`;
}

// Everything of a span that a search looks through.
function textOf(span) {
  if (span.text === undefined) {
    const parts = [span.name, span.status, span.agent, span.worker, span.queue, span.input, span.output];
    if (span.error) parts.push(span.error.code, span.error.message);
    span.text = parts.filter(Boolean).join("\n").toLowerCase();
  }
  return span.text;
}

const finds = (span) => state.words.every((word) => textOf(span).includes(word));

function pick(span, where) {
  state.picked = span;
  for (const listener of state.listeners) listener(span, where);
}
