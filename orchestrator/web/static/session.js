// One session as a chat: what was said, what is being written, and a place to say something.

import { get, left, query, remove } from "./api.js";
import { ask } from "./dialog.js";
import { add, el, keyed, replace, say } from "./dom.js";
import { counted } from "./format.js";
import { every, soon } from "./live.js";
import { messageBox } from "./messages.js";
import { go, requery } from "./router.js";
import { sayForm } from "./saying.js";
import { sessionName } from "./sessions.js";
import { writingBox } from "./writing.js";
import { button, empty, failure, heading, loading, speak, toast } from "./ui.js";
import { may } from "./visitor.js";

const REFRESH_MS = 3000;
const NEWEST = 100;
const MOST = 1000;

export async function show(context) {
  const id = context.parameters.session;
  const name = sessionName(id);
  context.title(name);
  const view = {
    path: `/sessions/${encodeURIComponent(id)}`, signal: context.signal, messages: [], newest: NEWEST, last: 0, stamp: "",
    running: null, writing: null, known: false,
    note: el("p.soft", { role: "status" }),
    list: el("ol.messages", { "aria-label": "Messages" }),
    earlier: el("div.earlier"), now: el("div.now"), waiting: el("p.soft.queue", { role: "status" }),
    state: el("div", {}, loading("Reading the session")),
  };
  view.refresh = soon(50, () => refresh(view).catch((error) => failed(view, error)));
  view.fresh = context.query.has("new"); // nothing was said in it: there is nothing to ask for
  const bin = may("submit") ? button("Delete", () => forget(view, name), { kind: "danger", hidden: true }) : null;
  view.bin = bin;
  context.main.append(heading(name, view.note, bin ?? ""),
    el("section.card.chat", { "aria-label": "Conversation" }, view.state, view.earlier, view.list, view.now, view.waiting));
  if (may("submit")) context.main.append(sayForm(view.path, context.signal, () => begun(view)));
  context.onQuery(() => {});
  await refresh(view).catch((error) => failed(view, error));
  requestAnimationFrame(() => toEnd(true));
  every(REFRESH_MS, () => refresh(view), context.signal, (error) => failed(view, error));
}

// The state is small while no messages are asked for with it: those that are new are asked for by themselves.
async function refresh(view) {
  if (view.fresh) return none(view);
  const state = await get(`${view.path}${query({ newest: view.known ? 1 : view.newest })}`, { signal: view.signal }).catch((error) => {
    if (error.status === 404) return null;
    throw error;
  });
  if (!state) return none(view);
  if (!view.known) {
    view.known = true;
    view.messages = state.messages;
  } else if (stampOf(state) !== view.stamp) await fetchNew(view);
  view.stamp = stampOf(state);
  if (view.bin) view.bin.hidden = false;
  draw(view);
  return follow(view, state);
}

const stampOf = (state) => `${state.version} ${state.updated_at} ${state.messages.at(-1)?.seq}`;

function begun(view) {
  view.fresh = false;
  requery({ new: "" });
  view.refresh();
}

// Messages may be taken back too (rollback): then all are asked for again.
async function fetchNew(view) {
  const state = await get(`${view.path}${query({ newest: view.newest })}`, { signal: view.signal });
  const grown = state.messages.length && (state.messages.at(-1).seq ?? 0) > view.last;
  view.messages = state.messages;
  const newest = state.messages.at(-1);
  if (grown && newest.role === "assistant") speak("Answered.");
}

function none(view) {
  view.known = false;
  view.stamp = "";
  view.messages = [];
  view.list.replaceChildren();
  replace(view.earlier);
  if (view.bin) view.bin.hidden = true;
  say(view.note, "");
  if (!view.state.querySelector(".begin-here")) {
    replace(view.state, el("div.begin-here", {}, empty("Nothing was said here yet.", may("submit") ? "The first message begins the session." : "Your key may look, but not say anything.")));
  }
}

function draw(view) {
  const stays = atEnd();
  view.last = view.messages.at(-1)?.seq ?? 0;
  keyed(view.list, view.messages, (one) => one.seq, (one) => messageBox(one, view.signal));
  const more = view.messages.length >= view.newest && view.newest < MOST && view.messages[0].seq > 1;
  if (more && !view.earlier.children.length) {
    replace(view.earlier, button("Earlier messages", async () => {
      view.newest = Math.min(MOST, view.newest * 4);
      await fetchNew(view);
      draw(view);
    }, { kind: "small" }));
  } else if (!more) replace(view.earlier);
  if (view.messages.length) replace(view.state);
  say(view.note, view.messages.length ? more ? `${view.messages.length}+ messages` : counted(view.messages.length, "message") : "");
  if (stays) toEnd();
}

function follow(view, state) {
  say(view.waiting, state.waiting.length ? `${state.waiting.length} more ${state.waiting.length === 1 ? "message waits for its" : "messages wait for their"} turn` : "");
  if (state.running === view.running) return;
  view.running = state.running;
  view.writing?.stop();
  view.writing = null;
  replace(view.now);
  if (!state.running) return;
  view.writing = writingBox(state.running, view.signal, { ended: view.refresh, grown: () => atEnd() && toEnd() });
  add(view.now, view.writing.box);
  toEnd();
}

function failed(view, error) {
  if (left(error)) return;
  if (!view.known) replace(view.state, failure(error, () => view.refresh()));
}

async function forget(view, name) {
  if (!(await ask(`Delete ${name}?`, "Its messages and its state are forgotten, and open jobs of it are cancelled.", "Delete it"))) return;
  await remove(view.path);
  toast("The session is deleted.");
  go("/sessions");
}

const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 160;

function toEnd(now = false) {
  if (now || atEnd()) scrollTo({ top: document.documentElement.scrollHeight });
}
