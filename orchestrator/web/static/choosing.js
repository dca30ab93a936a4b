// Choices that several forms offer: knowledge bases, and uploaded data files.

import { get, left, query } from "./api.js";
import { el, replace } from "./dom.js";
import { bytes, counted } from "./format.js";
import { ago, button, failure } from "./ui.js";
import { dropZone, sending } from "./upload.js";

const TABLES = ".csv,.tsv,.parquet,.json,.jsonl,.ndjson,.gz";

/** Knowledge bases to tick: `{ box, chosen(), load(tenant) }`. */
export function chooseKnowledge(signal, first = []) {
  const list = el("div.ticks");
  const box = el("fieldset.field", {}, el("legend", {}, "Knowledge bases"), list);
  const ticked = new Set(first);
  async function load(tenant = "") {
    try {
      const bases = await get(`/knowledge${query({ tenant })}`, { signal });
      const names = new Set(bases.map((one) => one.name));
      for (const name of ticked) if (!names.has(name)) ticked.delete(name);
      replace(list, bases.length
        ? bases.map((one) => tick(one.name, one.name, counted(one.documents, "document"), ticked))
        : el("p.hint", {}, "There are none yet. ", el("a", { href: "#/knowledge" }, "Add documents"), "."));
    } catch (error) {
      if (!left(error)) replace(list, failure(error, () => load(tenant)));
    }
  }
  box.append(el("p.hint", {}, "Those that its agents may search; default when none is ticked."));
  return { box, chosen: () => [...ticked], load };
}

/** Data files to send or to take again: `{ box, chosen(), busy(), load(tenant) }`. */
export function chooseFiles(signal) {
  const ticked = new Set();
  const waiting = new Set();
  const list = el("div.ticks");
  const sent = el("ul.sendings", { "aria-label": "Files on their way" });
  let tenant = "";
  let known = [];
  const { zone } = dropZone("Add data files", "CSV, Parquet or JSON: its agents may query them.", (files) => {
    for (const file of files) send(file);
  }, { accept: TABLES });
  const box = el("fieldset.field", {}, el("legend", {}, "Data files"), zone, sent, list);

  async function send(file) {
    waiting.add(file);
    const found = await sending(sent, `/files${query({ tenant })}`, [file], signal);
    waiting.delete(file);
    if (!found) return;
    for (const one of found) {
      known = [one, ...known];
      ticked.add(one.id);
    }
    draw();
    box.dispatchEvent(new Event("input"));
  }
  async function load(now = "") {
    if (now !== tenant) ticked.clear();
    tenant = now;
    try {
      known = (await get(`/files${query({ tenant })}`, { signal })).reverse();
      draw();
    } catch (error) {
      if (!left(error)) replace(list, failure(error, () => load(now)));
    }
  }
  let all = false;
  function draw() {
    const shown = all ? known : known.filter((one, at) => at < 5 || ticked.has(one.id));
    replace(list,
      shown.map((one) => tick(one.id, one.name, [bytes(one.bytes), ", ", ago(one.created_at, " ago")], ticked)),
      shown.length < known.length ? button(`All ${known.length} files`, () => { all = true; draw(); }, { kind: "small" }) : null);
  }
  return { box, chosen: () => [...ticked], busy: () => waiting.size > 0, load };
}

function tick(value, name, note, ticked) {
  const input = el("input", { type: "checkbox", checked: ticked.has(value), value });
  input.addEventListener("change", () => (input.checked ? ticked.add(value) : ticked.delete(value)));
  return el("label.tick", {}, input, el("span.name", {}, name), el("span.hint", {}, note));
}
