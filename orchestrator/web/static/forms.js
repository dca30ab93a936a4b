// Says at each field of a form what is wrong with it: what the page found before it asks, and what the API answered.
//
//   const fields = { task, "webhook.url": url };
//   const rest = tellFaults(fields, [{ where: "task", message: "Say what is to be done." }]);

import { el } from "./dom.js";

const NAMED = /^([a-z_]+(?:\.[a-z_]+)*): ([^]+)$/;
let made = 0;

/** Takes away what was said at fields. */
export function clearFaults(fields) {
  for (const control of Object.values(fields)) unmark(control);
}

/** Marks fields, moves the focus to the first of them, and gives the faults that are of no field. */
export function tellFaults(fields, faults) {
  clearFaults(fields);
  const rest = faults.filter((fault) => {
    const control = fieldOf(fields, fault.where);
    if (control) mark(control, fault.message);
    return !control;
  });
  const wrong = Object.values(fields).filter((one) => one.dataset.wrong !== undefined);
  wrong.sort((one, other) => (one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_PRECEDING ? 1 : -1));
  if (wrong.length) reveal(wrong[0]);
  return rest;
}

/** What a problem says of fields, as faults. */
export function faultsOf(problem) {
  if (problem.faults?.length) {
    return problem.faults.map((one) => ({ where: one.where.replace(/^body\./, ""), message: one.message }));
  }
  const named = NAMED.exec(problem.message);
  return named ? [{ where: named[1], message: named[2] }] : [{ where: "", message: problem.message }];
}

/** The number in a field; undefined: none was given. */
export function numberIn(control) {
  return control.value.trim() === "" ? undefined : Number(control.value);
}

/** What is wrong with the number in a field, in words; "": nothing. */
export function numberFault(control, least, most, { whole = false } = {}) {
  const said = `${whole ? "A whole number" : "A number"} from ${least} to ${most.toLocaleString("en-GB")}.`;
  if (control.validity.badInput) return said;
  const value = numberIn(control);
  if (value === undefined) return "";
  return Number.isFinite(value) && value >= least && value <= most && (!whole || Number.isInteger(value)) ? "" : said;
}

// `knowledge.0` is told at `knowledge`.
function fieldOf(fields, where) {
  const parts = where.split(".");
  for (let length = parts.length; length; length -= 1) {
    const found = fields[parts.slice(0, length).join(".")];
    if (found) return found;
  }
  return null;
}

function mark(control, message) {
  made += 1;
  const id = `fault-${made}`;
  const place = control.closest(".field") ?? control;
  place.append(el("p.fault", { id }, message));
  control.dataset.wrong = "";
  control.setAttribute("aria-describedby", [control.getAttribute("aria-describedby"), id].filter(Boolean).join(" "));
  if (control.tagName !== "FIELDSET") control.setAttribute("aria-invalid", "true");
  control.addEventListener("input", () => unmark(control), { once: true });
}

function unmark(control) {
  if (control.dataset.wrong === undefined) return;
  delete control.dataset.wrong;
  control.removeAttribute("aria-invalid");
  const place = control.closest(".field") ?? control;
  for (const said of place.querySelectorAll(".fault")) {
    const left = (control.getAttribute("aria-describedby") ?? "").split(" ").filter((one) => one !== said.id);
    if (left.length) control.setAttribute("aria-describedby", left.join(" "));
    else control.removeAttribute("aria-describedby");
    said.remove();
  }
}

function reveal(control) {
  for (let folded = control.closest("details:not([open])"); folded; folded = control.closest("details:not([open])")) {
    folded.open = true;
  }
  (control.tagName === "FIELDSET" ? control.querySelector("input") ?? control : control).focus();
}
