// What a step asks people, as a form that decides it: in the list of all that waits, and on a job's page.
//
//   box.append(askedForm(one, { decided: () => refresh(), withJob: false }));

import { Problem, post } from "./api.js";
import { el, replace } from "./dom.js";
import { clearFaults, tellFaults } from "./forms.js";
import { changed } from "./waiting.js";
import { ago, busily, field, notice, tag, toast, until } from "./ui.js";
import { may } from "./visitor.js";

const MASK = "***"; // stands where a secret was
const MAX_TEXT_CHARS = 20000;

/** Tells one thing that is asked from all others. */
export const askedKey = (one) => `${one.job_id} ${one.step} ${one.key}`;

/** The form. `decided(one, words)` is called when it was decided here, or turns out to be by somebody else; `words` say
 * which. `withJob`: whether the job is named and linked. */
export function askedForm(one, { decided = () => {}, withJob = true } = {}) {
  const said = el("div", { role: "alert" });
  const body = one.kind === "question" ? question : approval;
  const box = el("article.asked.card", { dataset: { asked: askedKey(one) }, "aria-label": summary(one) });
  const send = (what, content, words) => decide(one, what, content, words, said, decided);
  replace(box,
    el("div.card-head", {}, el("h2", {}, summary(one)), el("div.beside", {}, age(one))),
    el("div.card-body", {}, facts(one, withJob), may("approve") ? body(one, send) : readOnly(one), said));
  return box;
}

function summary(one) {
  if (one.kind === "question") return "A question";
  return one.tool ? `May ${one.agent} call ${one.tool}?` : `May ${one.agent} begin?`;
}

function age(one) {
  return [
    one.asked_at ? el("span.soft", {}, "asked ", ago(one.asked_at, " ago")) : null,
    one.expires_at ? el("span.tag.waits", {}, "expires in ", until(one.expires_at)) : null,
  ];
}

function facts(one, withJob) {
  return el("p.soft.asked-place", {},
    withJob ? ["Job ", el("a.mono", { href: `#/jobs/${one.job_id}` }, one.job_id), " · "] : null,
    "step ", el("span.mono", {}, one.step), " · agent ", tag(one.agent || "unknown"));
}

function readOnly(one) {
  return [
    one.question ? el("p.asked-question", {}, one.question) : null,
    one.options.length ? el("ul.plain", {}, one.options.map((text) => el("li", {}, text))) : null,
    one.description ? el("p.asked-question", {}, one.description) : null,
    one.input !== null ? el("pre", { tabindex: "0" }, pretty(one.input)) : null,
    notice("waits", "Your key may look, but not decide: it has not the scope approve."),
  ];
}

function question(one, send) {
  const answer = el("textarea", { rows: "2", maxlength: MAX_TEXT_CHARS });
  const sure = el("button", { type: "submit" }, "Send this answer");
  if (!one.options.length) sure.classList.add("primary");
  const form = el("form.fields", {}, field(one.options.length ? "Or in other words" : "Answer", answer), el("div.row", {}, sure));
  const give = (text, pressed) => busily(pressed, () => send("answer", { text }, `Answered: ${text}`));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearFaults({ answer });
    if (answer.value.trim()) give(answer.value, sure);
    else tellFaults({ answer }, [{ where: "answer", message: "Say something." }]);
  });
  return [
    el("p.asked-question", {}, one.question ?? ""),
    one.options.length
      ? el("div.row", { role: "group", "aria-label": "Answers" }, one.options.map((text) => {
        const option = el("button.primary", { type: "button" }, text);
        option.addEventListener("click", () => give(text, option));
        return option;
      }))
      : null,
    form,
  ];
}

function approval(one, send) {
  const edit = one.tool ? argumentsOf(one) : stepOf(one);
  const reason = el("input", { maxlength: MAX_TEXT_CHARS, placeholder: "Why not? The agent is told." });
  const yes = el("button.primary", { type: "button" }, "Approve");
  const no = el("button.danger", { type: "button" }, "Deny");
  yes.addEventListener("click", () => busily(yes, async () => {
    const found = edit.changes();
    if (found !== null) await send("approve", found ? { arguments: found } : {}, "Approved");
  }));
  no.addEventListener("click", () => busily(no, () => send("deny", { reason: reason.value }, "Denied")));
  return [
    edit.box,
    el("div.row", {}, yes, el("span.grow", {}, field("Reason", reason, "", { hidden: true })), no),
  ];
}

// The arguments of a call: shown as they are, changed on wish.
function argumentsOf(one) {
  const shown = pretty(one.input ?? {});
  const text = el("textarea.code", { rows: Math.min(14, shown.split("\n").length + 1), spellcheck: "false", value: shown });
  const hidden = shown.includes(MASK);
  const form = el("div", { hidden: true },
    field("Arguments as JSON", text, hidden ? `${MASK} stands for what is hidden: give it anew if you change anything.` : ""));
  const still = el("pre", { tabindex: "0", "aria-label": "Arguments" }, shown);
  const change = el("button.small", { type: "button", "aria-expanded": "false" }, "Change the arguments");
  change.addEventListener("click", () => {
    const open = form.hidden;
    form.hidden = !open;
    still.hidden = open;
    change.setAttribute("aria-expanded", String(open));
    change.textContent = open ? "Leave the arguments as they are" : "Change the arguments";
    if (open) text.focus();
  });
  const changes = () => {
    clearFaults({ text });
    if (form.hidden || text.value.trim() === shown.trim()) return undefined;
    const [found, fault] = readArguments(text.value);
    if (!fault) return found;
    tellFaults({ text }, [{ where: "text", message: fault }]);
    return null;
  };
  return { box: el("div.fields", {}, still, form, el("div", {}, change)), changes };
}

function readArguments(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    return [null, `This is no JSON: ${error.message}`];
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) return [null, "Arguments are an object: { … }"];
  if (text.includes(MASK)) return [null, `Put in what ${MASK} stands for: it would be sent as it is.`];
  return [found, ""];
}

// What a step is told: its description may be changed.
function stepOf(one) {
  const before = one.description ?? "";
  const text = el("textarea", { rows: Math.min(8, 2 + Math.ceil(before.length / 90)), value: before, maxlength: MAX_TEXT_CHARS });
  const changes = () => {
    clearFaults({ text });
    const now = text.value.trim();
    if (now === before.trim()) return undefined;
    if (now) return { description: now };
    tellFaults({ text }, [{ where: "text", message: "Say what the step is to do." }]);
    return null;
  };
  return {
    box: el("div.fields", {}, field("What it is to do", text), one.input !== null ? el("pre", { tabindex: "0" }, pretty(one.input)) : null),
    changes,
  };
}

async function decide(one, what, content, words, said, decided) {
  replace(said);
  try {
    await post(`/jobs/${one.job_id}/steps/${one.step}/${what}`, { key: one.key, ...content }, { again: true });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.code === "not_asked" || problem.status === 404) {
      toast(problem.status === 404 ? "Its job is gone." : "It was decided meanwhile, or has expired.", "bad");
      changed();
      decided(one, "decided elsewhere");
      return;
    }
    replace(said, notice("bad", problem.words));
    return;
  }
  toast(`${words}.`);
  changed();
  decided(one, words);
}

function pretty(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}
