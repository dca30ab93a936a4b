// What a step called: its attempts, and of each the prompts, the answers and the tools. Read when it is looked at.

import { get, left } from "./api.js";
import { el, replace } from "./dom.js";
import { count, duration, money, tokens, words } from "./format.js";
import { soon } from "./live.js";
import { badge, facts, failure, loading, tag } from "./ui.js";

const REFRESH_MS = 1500;
const NAMES = { model_call: "model", tool_call: "tool", custom: "code", park: "wait", retry: "retry" };

export function callsPart(model, id) {
  const list = el("div.calls", {}, loading("Reading its calls"));
  const element = el("div", {}, el("h3", {}, "Attempts and calls"), list);
  const open = new Set();
  let said = null;
  const read = async () => {
    try {
      const trace = await get(`${model.path}/trace`, { signal: model.signal });
      if (model.picked === id) draw(trace);
    } catch (error) {
      if (!left(error)) replace(list, failure(error, again));
    }
  };
  const again = soon(REFRESH_MS, read);

  function draw(trace) {
    const spans = trace.spans.filter((span) => span.step === id && span.kind !== "step" && span.kind !== "job");
    const attempts = spans.filter((span) => ["attempt", "park", "retry"].includes(span.kind));
    replace(
      list, attempts.length ? null : el("p.soft", {}, "It has not begun."),
      attempts.map((one) => attempt(one, spans.filter((span) => span.parent === one.id && !["attempt", "park", "retry"].includes(span.kind)), open)),
      trace.cut ? el("p.soft", {}, `${trace.cut} older calls of the job are not kept any more.`) : null,
    );
  }

  const update = (step) => {
    const now = JSON.stringify([step.status, step.attempts, step.usage.requests, step.usage.tool_calls]);
    if (now === said) return;
    if (said === null) read();
    else again();
    said = now;
  };
  return { element, update };
}

function attempt(span, calls, open) {
  const name = span.kind === "attempt" ? `Attempt ${span.attempt}` : words(NAMES[span.kind] ?? span.kind);
  return el(
    "div.attempt", {},
    el("div.row", {}, el("strong", {}, name), badge(span.status), el("span.soft", {}, [span.worker, duration(span.duration_ms)].filter(Boolean).join(" · "))),
    span.error ? el("p.why.bad", {}, `${span.error.code}: ${span.error.message}`) : null,
    calls.map((one) => call(one, open)),
  );
}

function call(span, open) {
  const failed = span.status === "error";
  const summary = el(
    "summary", {},
    tag(NAMES[span.kind] ?? span.kind, failed ? "bad" : span.kind === "tool_call" ? "busy" : "still"), el("span.name", {}, span.name),
    el("span.soft", {}, [failed ? "failed" : span.status === "running" ? "running" : "", duration(span.duration_ms), span.usage?.cost_usd ? money(span.usage.cost_usd) : ""].filter(Boolean).join(" · ")),
  );
  const made = el(
    "details.call", { open: open.has(span.id) }, summary,
    span.error ? el("p.why.bad", {}, `${span.error.code}: ${span.error.message}`) : null,
    text(span.kind === "model_call" ? "Prompt" : "Input", span.input),
    text(span.kind === "model_call" ? "Response" : "Output", span.output),
    facts([
      ["Tokens", span.usage && tokens(span.usage) ? `${count(span.usage.input_tokens)} in, ${count(span.usage.output_tokens)} out` : ""],
      ["From cache", span.usage?.cache_read_tokens ? count(span.usage.cache_read_tokens) : ""],
      ...Object.entries(span.attributes).map(([name, value]) => [words(name), typeof value === "string" ? value : JSON.stringify(value)]),
    ]),
  );
  made.addEventListener("toggle", () => (made.open ? open.add(span.id) : open.delete(span.id)));
  return made;
}

const text = (name, content) => (content ? [el("h4", {}, name), el("pre", { tabindex: "0" }, content)] : null);
