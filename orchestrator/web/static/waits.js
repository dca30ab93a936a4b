// What a step asks people: a call to approve, a step to begin, a question. The same form stands wherever it is asked.
//
//   askedForm(asked, () => refresh())        asked: one of `GET /v1/asked`

import { get, left, post } from "./api.js";
import { formDialog } from "./dialog.js";
import { el, replace } from "./dom.js";
import { button, busily, failure, field, toast } from "./ui.js";
import { may } from "./visitor.js";

const MOST = 1000;

/** What is asked, and the buttons or the field that answer it. `done` is called when it was answered, by us or by others. */
export function askedForm(asked, done) {
  const expires = asked.expires_at ? el("p.soft", {}, "Expires ", el("time", { datetime: asked.expires_at }, new Date(asked.expires_at).toLocaleString())) : null;
  const about = asked.kind === "question" ? el("p.said", {}, asked.question) : [
    el("p", {}, asked.tool ? [el("strong", {}, asked.agent), " wants to call ", el("strong.mono", {}, asked.tool)] : [el("strong", {}, asked.agent), " wants to begin:"]),
    asked.description ? el("p.said", {}, asked.description) : null,
    asked.input === null || asked.input === undefined ? null : el("pre", { tabindex: "0", "aria-label": "Arguments" }, JSON.stringify(asked.input, null, 2)),
  ];
  const controls = !may("approve") ? el("p.soft", {}, "Your key may not decide this: it lacks the scope approve.")
    : asked.kind === "question" ? answering(asked, done) : approving(asked, done);
  return el("div.asked", {}, about, expires, controls);
}

const path = (asked, verb) => `/jobs/${asked.job_id}/steps/${encodeURIComponent(asked.step)}/${verb}`;

// Somebody else may have been faster: then it is asked no more, and that is said.
async function decide(asked, verb, body, text, done) {
  try {
    await post(path(asked, verb), { key: asked.key, ...body }, { again: true });
    toast(text);
  } catch (error) {
    if (error.code !== "not_asked") throw error;
    toast("It was decided meanwhile, or has expired.", "waits");
  }
  done();
}

function approving(asked, done) {
  const edited = () => {
    const fields = asked.tool ? asked.input ?? {} : { description: asked.description };
    const area = el("textarea.mono", { rows: "10", spellcheck: "false", value: JSON.stringify(fields, null, 2) });
    formDialog("Approve with changes", field("Arguments as JSON", area, asked.tool ? "Fields that were hidden must be given anew." : "What the step is told."), "Approve", async () => {
      let value = null;
      try {
        value = JSON.parse(area.value);
      } catch (error) {
        throw new Error(`This is no JSON: ${error.message}`);
      }
      await decide(asked, "approve", { arguments: value }, "Approved with changes.", done);
    });
  };
  const denied = () => {
    const reason = el("textarea", { rows: "3", maxlength: "2000" });
    formDialog("Deny", field("Reason", reason, "The agent is told it. It may stay empty."), "Deny", () =>
      decide(asked, "deny", { reason: reason.value.trim() }, "Denied.", done), { kind: "danger" });
  };
  return el(
    "div.row", {},
    button("Approve", () => decide(asked, "approve", {}, "Approved.", done), { kind: "primary" }),
    button("Edit…", edited), button("Deny…", denied, { kind: "danger" }),
  );
}

function answering(asked, done) {
  const send = (text) => decide(asked, "answer", { text }, "Answered.", done);
  if (asked.options.length) return el("div.row", {}, asked.options.map((one) => button(one, () => send(one))));
  const answer = el("textarea", { rows: "3", required: true, maxlength: "20000" });
  const sure = el("button.primary", { type: "submit" }, "Answer");
  const form = el("form.fields", {}, field("Answer", answer), el("div.row", {}, sure));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busily(sure, () => send(answer.value));
  });
  return form;
}

/** What one step of a job asks; it is read when `update(true)` says that the step waits. */
export function waitsPart(job, step, signal, done) {
  const element = el("div");
  let waiting = false;
  let shown = "";
  const read = async () => {
    try {
      const all = await get(`/asked?limit=${MOST}`, { signal });
      const mine = all.filter((one) => one.job_id === job && one.step === step);
      const now = JSON.stringify(mine);
      if (now !== shown) replace(element, mine.map((one) => askedForm(one, () => done())));
      shown = now;
    } catch (error) {
      if (!left(error)) replace(element, failure(error, read));
    }
  };
  const update = (waits) => {
    if (waits && !waiting) read();
    if (!waits && waiting) element.replaceChildren();
    if (!waits) shown = "";
    waiting = waits;
  };
  return { element, update, read };
}

