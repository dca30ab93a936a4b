// The parts that all views are made of: states, badges, buttons, fields, tables, messages.

import { Problem, left } from "./api.js";
import { add, el, replace, say } from "./dom.js";
import { age, ahead, moment, words } from "./format.js";

/** The family of a status decides its colour and its mark: good, bad, busy, waits, off; still for what has not begun. */
const FAMILIES = {
  succeeded: "good", completed: "good", ok: "good", alive: "good",
  failed: "bad", lost: "bad", error: "bad", dead: "bad",
  running: "busy", in_progress: "busy", dispatched: "busy",
  delayed: "waits", parked: "waits", returned: "waits", ready: "waits", paused: "waits",
  skipped: "off", cancelled: "off",
};
export const MARKS = { good: "✓", bad: "✗", busy: "●", waits: "◐", off: "–", still: "○" };
const TOAST_MS = 6000;
const TICK_MS = 1000;

export const family = (status) => FAMILIES[status] ?? "still";

/** A status: its colour, its mark and its word. */
export function badge(status, text = words(status)) {
  const kind = family(status);
  return el(`span.badge.${kind}`, {}, el("span.mark", { "aria-hidden": "true" }, MARKS[kind]), text);
}

/** A small note beside something, as `fork` or `paused`. */
export const tag = (text, kind = "still") => el(`span.tag.${kind}`, {}, text);

/** What stands in a view while it is fetched. */
export const loading = (text = "Loading") =>
  el("p.state", { role: "status" }, el("span.spinner", { "aria-hidden": "true" }), `${text}…`);

/** What stands where there is nothing yet. */
export const empty = (text, ...hint) => el("div.state", {}, el("p", {}, text), hint.length ? el("p.soft", {}, hint) : null);

/** A failure in words, with a way to try again. */
export function failure(error, again = null) {
  const problem = error instanceof Problem ? error : new Problem(0, "page_error", `Something in this page broke: ${error}`);
  if (!(error instanceof Problem) && !left(error)) console.error(error);
  return el(
    "div.notice.bad", { role: "alert" },
    el("p", {}, problem.words),
    problem.code ? el("p.soft", {}, `Code: ${problem.code}`) : null,
    again ? el("p", {}, el("button", { type: "button", onclick: again }, "Try again")) : null,
  );
}

/** A line that must be seen: kind is `bad`, `waits`, `good` or `busy`. */
export const notice = (kind, ...content) => el(`div.notice.${kind}`, {}, content);

/** A bar of how much is done, with what screen readers say of it. */
export function progress(done, total, label) {
  const part = total ? Math.min(1, done / total) : 0;
  return el(
    "span.progress", { role: "img", "aria-label": label ?? `${done} of ${total}` },
    el("span.bar", { style: { width: `${part * 100}%` } }),
  );
}

/** A button that is busy while its action runs, and whose failures are told. `action` may be async. */
export function button(text, action, { kind = "", ...attributes } = {}) {
  const made = el(`button${kind ? `.${kind}` : ""}`, { type: "button", ...attributes }, text);
  made.addEventListener("click", () => busily(made, action));
  return made;
}

/** Runs an action that a button stands for: the button cannot be pressed meanwhile, failures are told as messages. */
export async function busily(pressed, action) {
  if (pressed.getAttribute("aria-busy") === "true") return undefined;
  pressed.setAttribute("aria-busy", "true");
  try {
    return await action();
  } catch (error) {
    if (!left(error)) complain(error);
    return undefined;
  } finally {
    pressed.removeAttribute("aria-busy");
  }
}

