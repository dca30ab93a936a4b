// Knowledge bases: what there is, and documents for a new one.

import { get, left, query } from "./api.js";
import { sendDocuments, tellAdded } from "./adding.js";
import { el, replace } from "./dom.js";
import { count } from "./format.js";
import { clearFaults, tellFaults } from "./forms.js";
import { requery } from "./router.js";
import { card, empty, failure, field, heading, loading, table } from "./ui.js";
import { dropZone } from "./upload.js";
import { may, visitor } from "./visitor.js";

const NAME = /^[a-z][a-z0-9_-]{0,47}$/;

/** The address of a base's view. */
export const basePath = (name, tenant) => `#/knowledge/${encodeURIComponent(name)}${query({ tenant })}`;

export async function show(context) {
  context.title("Knowledge");
  const box = el("div.card", {}, loading("Reading the knowledge bases"));
  const tenant = () => (visitor().operator ? context.query.get("tenant") ?? "" : "");
  async function refresh() {
    const bases = await get(`/knowledge${query({ tenant: tenant() })}`, { signal: context.signal });
    replace(box, bases.length ? listed(bases, tenant()) : empty("There are no knowledge bases yet.", may("submit") ? "Add documents below: agents search them, and answers cite them." : "Somebody whose key may submit can add documents."));
  }
  const failed = (error) => {
    if (!left(error)) replace(box, failure(error, () => refresh().catch(failed)));
  };
  context.onQuery((now) => {
    context.query = now;
    refresh().catch(failed);
  });
  context.main.append(heading("Knowledge", visitor().operator ? tenantField(context, () => refresh().catch(failed)) : ""), box);
  if (may("submit")) context.main.append(adding(context.signal, tenant, () => refresh().catch(failed)));
  await refresh().catch(failed);
}

function tenantField(context, changed) {
  const input = el("input", { maxlength: "48", value: context.query.get("tenant") ?? "", placeholder: "default", spellcheck: "false", autocomplete: "off", size: "14" });
  input.addEventListener("change", () => {
    context.query.set("tenant", input.value.trim());
    requery({ tenant: input.value.trim() });
    changed();
  });
  return el("div.beside-field", {}, field("Tenant", input));
}

function listed(bases, tenant) {
  return table("Knowledge bases", [
    { name: "Knowledge base", of: (one) => el("a.strong", { href: basePath(one.name, tenant) }, one.name) },
    { name: "Documents", number: true, of: (one) => count(one.documents) },
    { name: "Passages", number: true, of: (one) => count(one.passages) },
    { name: "Kinds", of: (one) => Object.entries(one.kinds).map(([kind, number]) => `${number} ${kind}`).join(", ") },
  ], bases);
}

function adding(signal, tenant, done) {
  const name = el("input", { maxlength: "48", autocomplete: "off", spellcheck: "false", value: "default" });
  const list = el("ul.sendings", { "aria-label": "Documents on their way" });
  const report = el("div", { role: "status" });
  const { zone } = dropZone("Choose documents, or drop them here", "Markdown, text, HTML, PDF, Word and more; several at once.", async (files) => {
    clearFaults({ name });
    const base = name.value.trim();
    if (!NAME.test(base)) {
      tellFaults({ name }, [{ where: "name", message: "A small letter, then small letters, digits, - and _; at most 48." }]);
      return;
    }
    const added = await sendDocuments(list, `/knowledge/${base}/documents${query({ tenant: tenant() })}`, files, signal);
    if (!added) return;
    tellAdded(report, added, basePath(base, tenant()));
    done();
  });
  return card("Add documents", null, el("div.card-body", {}, el("div.narrow", {}, field("To the knowledge base", name, "It is made if there is none.")), zone, list, report));
}
