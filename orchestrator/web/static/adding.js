// What became of documents that were sent.

import { el, replace } from "./dom.js";
import { counted } from "./format.js";
import { notice } from "./ui.js";

/** Says it in a box; `href` leads to the base, where that is elsewhere. */
export function tellAdded(box, added, href = "") {
  const parts = [
    added.added ? `${counted(added.added, "document")} added` : "",
    added.updated ? `${counted(added.updated, "document")} replaced` : "",
    added.unchanged ? `${added.unchanged} there already` : "",
  ].filter(Boolean);
  const name = href ? el("a", { href }, added.knowledge) : added.knowledge;
  replace(box,
    parts.length ? notice("good", el("p", {}, `${parts.join(", ")}. `, name, ` holds ${counted(added.documents, "document")} in ${counted(added.passages, "passage")}.`)) : null,
    added.skipped.length ? notice("waits", el("p", {}, `${counted(added.skipped.length, "file")} not taken:`),
      el("ul.plain", {}, added.skipped.map((one) => el("li", {}, el("span.strong", {}, one.path), `: ${one.reason}`)))) : null,
    !parts.length && !added.skipped.length ? notice("waits", "There was nothing to take.") : null);
}
