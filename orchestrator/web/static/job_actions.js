// What can be done with a job, as far as its state and the key allow it.

import { ask as request, newKey, post } from "./api.js";
import { ask, formDialog } from "./dialog.js";
import { el, replace } from "./dom.js";
import { FINAL } from "./job_model.js";
import { go } from "./router.js";
import { button, choice, field, toast } from "./ui.js";
import { may } from "./visitor.js";

const AGAIN = { again: true };

export function actions(model) {
  const element = el("div.beside.actions", { role: "group", "aria-label": "What to do with the job" });
  let said = "";
  const update = () => {
    const { job } = model;
    const failed = [...model.steps.values()].some((step) => step.status === "failed");
    const now = JSON.stringify([job.status, job.paused, model.pausedBy, failed, model.steps.size]);
    if (now === said) return;
    said = now;
    const focused = element.contains(document.activeElement) ? document.activeElement.textContent : null;
    replace(element, may("submit") ? buttons(model, failed) : null, downloads(model));
    if (focused) [...element.querySelectorAll("button, summary")].find((one) => one.textContent === focused)?.focus();
  };
  return { element, update };
}

function buttons(model, failed) {
  const { job, path } = model;
  const change = async (verb, body, text) => {
    await post(`${path}/${verb}`, body, AGAIN);
    toast(text);
    model.refresh();
  };
  const found = [];
  if (!FINAL.has(job.status)) {
    if (!job.paused) found.push(button("Pause", () => change("pause", undefined, "Paused: what runs is stopped.")));
    else if (model.pausedBy === "steps") {
      found.push(
        button("One step", () => change("advance", { steps: 1 }, "One more step may begin.")),
        button("Go on", () => change("advance", {}, "The job goes on.")),
      );
    } else found.push(button("Resume", () => change("resume", undefined, "The job goes on.")));
    found.push(button("Cancel", async () => {
      if (await ask("Cancel this job?", "What runs is stopped on all workers. What was found stays, and the job can be forked.", "Cancel the job")) {
        await change("cancel", undefined, "Cancelled.");
      }
    }, { kind: "danger" }));
  }
  if (failed) found.push(button("Retry", () => retry(model)));
  if (model.steps.size) found.push(button("Fork…", () => fork(model)));
  return found;
}

async function retry(model) {
  const { steps } = await post(`${model.path}/retry`);
  toast(`Tried again: ${steps.join(", ")}`);
  model.refresh();
  model.follow();
}

// The steps that succeeded and do not hang on the chosen one are reused, at no cost.
function fork(model) {
  const steps = [...model.steps.values()].filter((step) => !step.parent && (step.kind !== "plan" || step.id === "plan"));
  const first = steps.find((step) => step.status === "failed") ?? steps.find((step) => step.kind === "work") ?? steps[0];
  const from = choice(steps.map((step) => [step.id, `${step.id} (${step.status})`]), first.id);
  const description = el("textarea", { rows: "5", maxlength: "20000" });
  const task = el("textarea", { rows: "3", maxlength: "100000", value: model.job.task });
  const about = field("What the step is to do", description);
  const name = el("input", { type: "text", maxlength: "200", placeholder: "As it was", autocomplete: "off", spellcheck: "false" });
  const budget = el("input", { type: "number", min: "0", step: "any", placeholder: "As it was", inputmode: "decimal" });
  const chosen = () => model.steps.get(from.value);
  const show = () => {
    about.hidden = chosen().kind !== "work";
    description.value = chosen().description;
  };
  from.addEventListener("change", show);
  show();
  const key = newKey();
  const send = async () => {
    const body = { from_step: from.value };
    const edit = {};
    if (!about.hidden && description.value !== chosen().description) edit.steps = { [from.value]: { description: description.value } };
    if (task.value !== model.job.task) edit.task = task.value;
    if (Object.keys(edit).length) body.edit = edit;
    if (name.value.trim()) body.model = name.value.trim();
    if (budget.value) body.budget_usd = Number(budget.value);
    const made = await post(`${model.path}/fork`, body, { key: `${key}-${JSON.stringify(body).length}` });
    toast("Forked: this is the new job.");
    go(`/jobs/${made.job_id}`);
  };
  formDialog("Fork this job", [
    field("From step", from, "It and all that builds on it is done anew; other results are reused."), about, field("Task", task),
    el("div.pair", {}, field("Model", name), field("Budget in dollars", budget)),
  ], "Fork", send, { wide: true });
}

function downloads(model) {
  const items = [["Trace (JSON)", () => save(`${model.path}/trace`, `trace-${model.id}.json`)]];
  if (FINAL.has(model.job.status)) items.push(["Recording (JSON lines)", () => save(`${model.path}/recording`, `recording-${model.id}.jsonl`)]);
  return el("details.menu-box", { onkeydown: folds, onfocusout: folds }, el("summary.button", {}, "Download"), el("div.menu-list", {}, items.map(([name, action]) => button(name, action, { kind: "quiet" }))));
}

function folds(event) {
  const box = event.currentTarget;
  if (event.type === "focusout" && !box.contains(event.relatedTarget)) box.open = false;
  if (event.key !== "Escape" || !box.open) return;
  box.open = false;
  box.querySelector("summary").focus();
}

/** Fetches a text and hands it to the browser as a file: a failure is told in words, not saved. */
async function save(path, name) {
  const text = await request("GET", path, undefined, { text: true, again: true });
  const url = URL.createObjectURL(new Blob([text]));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
