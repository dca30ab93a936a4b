// Makes a key, and shows its text: once, for nobody can look it up again.

import { Problem, post } from "./api.js";
import { dialog, formDialog } from "./dialog.js";
import { el } from "./dom.js";
import { clearFaults, faultsOf, tellFaults } from "./forms.js";
import { button, choice, field, notice, toast } from "./ui.js";
import { may, visitor } from "./visitor.js";

const SCOPES = [
  ["submit", "begin, change and end jobs, sessions and documents"],
  ["read", "see them"],
  ["approve", "decide what steps ask people"],
  ["admin", "all of these, and make and revoke keys"],
];
const TENANT = /^(\*|[a-z][a-z0-9_-]{0,47})$/;
const LIVES = [["", "until it is revoked"], ["86400", "for a day"], ["2592000", "for 30 days"], ["7776000", "for 90 days"], ["31536000", "for a year"]];

/** Opens the form; `made()` is called when there is a new key. */
export function makeKey(made) {
  const { operator, keyless } = visitor();
  const name = el("input", { maxlength: "100", autocomplete: "off", placeholder: "Who will use it" });
  const tenant = el("input", { maxlength: "48", autocomplete: "off", spellcheck: "false", value: keyless ? "*" : "default" });
  const expires = choice(LIVES, "");
  const ticks = SCOPES.filter(([scope]) => may(scope)).map(([scope, means]) => {
    const input = el("input", { type: "checkbox", value: scope, checked: keyless ? scope === "admin" : scope !== "admin" });
    return { scope, input, label: el("label.tick", {}, input, el("span.name", {}, scope), el("span.hint", {}, means)) };
  });
  const scopes = el("fieldset.field", {}, el("legend", {}, "It may"), el("div.ticks", {}, ticks.map((one) => one.label)));
  const fields = { name, tenant, scopes, expires_s: expires };
  const warning = keyless ? notice("waits", "This is the first key. From then on everybody needs one, you too: so let the first be an operator's (*), with the scope admin.") : null;
  formDialog("New key", [
    warning, field("Name", name, "Decisions that are made with it bear this name."),
    operator ? field("Tenant", tenant, "Whose jobs it sees; * for operators, who see all.") : null,
    scopes, field("Valid", expires),
  ], "Make the key", async () => {
    clearFaults(fields);
    const chosen = ticks.filter((one) => one.input.checked).map((one) => one.scope);
    if (!chosen.length) wrong(fields, [{ where: "scopes", message: "Choose what it may do." }]);
    if (operator && !TENANT.test(tenant.value.trim() || "default")) {
      wrong(fields, [{ where: "tenant", message: "A small letter, then small letters, digits, - and _, at most 48; or * alone." }]);
    }
    const body = { name: name.value.trim(), scopes: chosen, tenant: operator ? tenant.value.trim() || "default" : undefined, expires_s: Number(expires.value) || undefined };
    const found = await post("/keys", body).catch((problem) => {
      if (problem.status !== 422) throw problem;
      return wrong(fields, faultsOf(problem));
    });
    setTimeout(() => showKey(found.text, keyless, made)); // when the form's window is gone: closing it moves the focus
  });
}

// The window of the form stays open, and says it.
function wrong(fields, faults) {
  const rest = tellFaults(fields, faults);
  throw new Problem(422, "invalid_request", rest.length ? rest.map((one) => one.message).join("; ") : "See what is said at the fields.");
}

function showKey(text, first, made) {
  const shown = el("input.mono.key-text", { readonly: true, autofocus: true, value: text, "aria-label": "The key" });
  shown.addEventListener("focus", () => shown.select());
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast("Copied.");
    } catch {
      shown.focus(); // no clipboard over plain http: it is marked, to be copied by hand
      toast("Copy it by hand: it is marked.", "bad");
    }
  }, { kind: "primary" });
  const enter = first ? button("Log in with it", async () => {
    await post("/login", { key: text });
    location.reload();
  }) : null;
  dialog("The new key", [
    notice("waits", "Copy it now: it is shown here only, and cannot be looked up."),
    el("div.say-line", {}, el("div.field", {}, shown), copy),
  ].map((one) => el("div.spaced", {}, one)), enter ? [enter] : [], { closed: made });
}
