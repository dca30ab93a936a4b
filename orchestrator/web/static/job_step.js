// All of one step: what it was to do, what it does, what came of it.

import { el, replace } from "./dom.js";
import { count, duration, moment, money, tokens } from "./format.js";
import { callsPart } from "./job_calls.js";
import { FINAL_STEP, spanOf } from "./job_model.js";
import { markdown } from "./markdown.js";
import { openSource, sourceList } from "./sources.js";
import { badge, facts, notice, tag } from "./ui.js";
import { waitsPart } from "./waits.js";

export function stepPanel(model) {
  const title = el("h2", { id: "step-title", tabindex: "-1" });
  const close = el("button.quiet", { type: "button", "aria-label": "Close the step", onclick: () => leave() }, "×");
  const body = el("div.card-body");
  const element = el("section.card.step", { "aria-labelledby": "step-title", hidden: true }, el("div.card-head", {}, title, close), body);
  let shown = null;
  let said = "";
  let from = null;
  let calls = null;
  let waits = null;

  function leave() {
    const back = from;
    model.pick(null);
    back?.isConnected && back.focus();
  }
  element.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
  });

  const update = () => {
    const step = model.steps.get(model.picked);
    element.hidden = !step;
    if (!step) {
      shown = null;
      return;
    }
    if (shown !== step.id) {
      from = document.activeElement;
      shown = step.id;
      said = "";
      calls = callsPart(model, step.id);
      waits = waitsPart(model.id, step.id, model.signal, () => model.refresh());
      title.textContent = step.id;
      body.scrollTop = 0;
      if (from && from !== document.body) title.focus({ preventScroll: matchMedia("(max-width: 1100px)").matches });
    }
    calls.update(step);
    waits.update(step.status === "parked" && step.waits_for.some((one) => /^(approval|question)/.test(one)));
    const draft = model.texts.get(step.id)?.text ?? "";
    const now = JSON.stringify([step, draft]);
    if (now === said) return;
    said = now;
    replace(body, parts(model, step, draft), waits.element, calls.element);
  };
  return { element, update };
}

function parts(model, step, draft) {
  const span = spanOf(model, step.id);
  const { usage } = step;
  return [
    el("div.row", {}, badge(step.status), step.kind === "work" ? null : tag(step.kind), step.optional ? tag("optional") : null),
    step.error ? notice("bad", el("p", {}, el("strong", {}, `${step.error.code}: `), step.error.message), step.error.retryable ? el("p.soft", {}, "It may work when tried again.") : null) : null,
    step.waits_for.length ? notice("waits", el("p", {}, "Waits for:"), el("ul.plain", {}, step.waits_for.map((one) => el("li", {}, one)))) : null,
    el("div", {}, el("h3", {}, "What to do"), el("p.said", {}, step.description)),
    facts([
      ["Agent", step.agent], ["Attempts", step.attempts || ""], ["Worker", step.worker], ["Queue", step.queue === step.agent ? "" : step.queue],
      ["After", step.depends_on.length ? names(model, step.depends_on) : ""], ["Joined by", step.join === "all" ? "" : step.join.replace("_", " ")],
      ["For", step.parent ? names(model, [step.parent]) : ""], ["Reused from", step.reused_from ? el("a.mono", { href: `#/jobs/${step.reused_from}` }, step.reused_from) : ""],
      ["Started", step.started_at ? moment(step.started_at) : ""], ["Took", span && FINAL_STEP.has(step.status) ? duration(span[1] - span[0]) : ""],
      ["Cost", usage.cost_usd ? money(usage.cost_usd) : ""], ["Tokens", tokens(usage) ? count(tokens(usage)) : ""],
      ["Calls", usage.requests + usage.tool_calls ? `${usage.requests} model, ${usage.tool_calls} tool` : ""],
    ]),
    output("Result", step.result, step), output("Found before it failed", step.partial, step),
    draft && !step.result ? el("div", {}, el("h3", {}, "Being written"), el("p.draft", {}, draft)) : null,
  ];
}

function names(model, ids) {
  return ids.map((id, at) => [at ? ", " : "", el("button.link", { type: "button", onclick: () => model.pick(id) }, id)]);
}

// A plan says its reason in words; other results are Markdown, and cite their sources by key.
function output(name, result, step) {
  if (!result) return null;
  const { data } = result;
  const sources = result.sources.map((one, at) => ({ ...one, number: at + 1 }));
  const text = sources.reduce((whole, one) => whole.replaceAll(`[${one.id}]`, `[${one.number}]`), result.text);
  const planned = step.kind === "plan" && data && Array.isArray(data.steps);
  const content = planned
    ? [el("p", {}, data.rationale || "The plan was made."), el("ul.plain", {}, data.steps.map((one) => el("li", {}, el("span.mono", {}, one.id), ` ${one.description}`)))]
    : [markdown(text, { level: 4, cite: (number) => openSource(sources[number - 1], number), cited: (number) => number <= sources.length }), data === null ? null : el("pre", { tabindex: "0" }, JSON.stringify(data, null, 2))];
  return el("div.result", {}, el("h3", {}, name), content, sourceList(sources));
}

