// The job in short: what was asked, how far it is, what it has cost.

import { el, replace, say } from "./dom.js";
import { count, counted, duration, microusd, moment, money, tokens } from "./format.js";
import { FINAL, doneOf } from "./job_model.js";
import { ago, badge, notice, progress, speak } from "./ui.js";

const LONG_TASK_CHARS = 220;

export function headPart(model, doing) {
  const { task } = model.job;
  const title = el("h1.task", {}, task);
  const unfold = el("button.quiet.small", { type: "button", "aria-expanded": "false" }, "Show all");
  unfold.addEventListener("click", () => {
    const open = title.classList.toggle("whole");
    unfold.setAttribute("aria-expanded", String(open));
    say(unfold, open ? "Show less" : "Show all");
  });
  const line = el("div.job-line");
  const figures = el("dl.figures");
  const notes = el("div.notes");
  const element = el(
    "div.job-head", {},
    el("p.crumbs", {}, el("a", { href: "#/jobs" }, "Jobs"), " / ", el("span.mono", {}, model.id)),
    el("div.head", {}, el("div.job-title", {}, title, task.length > LONG_TASK_CHARS ? unfold : null), doing.element),
    line, figures, notes,
  );
  let status = null;
  const update = () => {
    const { job } = model;
    replace(line, badge(job.paused ? "paused" : job.status), live(model), origin(job), job.model ? el("span.soft", {}, `answered by ${job.model}`) : null);
    replace(figures, figuresOf(model).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    replace(notes, notesOf(job));
    doing.update(model);
    if (status !== null && status !== job.status) speak(`The job is ${job.status.replace("_", " ")}`);
    status = job.status;
  };
  const tick = () => {
    const took = figures.querySelector("[data-took]");
    if (took) say(took, tookOf(model.job));
  };
  return { element, update, tick };
}

function live(model) {
  if (FINAL.has(model.job.status)) return null;
  return el("span.live", {}, el("span.dot", { "aria-hidden": "true" }), model.live ? "live" : "waiting for events");
}

function origin(job) {
  if (!job.forked_from) return null;
  const { job_id: id, step } = job.forked_from;
  return el("span.soft", {}, "forked from ", el("a.mono", { href: `#/jobs/${id}` }, id), ` at ${step}`);
}

function tookOf(job) {
  const end = job.finished_at ? Date.parse(job.finished_at) : Date.now();
  return duration(Math.max(0, end - Date.parse(job.created_at)));
}

function figuresOf(model) {
  const { job, ledger } = model;
  const [done, all] = doneOf(model);
  const { usage } = job;
  const limit = ledger.budget?.cost_microusd ?? null;
  return [
    ["Steps", [`${done} of ${all}`, progress(done, all, `${done} of ${counted(all, "step")} done`)]],
    ["Cost", limit === null ? money(usage.cost_usd) : [`${money(usage.cost_usd)} of ${microusd(limit)}`, progress(usage.cost_usd * 1e6, limit, "Part of the budget that is used")]],
    ["Tokens", count(tokens(usage))],
    ["Calls", `${count(usage.requests)} model · ${count(usage.tool_calls)} tool`],
    [job.finished_at ? "Took" : "Runs for", el("span", { dataset: { took: "" } }, tookOf(job))],
    ["Submitted", el("span", { title: moment(job.created_at) }, ago(job.created_at, " ago"))],
  ];
}

function notesOf(job) {
  const found = [];
  if (job.error) found.push(notice("bad", el("p", {}, el("strong", {}, `${job.error.code}: `), job.error.message)));
  if (job.missing.length && job.status === "completed") {
    const parts = job.missing.map((one) => el("li", {}, el("span.mono", {}, one.step), `: ${one.message || one.description}`));
    found.push(notice("waits", el("p", {}, el("strong", {}, `The answer does without ${counted(job.missing.length, "part")}.`)), el("ul.plain", {}, parts)));
  }
  return found;
}
