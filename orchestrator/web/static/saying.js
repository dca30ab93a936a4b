// The place where something is said in a session.

import { Problem, newKey, post } from "./api.js";
import { chooseKnowledge } from "./choosing.js";
import { el, replace } from "./dom.js";
import { clearFaults, faultsOf, numberFault, numberIn, tellFaults } from "./forms.js";
import { busily, choice, field, notice } from "./ui.js";

const MAX_CHARS = 100000;
const POLICIES = [
  ["queue", "answer it after those before"],
  ["interrupt", "stop the answer that is being written"],
  ["rollback", "stop it, and take its message back"],
  ["reject", "refuse this one"],
];

/** The form. `sent()` is called when something was taken in. */
export function sayForm(path, signal, sent) {
  const text = el("textarea", { rows: "2", maxlength: MAX_CHARS, placeholder: "Say something", autofocus: true });
  const policy = choice(POLICIES, "queue");
  const model = el("input", { maxlength: "200", spellcheck: "false", placeholder: "As the workers are set" });
  const budget = el("input", { type: "number", min: "0", step: "any", inputmode: "decimal", placeholder: "No limit" });
  const knowledge = chooseKnowledge(signal);
  const fields = { text, policy, model, budget_usd: budget, knowledge: knowledge.box };
  const said = el("div", { role: "alert" });
  const sure = el("button.primary", { type: "submit" }, "Send");
  const more = el("details.more", {}, el("summary", {}, "Options"), el("div.fields", {},
    el("div.pairs", {}, field("While another answer is being written", policy), field("Model", model), field("Budget in US dollars", budget)), knowledge.box));
  more.addEventListener("toggle", () => more.open && knowledge.load(), { once: true });
  const form = el("form.say.card", { "aria-label": "Say something", novalidate: true },
    said, el("div.say-line", {}, field("Message", text, "", { hidden: true }), sure), more);
  let key = newKey();
  let last = "";

  async function send() {
    clearFaults(fields);
    replace(said);
    if (!text.value.trim()) return tellFaults(fields, [{ where: "text", message: "Say something." }]);
    const fault = numberFault(budget, 0, 1e6);
    if (fault) return tellFaults(fields, [{ where: "budget_usd", message: fault }]);
    const body = {
      text: text.value, policy: policy.value, knowledge: knowledge.chosen(),
      model: model.value.trim() || undefined, budget_usd: numberIn(budget),
    };
    const now = JSON.stringify(body);
    if (last && last !== now) key = newKey(); // the same one for the same words: sent again they are said once
    last = now;
    try {
      await post(`${path}/messages`, body, { key });
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 422) {
        const rest = tellFaults(fields, faultsOf(problem));
        if (rest.length) replace(said, notice("bad", rest.map((one) => one.message).join("; ")));
      } else replace(said, notice("bad", problem.words));
      return undefined;
    }
    key = newKey();
    last = "";
    text.value = "";
    text.focus();
    return sent();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busily(sure, send);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  return form;
}
