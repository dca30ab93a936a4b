// All that waits for people, in all jobs: the oldest first.

import { get, left } from "./api.js";
import { askedForm, askedKey } from "./asked.js";
import { el, keyed, replace, say } from "./dom.js";
import { every } from "./live.js";
import { empty, failure, heading, loading } from "./ui.js";
import { counted } from "./waiting.js";

const REFRESH_MS = 3000;
const MOST = 200;

export async function show(context) {
  context.title("Approvals");
  const note = el("p.soft", { role: "status" });
  const list = el("div.asked-list");
  const state = el("div", {}, loading("Looking what is asked"));
  const done = new Set(); // decided here: not shown again before the API has it too
  context.main.append(heading("Waiting for people", note), list, state);

  const drop = (one) => {
    done.add(askedKey(one));
    const box = [...list.children].find((child) => child.dataset.key === askedKey(one));
    const next = box?.nextElementSibling ?? box?.previousElementSibling;
    box?.remove();
    const heading = next?.querySelector("h2") ?? context.main.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus();
    tell();
  };
  const tell = () => {
    const left = list.children.length;
    say(note, left ? `${left} waiting` : "");
    if (left) replace(state);
    else if (!state.querySelector(".none")) replace(state, el("div.card.none", {}, empty("Nothing waits for you.", "Steps that need a yes, or an answer, appear here.")));
  };
  async function refresh() {
    const asked = await get(`/asked?limit=${MOST}`, { signal: context.signal });
    const open = asked.filter((one) => !done.has(askedKey(one)));
    counted(open.length);
    keyed(list, open, askedKey, (one) => askedForm(one, { decided: drop }));
    tell();
  }
  const failed = (error) => {
    if (left(error)) return;
    list.replaceChildren();
    replace(state, failure(error, () => refresh().catch(failed)));
  };
  await refresh().catch(failed);
  every(REFRESH_MS, refresh, context.signal, failed);
}
