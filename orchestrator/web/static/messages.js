// One message of a session, and where an answer was found.

import { get } from "./api.js";
import { dialog } from "./dialog.js";
import { el } from "./dom.js";
import { clock, moment } from "./format.js";
import { markdown } from "./markdown.js";
import { openSource, sourceList } from "./sources.js";
import { button, complain } from "./ui.js";

const WHO = { user: "You", assistant: "Troupe", system: "Note" };

/** A message as a bubble; an answer leads to its job and its sources. */
export function messageBox(message, signal) {
  const text = textOf(message);
  const body = message.role === "assistant"
    ? markdown(text, { cite: (number) => openSources(message.job, signal, number).catch(complain), cited: () => Boolean(message.job), level: 2 })
    : el("p.said", {}, text);
  return el(`li.message.${message.role}`, {}, el("div.bubble", {}, head(message), body, others(message), foot(message, signal)));
}

/** All text of a message: what else it holds is counted by `others`. */
export const textOf = (message) =>
  message.content.filter((block) => block.type === "text").map((block) => block.text).join("\n\n");

function head(message) {
  return el("p.message-head", {}, el("span.strong", {}, WHO[message.role]), el("time.soft", { datetime: message.timestamp, title: moment(message.timestamp) }, clock(message.timestamp)));
}

function others(message) {
  const rest = message.content.filter((block) => block.type !== "text");
  if (!rest.length) return null;
  return el("details", {}, el("summary", {}, `${rest.length} further part${rest.length === 1 ? "" : "s"}`),
    el("pre", { tabindex: "0" }, JSON.stringify(rest, null, 2)));
}

function foot(message, signal) {
  if (!message.job || message.role === "user") return null;
  return el("p.message-foot", {}, el("a", { href: `#/jobs/${message.job}` }, "How this was found"),
    message.role === "assistant" ? button("Sources", () => openSources(message.job, signal), { kind: "quiet" }) : null);
}

/** A window with the sources of a job's answer; or with one of them, by its number. */
export async function openSources(job, signal, number = null) {
  const { sources } = await get(`/jobs/${job}`, { signal });
  const one = number && sources.find((source, at) => (source.number ?? at + 1) === number);
  if (one) openSource(one, number);
  else dialog("Sources of this answer", sourceList(sources) ?? el("p.soft", {}, "This answer names no sources."), [], { wide: true });
}
