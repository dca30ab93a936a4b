// Conversations: the ones used last, and a way to begin one.

import { get, left } from "./api.js";
import { el, replace, say } from "./dom.js";
import { count, counted } from "./format.js";
import { clearFaults, tellFaults } from "./forms.js";
import { every } from "./live.js";
import { go } from "./router.js";
import { ago, badge, empty, failure, field, heading, loading, table } from "./ui.js";
import { may, visitor } from "./visitor.js";

const REFRESH_MS = 5000;
const MOST = 200;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,48}$/;
const PREFIX = /^t-[0-9a-f]{8}-/;

/** A session's name, as who began it said it: its id has the tenant's mark before it, and a partition behind it. */
export const sessionName = (id) => {
  const name = id.replace(/\.[0-9a-z]$/, "");
  return visitor().operator ? name : name.replace(PREFIX, "");
};

export async function show(context) {
  context.title("Sessions");
  const note = el("p.soft", { role: "status" });
  const box = el("div.card", {}, loading("Reading the sessions"));
  const known = new Map();
  context.main.append(heading("Sessions", note), may("submit") ? beginning(known) : "", box);
  let last = "";
  async function refresh() {
    const sessions = await get(`/sessions?limit=${MOST}`, { signal: context.signal });
    const text = JSON.stringify(sessions);
    if (text === last) return;
    last = text;
    known.clear();
    for (const one of sessions) known.set(sessionName(one.session_id), one.session_id);
    say(note, sessions.length ? counted(sessions.length, "session") : "");
    replace(box, sessions.length ? listed(sessions) : empty("There are no sessions yet.", "A session is a conversation: each message is answered by a job that knows what was said before."));
  }
  const failed = (error) => {
    if (left(error)) return;
    last = "";
    replace(box, failure(error, () => refresh().catch(failed)));
  };
  await refresh().catch(failed);
  every(REFRESH_MS, refresh, context.signal, failed);
}

function listed(sessions) {
  return table("Sessions, the one used last first", [
    { name: "Session", of: (one) => el("a.strong", { href: `#/sessions/${encodeURIComponent(one.session_id)}` }, sessionName(one.session_id)) },
    { name: "State", of: (one) => badge(one.status) },
    { name: "Messages", number: true, of: (one) => count(one.messages) },
    { name: "Waiting", number: true, of: (one) => (one.waiting ? count(one.waiting) : "–") },
    { name: "Used", number: true, of: (one) => ago(one.updated_at, " ago") },
  ], sessions);
}

function beginning(known) {
  const name = el("input", { maxlength: "49", autocomplete: "off", spellcheck: "false", placeholder: "customer-17" });
  const form = el("form.card.begin", { "aria-label": "Begin a session", novalidate: true },
    field("Name of a new session, or of one that is there", name), el("button.primary", { type: "submit" }, "Open"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearFaults({ name });
    const text = name.value.trim();
    if (NAME.test(text)) go(known.has(text) ? `/sessions/${encodeURIComponent(known.get(text))}` : `/sessions/${text}?new=1`);
    else tellFaults({ name }, [{ where: "name", message: "1 to 49 letters, digits, - and _, beginning with a letter or digit." }]);
  });
  return form;
}
