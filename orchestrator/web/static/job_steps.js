// The steps as a list: the same as the graph, in words.

import { el, keyed, unseen } from "./dom.js";
import { cut, duration, money } from "./format.js";
import { spanOf } from "./job_model.js";
import { badge, empty } from "./ui.js";

const MAX_DESCRIPTION_CHARS = 160;

export function listPanel(model) {
  const list = el("ol.step-list", { "aria-label": "Steps in the order of the plan" });
  const none = el("div");
  const element = el("div", {}, list, none);
  const part = { element, shown: false, update };

  function update() {
    if (!part.shown) return;
    const steps = [...model.steps.values()];
    none.replaceChildren(...(steps.length ? [] : [empty("There are no steps yet.")]));
    keyed(list, steps, (step) => step.id, (step) => fill(el("li"), step), fill);
  }
  function fill(row, step) {
    const span = step.finished_at ? spanOf(model, step.id) : null;
    const state = JSON.stringify([step.status, step.attempts, step.worker, step.usage.cost_usd, step.error?.code, step.waits_for, span]);
    row.classList.toggle("picked", step.id === model.picked);
    row.querySelector("button")?.setAttribute("aria-pressed", String(step.id === model.picked));
    if (row.dataset.state === state) return row;
    row.dataset.state = state;
    const there = row.querySelector("button");
    const pick = there ?? el("button.step-name", { type: "button", "aria-pressed": "false", onclick: () => model.pick(step.id) }, step.id);
    const facts = [
      step.agent === step.id ? null : step.agent, step.attempts > 1 ? `${step.attempts} attempts` : null,
      step.worker && !step.finished_at ? `on ${step.worker}` : null, span ? duration(span[1] - span[0]) : null,
      step.usage.cost_usd ? money(step.usage.cost_usd) : null,
      step.depends_on.length ? `after ${cut(step.depends_on.join(", "), 80)}` : null,
      step.reused_from ? `reused from ${step.reused_from}` : null,
    ].filter(Boolean);
    const why = step.error ? `${step.error.code}: ${step.error.message}` : step.waits_for.join("; ");
    const parts = [
      el("div.step-line", {}, pick, badge(step.status)),
      el("p", {}, cut(step.description.replace(/\s+/g, " "), MAX_DESCRIPTION_CHARS)),
      el("p.soft", {}, unseen("Facts: "), facts.join(" · ")),
    ];
    if (why) parts.push(el(step.error ? "p.why.bad" : "p.why.waits", {}, cut(why, 300)));
    const focused = document.activeElement === there;
    row.replaceChildren(...parts);
    if (focused) there.focus();
    return row;
  }
  return part;
}
