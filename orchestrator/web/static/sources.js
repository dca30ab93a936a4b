// Sources of an answer: a list, and each one's passage in a window.

import { dialog } from "./dialog.js";
import { el } from "./dom.js";
import { counted } from "./format.js";
import { facts } from "./ui.js";

/** The list under an answer; nothing where there are none. */
export function sourceList(sources) {
  if (!sources.length) return null;
  const items = sources.map((source, at) => {
    const number = source.number ?? at + 1;
    return el(
      "li", {},
      el("span.cite-number", { "aria-hidden": "true" }, number),
      el("button.source", { type: "button", "aria-label": `Source ${number}: ${source.title}`, onclick: () => openSource(source, number) },
        el("span.source-title", {}, source.title), el("span.soft", {}, place(source))),
    );
  });
  return el("div.sources", {}, el("h3", {}, counted(sources.length, "source")), el("ol", {}, items));
}

/** Shows the passage that a source is. */
export function openSource(source, number) {
  if (!source) return;
  dialog(number ? `Source ${number}: ${source.title}` : source.title, [
    facts([
      ["File", el("span.mono", {}, source.path)], ["Section", source.heading], ["Place", lines(source)],
      ["Knowledge", source.knowledge],
    ]),
    source.query ? [el("h3", {}, "Query"), el("pre", { tabindex: "0" }, source.query)] : null,
    source.text ? [el("h3", {}, source.kind === "table" ? "Result" : "Passage"), el("pre.passage", { tabindex: "0" }, source.text)] : null,
  ], [], { wide: true });
}

function lines(source) {
  const part = (from, to, word) => (from ? (to && to !== from ? `${word}s ${from}–${to}` : `${word} ${from}`) : "");
  return part(source.line_start, source.line_end, "line") || part(source.page_start, source.page_end, "page");
}

const place = (source) => [source.heading, lines(source)].filter(Boolean).join(" · ");
