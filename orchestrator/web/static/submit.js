// The form that submits a job. What it sends, it sends once, however often it is pressed or tried again.

import { Problem, newKey, post } from "./api.js";
import { chooseFiles, chooseKnowledge } from "./choosing.js";
import { el, replace } from "./dom.js";
import { clearFaults, faultsOf, numberFault, numberIn, tellFaults } from "./forms.js";
import { go } from "./router.js";
import { busily, choice, field, heading, notice } from "./ui.js";
import { may, visitor } from "./visitor.js";

const MAX_TASK_CHARS = 100000;
const MOST_USD = 1e6;
const UNITS = [["60", "minutes"], ["3600", "hours"], ["86400", "days"]];
const LONGEST_S = 7 * 86400;
const PRIORITIES = Array.from({ length: 10 }, (_, at) => [String(at), { 0: "0, the last", 5: "5, as usual", 9: "9, the first" }[at] ?? String(at)]);

export async function show(context) {
  context.title("New job");
  context.main.append(heading("New job"));
  if (!may("submit")) {
    context.main.append(notice("waits", "Your key may look, but not submit jobs: it has not the scope submit."));
    return;
  }
  const form = makeForm(context.query, context.signal);
  context.main.append(form.box);
  form.load();
}

function makeForm(first, signal) {
  const fields = makeFields(first);
  const knowledge = chooseKnowledge(signal, first.getAll("knowledge"));
  const files = chooseFiles(signal);
  const told = { ...fields, knowledge: knowledge.box, files: files.box };
  const said = el("div", { role: "alert" });
  const sure = el("button.primary", { type: "submit" }, "Submit");
  const box = el("form.submit", { novalidate: true }, el("div.submit-main", {}, mainCard(fields), optionsCard(fields)),
    el("div.submit-side", {}, el("section.card", { "aria-label": "What its agents read" }, el("div.card-body", {}, knowledge.box, files.box))),
    el("div.submit-foot", {}, said, el("div.row", {}, sure, el("span.hint", {}, "Ctrl + Enter submits too."))));
  const sending = once();

  async function send() {
    clearFaults(told);
    replace(said);
    const faults = check(fields);
    if (files.busy()) faults.push({ where: "files", message: "Files are still on their way: wait for them, or stop them." });
    if (faults.length) return refuse(faults);
    try {
      const job = await sending(bodyOf(fields, knowledge.chosen(), files.chosen()));
      go(`/jobs/${job.job_id}`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 422 || problem.status === 413) refuse(problem.code === "address_refused" ? [{ where: "webhook.url", message: problem.message }] : faultsOf(problem));
      else replace(said, notice("bad", problem.words));
    }
    return undefined;
  }
  function refuse(faults) {
    const rest = tellFaults(told, faults);
    replace(said, rest.length
      ? notice("bad", rest.map((one) => el("p", {}, one.where ? `${one.where}: ${one.message}` : one.message)))
      : notice("bad", "This was not submitted: see what is said at the fields."));
  }

  box.addEventListener("submit", (event) => {
    event.preventDefault();
    busily(sure, send);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) box.requestSubmit();
  });
  const load = () => {
    knowledge.load(fields.tenant.value.trim());
    files.load(fields.tenant.value.trim());
  };
  fields.tenant.addEventListener("change", load);
  return { box, load };
}

// Sends a body under a key of its own: the same one when the same is sent again, so that it is one job, another one when
// it was changed meanwhile.
function once() {
  let key = newKey();
  let last = "";
  return (body) => {
    const text = JSON.stringify(body);
    if (last && last !== text) key = newKey();
    last = text;
    return post("/jobs", body, { key });
  };
}

