// Sends documents to a knowledge base, and says what became of them.

import { Problem } from "./api.js";
import { el, replace } from "./dom.js";
import { counted } from "./format.js";
import { notice } from "./ui.js";
import { sending } from "./upload.js";

const UNFIT = new Set([413, 415, 422]);

/** Sends them together; where one of them is refused, one by one, so that the others are taken. Gives what became of
 * all, or null when nothing did. */
export async function sendDocuments(list, path, files, signal) {
  const unfit = (problem) => UNFIT.has(problem.status);
  const together = await sending(list, path, files, signal, (problem) => files.length > 1 && unfit(problem));
  if (!(together instanceof Problem)) return together;
  const sum = { knowledge: "", added: 0, updated: 0, unchanged: 0, skipped: [], documents: 0, passages: 0 };
  for (const file of files) {
    if (signal.aborted) return null;
    const one = await sending(list, path, [file], signal, unfit);
    if (one instanceof Problem) sum.skipped.push({ path: file.name, reason: one.message });
    else if (one) {
      for (const name of ["added", "updated", "unchanged"]) sum[name] += one[name];
      Object.assign(sum, { knowledge: one.knowledge, documents: one.documents, passages: one.passages });
      sum.skipped.push(...one.skipped);
    }
  }
  return sum;
}

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
