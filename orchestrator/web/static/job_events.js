// What happened, line by line, the newest first; only so many are kept.

import { el } from "./dom.js";
import { clock, counted, cut, duration, words } from "./format.js";
import { card, empty } from "./ui.js";

const MOST = 400;
const MAX_CHARS = 240;
const SILENT = new Set(["text_delta"]);
const KINDS = {
  step_succeeded: "good", step_failed: "bad", step_faltered: "bad", plan_rejected: "bad", step_started: "busy", step_parked: "waits",
  step_retrying: "waits", job_paused: "waits", events_trimmed: "waits",
};

export function eventsCard() {
  const list = el("ol.events", { "aria-label": "Events, the newest first" });
  const none = empty("Reading the events.");
  const state = el("span.soft");
  const scroll = el("div.events-place", { tabindex: "0", role: "group", "aria-label": "List of events" }, list, none);
  const element = card("Events", state, scroll);
  let told = 0;
  const update = (model) => {
    const fresh = model.events.slice(told).filter((event) => !SILENT.has(event.type)).slice(-MOST);
    const atTop = scroll.scrollTop < 4;
    const before = scroll.scrollHeight;
    for (const event of fresh) list.prepend(line(event, model));
    while (list.children.length > MOST) list.lastElementChild.remove();
    if (!atTop && fresh.length) scroll.scrollTop += scroll.scrollHeight - before;
    if (model.events.length > 2 * MOST) model.events.splice(0, model.events.length - MOST);
    told = model.events.length;
    none.hidden = told > 0;
    state.textContent = model.live ? "live" : list.children.length ? counted(list.children.length, "event") : "";
  };
  return { element, update };
}

function line(event, model) {
  const kind = event.type === "job_finished" ? (event.status === "completed" ? "good" : "bad") : KINDS[event.type] ?? "still";
  const step = event.step && model.steps.has(event.step)
    ? el("button.link", { type: "button", onclick: () => model.pick(event.step) }, event.step) : event.step ?? null;
  return el(
    `li.${kind}`, {},
    el("time", { datetime: event.at }, clock(event.at)),
    el("span", {}, step, step ? " " : "", words(event.type.replace(/^step_/, "")), detail(event)),
  );
}

function detail(event) {
  const text = {
    job_forked: () => `from ${event.source} at ${event.step}`,
    plan_accepted: () => `with ${counted(event.steps.length, "step")}${event.rationale ? `: ${event.rationale}` : ""}`,
    plan_rejected: () => event.faults.join("; "),
    step_dispatched: () => attempt(event), step_started: () => `on ${event.worker}${attempt(event)}`,
    step_faltered: () => `${event.failure.code}: ${event.failure.message}`, step_failed: () => `${event.failure.code}: ${event.failure.message}`,
    step_fell_back: () => `from ${event.agent} to ${event.fallback}`, step_parked: () => `for ${event.waits_for.join(", ")}`,
    children_accepted: () => counted(event.steps.length, "step"), step_handed_over: () => `from ${event.agent} to ${event.to}`,
    step_retrying: () => `in ${duration(event.delay_ms)}`, step_progress: () => event.message, message_posted: () => event.text,
    tool_called: () => `${event.tool} ${event.success ? "" : `failed (${event.code}) `}${duration(event.duration_ms)}`,
    job_paused: () => (event.by === "steps" ? "after its steps" : "on request"), job_finished: () => words(event.status),
    events_trimmed: () => `${event.first} to ${event.seq} are not kept any more`,
  }[event.type]?.();
  return text ? `: ${cut(text.replace(/\s+/g, " ").trim(), MAX_CHARS)}` : "";
}

const attempt = (event) => (event.attempt > 1 ? ` (attempt ${event.attempt})` : "");
