// One knowledge base: search it, see its documents, add some, take some out.

import { Problem, get, left, query, remove } from "./api.js";
import { sendDocuments, tellAdded } from "./adding.js";
import { ask } from "./dialog.js";
import { el, keyed, replace, say } from "./dom.js";
import { count, counted } from "./format.js";
import { go } from "./router.js";
import { busily, button, card, empty, failure, field, heading, loading, speak, tag, toast } from "./ui.js";
import { dropZone } from "./upload.js";
import { may, visitor } from "./visitor.js";

const MOST_SHOWN = 200;
const PASSAGES = 8;

export async function show(context) {
  const name = context.parameters.base;
  const tenant = visitor().operator ? context.query.get("tenant") ?? "" : "";
  const base = { name, tenant, path: `/knowledge/${encodeURIComponent(name)}`, signal: context.signal };
  context.title(name);
  const note = el("p.soft", { role: "status" });
  const list = documentList(base, () => refresh());
  const bin = may("submit") ? button("Delete the base", () => forget(base), { kind: "danger" }) : "";
  async function refresh() {
    const [stats] = await Promise.all([get(`${base.path}${query({ tenant })}`, { signal: base.signal }), list.load()]);
    say(note, `${counted(stats.documents, "document")}, ${counted(stats.passages, "passage")}`);
  }
  context.onQuery(() => {});
  context.main.append(el("p", {}, el("a", { href: `#/knowledge${query({ tenant })}` }, "All knowledge bases")), heading(name, note, bin));
  context.main.append(searching(base, context.query.get("q") ?? ""), list.box);
  if (may("submit")) context.main.append(adding(base, () => refresh()));
  await refresh().catch((error) => {
    if (left(error)) throw error;
    if (error.status !== 404) throw error;
    context.main.replaceChildren(heading(name), el("div.card", {}, empty("There is no such knowledge base.", el("a", { href: "#/knowledge" }, "All knowledge bases"))));
  });
}

function searching(base, first) {
  const words = el("input", { type: "search", maxlength: "1000", value: first, placeholder: "What do its documents say of…", required: true });
  const sure = el("button.primary", { type: "submit" }, "Search");
  const found = el("div.passages");
  const form = el("form.say-line", { role: "search", "aria-label": `Search ${base.name}` }, field("Words to look for", words, "", { hidden: true }), sure);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busily(sure, async () => {
      try {
        const hits = await get(`${base.path}/search${query({ q: words.value, k: PASSAGES, tenant: base.tenant })}`, { signal: base.signal });
        replace(found, hits.length ? el("ol.hits", {}, hits.map(passage)) : empty("No passage fits these words."));
        speak(`${counted(hits.length, "passage")} found`);
      } catch (error) {
        if (!left(error)) replace(found, failure(error));
      }
    });
  });
  if (first) queueMicrotask(() => form.requestSubmit());
  return card("Search", null, el("div.card-body", {}, form, found));
}

function passage(hit) {
  const range = (from, to, word) => (from ? (to && to !== from ? `${word}s ${from}–${to}` : `${word} ${from}`) : "");
  const place = [hit.heading, hit.path, range(hit.line_start, hit.line_end, "line") || range(hit.page_start, hit.page_end, "page")];
  return el("li.hit", {},
    el("p", {}, el("span.strong", {}, hit.title), " ", el("span.tag.still", { title: "How well it fits: higher is better" }, hit.score.toFixed(2))),
    el("p.soft", {}, place.filter(Boolean).join(" · ")),
    el("blockquote.passage", {}, hit.text));
}

function documentList(base, changed) {
  const sieve = el("input", { type: "search", placeholder: "Name or title", autocomplete: "off" });
  const rows = el("ul.documents", { "aria-label": "Documents" });
  const state = el("div", {}, loading("Reading the documents"));
  let all = [];
  const draw = () => {
    const text = sieve.value.trim().toLowerCase();
    const fitting = text ? all.filter((one) => `${one.path} ${one.title}`.toLowerCase().includes(text)) : all;
    keyed(rows, fitting.slice(0, MOST_SHOWN), (one) => `${one.path} ${one.passages}`, (one) => row(base, one, changed));
    if (!fitting.length) replace(state, empty(all.length ? "No document is called so." : "It holds no documents."));
    else if (fitting.length > MOST_SHOWN) replace(state, el("p.soft.foot", {}, `${count(fitting.length - MOST_SHOWN)} more: look for them by name.`));
    else replace(state);
  };
  sieve.addEventListener("input", draw);
  async function load() {
    all = await get(`${base.path}/documents${query({ tenant: base.tenant })}`, { signal: base.signal });
    draw();
  }
  const box = card("Documents", field("Filter documents", sieve, "", { hidden: true }), rows, state);
  return { box, load };
}

function row(base, one, changed) {
  const drop = may("submit") ? button("Remove", async () => {
    if (!(await ask(`Remove ${one.title || one.path}?`, "Agents will not find its passages any more.", "Remove it"))) return;
    await remove(`${base.path}/documents${query({ path: one.path, tenant: base.tenant })}`);
    toast("The document is removed.");
    await changed();
  }, { kind: "small", "aria-label": `Remove ${one.path}` }) : null;
  return el("li.document", {},
    el("span.document-name", {}, el("span.strong", {}, one.title || one.path), el("span.sub", {}, one.path)),
    tag(one.kind), el("span.number.soft", {}, counted(one.passages, "passage")), drop);
}

function adding(base, changed) {
  const list = el("ul.sendings", { "aria-label": "Documents on their way" });
  const report = el("div", { role: "status" });
  const { zone } = dropZone("Choose documents, or drop them here", "One of the same name replaces what is there.", async (files) => {
    const added = await sendDocuments(list, `${base.path}/documents${query({ tenant: base.tenant })}`, files, base.signal);
    if (!added) return;
    tellAdded(report, added);
    await changed();
  });
  return card("Add documents", null, el("div.card-body", {}, zone, list, report));
}

async function forget(base) {
  if (!(await ask(`Delete ${base.name}?`, "All its documents are deleted, and answers can cite them no more. This cannot be undone.", "Delete it"))) return;
  try {
    await remove(`${base.path}${query({ tenant: base.tenant })}`);
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 404) throw problem; // it is gone already
  }
  toast(`${base.name} is deleted.`);
  go(`/knowledge${query({ tenant: base.tenant })}`);
}
