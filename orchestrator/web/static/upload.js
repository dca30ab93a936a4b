// Sends files, and shows how far it has come.

import { PREFIX, Problem, get } from "./api.js";
import { el, replace, say } from "./dom.js";
import { bytes, counted } from "./format.js";
import { button, notice, progress, speak } from "./ui.js";

/** Sends files as one form; `progressed(sent, whole)` is told. Aborted, it ends with an AbortError. */
export function upload(path, files, { signal, progressed = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const file of files) form.append("files", file, file.name);
    const request = new XMLHttpRequest(); // fetch cannot tell how much was sent
    const stop = () => request.abort();
    request.open("POST", PREFIX + path);
    request.setRequestHeader("Accept", "application/json");
    request.upload.onprogress = (event) => event.lengthComputable && progressed(event.loaded, event.total);
    request.onerror = () => reject(new Problem(0, "unreachable", "The API cannot be reached, or has refused the files while they were sent."));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    request.onload = () => answered(request, resolve, reject);
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) reject(new DOMException("aborted", "AbortError"));
    else request.send(form);
  });
}

function answered(request, resolve, reject) {
  let told = null;
  try {
    told = JSON.parse(request.responseText);
  } catch {
    told = {};
  }
  if (request.status >= 200 && request.status < 300) return resolve(told);
  if (request.status === 401) get("/me").catch(() => {}); // tells that a login is needed
  const detail = told.detail || `The API answered ${request.status} ${request.statusText}`.trim();
  return reject(new Problem(request.status, told.code || "http", detail, told.faults || []));
}

/** A place to choose files, or to drop them on; `taken(files)` is told. */
export function dropZone(label, hint, taken, { accept = "", multiple = true } = {}) {
  const input = el("input", { type: "file", multiple, accept });
  const zone = el("label.drop", {}, el("span.strong", {}, label), el("span.hint", {}, hint), input);
  const give = (files) => files.length && taken(multiple ? [...files] : [files[0]]);
  input.addEventListener("change", () => {
    give([...input.files]);
    input.value = ""; // the same file may be chosen again
  });
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    give([...event.dataTransfer.files]);
  });
  return { zone, input };
}

/** Sends files, with a line in `list` that shows how it goes; gives the answer, or null when that failed: the line says
 * why then, and stays until it is closed. Problems that are `mine` are given in place of the answer. */
export async function sending(list, path, files, signal, mine = () => false) {
  const ending = new AbortController();
  const stop = () => ending.abort();
  signal?.addEventListener("abort", stop, { once: true });
  const what = files.length === 1 ? files[0].name : counted(files.length, "file");
  const size = files.reduce((sum, one) => sum + one.size, 0);
  const note = el("span.soft", {}, bytes(size));
  const bar = progress(0, 1, `Sending ${what}`);
  const row = el("li.sending", {}, el("span.name", {}, what), note, bar, button("Stop", stop, { kind: "small" }));
  list.append(row);
  const progressed = (sent, whole) => {
    bar.firstElementChild.style.setProperty("width", `${(sent / Math.max(whole, 1)) * 100}%`);
    say(note, sent < whole ? `${bytes(sent)} of ${bytes(whole)}` : "sent, being read…");
  };
  try {
    const answer = await upload(path, files, { signal: ending.signal, progressed });
    row.remove();
    return answer;
  } catch (error) {
    if (error.name === "AbortError") {
      row.remove();
      speak(`${what}: stopped`);
      return null;
    }
    if (!(error instanceof Problem)) throw error;
    if (mine(error)) {
      row.remove();
      return error;
    }
    replace(row, notice("bad", el("p", {}, `${what}: ${error.words}`), button("Close", () => row.remove(), { kind: "small" })));
    return null;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