/** A field with its label. `control` is an input, select or textarea. */
let fields = 0;
export function field(label, control, hint = "", { hidden = false } = {}) {
  fields += 1;
  control.id ||= `field-${fields}`;
  const note = hint ? el("span.hint", { id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return el("div.field", {}, el(hidden ? "label.unseen" : "label", { for: control.id }, label), control, note);
}

/** A choice: `options` are `[value, text]` pairs. */
export function choice(options, value, attributes = {}) {
  const made = el("select", attributes, options.map(([one, text]) => el("option", { value: one }, text ?? one)));
  made.value = value;
  return made;
}

/** Names with values; empty ones are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl.facts", {}, shown.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

/** A table with a caption for screen readers. Columns: `{ name, of: (row) => text or node, number: true }`. It scrolls for
 * itself where it is too wide. */
export function table(caption, columns, rows) {
  return el(
    "div.scroll", { tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table", {},
      el("caption.unseen", {}, caption),
      el("thead", {}, el("tr", {}, columns.map((one) => el(one.number ? "th.number" : "th", { scope: "col" }, one.name)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, columns.map((one) => el(one.number ? "td.number" : "td", {}, one.of(row)))))),
    ),
  );
}

/** A part of a view with its heading. Beside the heading may stand further things. */
export function card(heading, beside = null, ...content) {
  fields += 1;
  const id = `card-${fields}`;
  return el(
    "section.card", { "aria-labelledby": id },
    el("div.card-head", {}, el("h2", { id }, heading), beside ? el("div.beside", {}, beside) : null),
    content,
  );
}

/** The head of a view: its one heading, and what can be done. */
export const heading = (text, ...beside) => el("div.head", {}, el("h1", {}, text), el("div.beside", {}, beside));

/** A message in a corner, read out too. */
export function toast(text, kind = "good") {
  const box = document.getElementById("toasts");
  const made = el(`div.toast.${kind}`, {}, el("span", {}, text));
  const close = () => made.remove();
  made.append(el("button.quiet", { type: "button", "aria-label": "Close this message", onclick: close }, "×"));
  add(box, made);
  if (kind !== "bad") setTimeout(close, TOAST_MS);
  else setTimeout(close, 3 * TOAST_MS);
}

/** Tells a failure as a message. */
export function complain(error) {
  if (!(error instanceof Problem)) console.error(error);
  toast(error instanceof Problem ? error.words : `Something in this page broke: ${error}`, "bad");
}

/** Says something to screen readers alone. */
export function speak(text) {
  say(document.getElementById("spoken"), text);
}

/** How long ago something was; it goes on by itself. */
export function ago(at, after = "") {
  return el("time", { datetime: at, title: moment(at), dataset: { ago: after } }, since(at, after));
}

function since(at, after, now = Date.now()) {
  const text = age(at, now);
  return text === "now" ? text : text + after;
}

/** How long it is until something; it goes on by itself. */
export function until(at) {
  return el("time", { datetime: at, title: moment(at), dataset: { until: "" } }, ahead(at));
}

setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const one of document.querySelectorAll("time[data-until]")) say(one, ahead(one.dateTime, now));
  for (const one of document.querySelectorAll("time[data-ago]")) say(one, since(one.dateTime, one.dataset.ago, now));
}, TICK_MS);

/** Tabs over panels: `[[name, panel]]`; `picked(name)` is told. Left and right move between them. */
export function tabs(label, pairs, first = pairs[0][0], picked = () => {}) {
  fields += 1;
  const base = `tabs-${fields}`;
  const list = el("div.tabs", { role: "tablist", "aria-label": label });
  const panels = el("div.panels");
  const show = (name) => {
    for (const [at, [one, panel]] of pairs.entries()) {
      const on = one === name;
      set(list.children[at], on);
      panel.hidden = !on;
    }
    picked(name);
  };
  const set = (one, on) => {
    one.setAttribute("aria-selected", String(on));
    one.tabIndex = on ? 0 : -1;
  };
  for (const [at, [name, panel]] of pairs.entries()) {
    panel.id = `${base}-${at}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", name);
    list.append(el("button", { type: "button", role: "tab", "aria-controls": panel.id, onclick: () => show(name) }, name));
    panels.append(panel);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = [...list.children].indexOf(document.activeElement);
    const next = (at + step + pairs.length) % pairs.length;
    show(pairs[next][0]);
    list.children[next].focus();
  });
  show(first);
  return { list, panels, show };
}

/** Puts a new state into a box: content, or a failure with a way to try again. */
export async function fill(box, make, signal = undefined) {
  replace(box, loading());
  try {
    replace(box, await make());
  } catch (error) {
    if (!left(error) && !signal?.aborted) replace(box, failure(error, () => fill(box, make, signal)));
  }
}

