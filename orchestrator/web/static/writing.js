// An answer while it is being written: what its job does, and the text as it comes.

import { post } from "./api.js";
import { el, replace, say } from "./dom.js";
import { follow } from "./live.js";
import { markdown } from "./markdown.js";
import { button } from "./ui.js";
import { may } from "./visitor.js";

const DRAWN_MS = 120;

/** Follows a job: `{ box, stop }`. `ended()` is called after its last event, `grown()` when text was added. */
export function writingBox(job, signal, { ended, grown }) {
  const doing = el("span", {}, "Thinking about it");
  const text = el("div.writing-text", { "aria-live": "off" });
  const stopper = may("submit") ? button("Stop", () => post(`/jobs/${job}/cancel`, undefined, { again: true }), { kind: "small" }) : null;
  const box = el("div.message.assistant", {}, el("div.bubble.writing", { "aria-busy": "true" },
    el("p.message-head", {}, el("span.strong", {}, "Troupe"), el("span.soft.doing", { role: "status" }, el("span.spinner.small", { "aria-hidden": "true" }), doing)),
    text, el("p.message-foot", {}, el("a", { href: `#/jobs/${job}` }, "Watch it work"), stopper)));
  const state = { written: "", of: "", done: 0, all: 0, timer: 0, dead: false };

  const draw = () => {
    state.timer = 0;
    if (state.dead) return;
    replace(text, markdown(state.written, { level: 2 }));
    grown();
  };
  const on = (event) => {
    if (event.type === "text_delta") {
      const of = `${event.step}:${event.attempt}:${event.turn}`;
      state.written = of === state.of ? state.written + event.text : event.text;
      state.of = of;
      state.timer ||= setTimeout(draw, state.written.length === event.text.length ? 0 : DRAWN_MS);
    }
    const words = wordsOf(event, state);
    if (words) say(doing, words);
  };
  const finish = follow(`/jobs/${job}/events`, { signal, check: `/jobs/${job}/status`, on, ended, failed: ended });
  const stop = () => {
    state.dead = true;
    clearTimeout(state.timer);
    finish();
  };
  signal.addEventListener("abort", stop, { once: true });
  return { box, stop };
}

// What the job does now, in a few words; "": nothing new.
function wordsOf(event, state) {
  const of = () => `${state.done} of ${state.all} steps done`;
  switch (event.type) {
    case "plan_accepted":
      state.all = event.steps.length;
      return state.all > 1 ? of() : "One step to do";
    case "children_accepted":
      state.all += event.steps.length;
      return of();
    case "step_started":
      return event.step === "plan" ? "Planning" : event.step === "synthesis" ? "Writing the answer" : "";
    case "step_succeeded":
      if (event.step === "plan" || event.step === "synthesis") return "";
      state.done += 1;
      return of();
    case "tool_called":
      return `${event.tool} ${event.success ? "was used" : "failed"}${state.all > 1 ? `, ${of()}` : ""}`;
    case "step_progress":
      return event.message;
    case "step_parked":
      return event.waits_for.some((kind) => kind === "approval" || kind === "question") ? "Waiting for people: see Approvals" : "";
    case "job_paused":
      return "Paused";
    case "job_finished":
      return "Done";
    default:
      return "";
  }
}