function makeFields(first) {
  const number = (least, most, attributes = {}) =>
    el("input", { type: "number", min: least, max: most, step: "any", inputmode: "decimal", ...attributes });
  return {
    task: el("textarea", {
      name: "task", rows: "7", required: true, "aria-required": "true", maxlength: MAX_TASK_CHARS, value: first.get("task") ?? "",
      placeholder: "What is to be found out or done?", autofocus: true,
    }),
    model: el("input", { name: "model", maxlength: "200", value: first.get("model") ?? "", autocomplete: "on", spellcheck: "false", placeholder: "As the workers are set" }),
    budget_usd: number(0, MOST_USD, { name: "budget", placeholder: "No limit" }),
    timeout_s: number(0, 10080, { name: "timeout", placeholder: "1 hour" }),
    unit: choice(UNITS, "60", { "aria-label": "Unit of the time limit" }),
    priority: choice(PRIORITIES, "5", { name: "priority" }),
    replan: number(0, 20, { name: "replan", step: "1", inputmode: "numeric", placeholder: "As the fleet is set" }),
    max_steps: number(1, 1e6, { name: "max_steps", step: "1", inputmode: "numeric", placeholder: "All of them" }),
    review: el("input", { type: "checkbox", name: "review" }),
    tenant: el("input", { name: "tenant", maxlength: "48", spellcheck: "false", autocomplete: "off", placeholder: "default" }),
    "webhook.url": el("input", { type: "url", name: "webhook", maxlength: "2000", spellcheck: "false", placeholder: "https://…" }),
    "webhook.secret": el("input", { type: "password", name: "webhook-secret", maxlength: "200", autocomplete: "new-password" }),
  };
}

function mainCard(fields) {
  return el("section.card", { "aria-label": "The job" }, el("div.card-body", {},
    field("Task", fields.task, "A planner divides it into steps, agents do them, and the answer comes with its sources."),
    el("div.pairs", {},
      field("Budget in US dollars", fields.budget_usd, "It ends before it would cost more."),
      el("div.field-with", {}, field("Time limit", fields.timeout_s, "At most 7 days."), fields.unit),
    )));
}

function optionsCard(fields) {
  const review = el("label.tick", {}, fields.review, el("span.name", {}, "Review"),
    el("span.hint", {}, "A second agent looks over the answer before it is given."));
  return el("details.card.more", {}, el("summary", {}, "More options"), el("div.card-body", {},
    el("div.pairs", {},
      field("Model", fields.model, "For those of its agents that name none."),
      field("Priority", fields.priority, "Among the jobs that wait."),
      field("Replans", fields.replan, "How often it may plan again when steps fail."),
      field("Steps before it pauses", fields.max_steps, "It then waits to be told to go on."),
      visitor().operator ? field("Tenant", fields.tenant, "On whose behalf.") : null),
    el("div.field", {}, review),
    el("div.pairs", {},
      field("Webhook", fields["webhook.url"], "Told when the job has ended; a public address."),
      field("Its secret", fields["webhook.secret"], "16 to 200 characters; messages are signed with it."))));
}

function check(fields) {
  const faults = [];
  const say = (where, message) => message && faults.push({ where, message });
  const seconds = (numberIn(fields.timeout_s) ?? 0) * Number(fields.unit.value);
  if (!fields.task.value.trim()) say("task", "Say what is to be done.");
  say("budget_usd", numberFault(fields.budget_usd, 0, MOST_USD));
  if (fields.timeout_s.validity.badInput || numberIn(fields.timeout_s) <= 0) say("timeout_s", "A number above 0.");
  else if (seconds > LONGEST_S) say("timeout_s", "At most 7 days.");
  say("replan", numberFault(fields.replan, 0, 20, { whole: true }));
  say("max_steps", numberFault(fields.max_steps, 1, 1e6, { whole: true }));
  const [url, secret] = [fields["webhook.url"].value.trim(), fields["webhook.secret"].value];
  if (url && !/^https?:\/\/[^/\s]+/.test(url)) say("webhook.url", "An address that begins with https:// or http://.");
  if (!url && secret) say("webhook.url", "A secret is of use only with an address.");
  if (secret && secret.length < 16) say("webhook.secret", "At least 16 characters.");
  return faults;
}

function bodyOf(fields, knowledge, files) {
  const [url, secret] = [fields["webhook.url"].value.trim(), fields["webhook.secret"].value];
  const timeout = numberIn(fields.timeout_s);
  return {
    task: fields.task.value,
    knowledge, files,
    priority: Number(fields.priority.value),
    review: fields.review.checked,
    model: fields.model.value.trim() || undefined,
    budget_usd: numberIn(fields.budget_usd),
    timeout_s: timeout === undefined ? undefined : timeout * Number(fields.unit.value),
    replan: numberIn(fields.replan),
    max_steps: numberIn(fields.max_steps),
    tenant: (visitor().operator && fields.tenant.value.trim()) || undefined,
    webhook: url ? { url, secret: secret || undefined } : undefined,
  };
}
