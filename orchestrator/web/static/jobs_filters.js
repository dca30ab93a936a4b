// What the list of jobs is sieved by; it stands in the address, so that a list can be sent to somebody.

import { el } from "./dom.js";
import { words } from "./format.js";
import { MARKS, choice, family, field } from "./ui.js";
import { visitor } from "./visitor.js";

const STATUSES = ["pending", "in_progress", "completed", "failed", "cancelled"];
const AGES = [["", "Any age"], ["1h", "Last hour"], ["24h", "Last day"], ["7d", "Last week"], ["30d", "Last month"]];
const HOURS = { "1h": 1, "24h": 24, "7d": 168, "30d": 720 };
const TYPED_MS = 250;

/** The time from which on jobs of an age are; null: any. */
export const sinceOf = (age) => (HOURS[age] ? new Date(Date.now() - HOURS[age] * 3600e3).toISOString() : null);

/** The form, and `set(filters)` that shows others. `changed(changes)` is told what somebody chose. */
export function drawFilters(filters, changed) {
  const search = el("input", { type: "search", placeholder: "Words of the task, or an id", maxlength: "200", autocomplete: "off" });
  const session = el("input", { type: "text", placeholder: "Any session", maxlength: "100", autocomplete: "off", spellcheck: "false" });
  const tenant = el("input", { type: "text", placeholder: "Any tenant", maxlength: "48", autocomplete: "off", spellcheck: "false" });
  const age = choice(AGES, "");
  const chosen = new Set();
  const marks = STATUSES.map((status) =>
    el("button.chip", { type: "button", onclick: () => toggle(status) }, el("span.mark", { "aria-hidden": "true" }, MARKS[family(status)]), words(status)));

  function toggle(status) {
    if (chosen.has(status)) chosen.delete(status);
    else chosen.add(status);
    mark();
    changed({ status: [...chosen] });
  }
  function mark() {
    STATUSES.forEach((status, at) => marks[at].setAttribute("aria-pressed", String(chosen.has(status))));
  }
  function set(now) {
    for (const [control, value] of [[search, now.q], [session, now.session], [tenant, now.tenant], [age, now.age]]) {
      if (control !== document.activeElement) control.value = value;
    }
    chosen.clear();
    for (const one of now.status) chosen.add(one);
    mark();
  }

  for (const [control, name] of [[search, "q"], [session, "session"], [tenant, "tenant"]]) {
    let timer = 0;
    control.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => changed({ [name]: control.value.trim() }), TYPED_MS);
    });
  }
  age.addEventListener("change", () => changed({ age: age.value }));
  set(filters);
  const form = el(
    "form.filters", { role: "search", "aria-label": "Filter jobs", onsubmit: (event) => event.preventDefault() },
    field("Search", search, "", { hidden: true }),
    el("div.chips", { role: "group", "aria-label": "Status" }, marks),
    field("Session", session, "", { hidden: true }),
    visitor().operator ? field("Tenant", tenant, "", { hidden: true }) : null,
    field("Age", age, "", { hidden: true }),
  );
  return { form, set };
}
