// The answer with its sources; before it is there, what is being written.

import { el, replace, say } from "./dom.js";
import { FINAL } from "./job_model.js";
import { markdown } from "./markdown.js";
import { openSource, sourceList } from "./sources.js";
import { card, empty, toast } from "./ui.js";

export function answerCard(model) {
  const body = el("div.card-body");
  const copy = el("button.small", { type: "button", onclick: () => copied(model.job.answer) }, "Copy");
  const element = card("Answer", copy, body);
  let shown = "";
  let text = null;
  const update = () => {
    const { job } = model;
    const draft = model.texts.get("synthesis");
    const now = job.answer !== null ? `answer ${job.answer}` : draft ? "draft" : `none ${job.status} ${job.paused}`;
    copy.hidden = job.answer === null;
    if (now === "draft" && text && shown === now) return say(text, draft.text);
    if (now === shown) return undefined;
    shown = now;
    text = null;
    if (job.answer !== null) return replace(body, answerOf(job));
    if (draft) {
      text = el("p.draft", {}, draft.text);
      return replace(body, el("p.soft", { role: "status" }, "The answer is being written."), text);
    }
    return replace(body, empty(...without(job)));
  };
  return { element, update };
}

function answerOf(job) {
  const bySource = new Map(job.sources.map((source, at) => [source.number ?? at + 1, source]));
  const cite = (number) => openSource(bySource.get(number), number);
  return [markdown(job.answer, { cite, cited: (number) => bySource.has(number) }), sourceList(job.sources)];
}

function without(job) {
  if (job.paused) return ["The job is paused.", "It goes on when somebody resumes it."];
  if (job.status === "failed") return ["There is no answer: the job failed.", "Its steps below show what was found until then."];
  if (job.status === "cancelled") return ["There is no answer: the job was cancelled."];
  if (FINAL.has(job.status)) return ["There is no answer."];
  return ["The answer is written when the steps are done.", "This page follows them by itself."];
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("The answer was copied.");
  } catch {
    toast("The browser does not let this page copy.", "bad");
  }
}
