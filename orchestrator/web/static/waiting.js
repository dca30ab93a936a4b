// How many things wait for people: the number beside the navigation's link.

import { get } from "./api.js";
import { el, say, unseen } from "./dom.js";
import { every, soon } from "./live.js";

const REFRESH_MS = 15000;
const MOST = 100;
let look = () => {};
let tell = () => {};
let ending = null;

/** Adds the number to a link, and keeps it fresh until this is called again. */
export function countOn(link) {
  ending?.abort();
  ending = new AbortController();
  const { signal } = ending;
  const number = el("span.count", { hidden: true });
  const shown = el("span");
  const spoken = unseen("");
  number.append(shown, spoken);
  link.append(" ", number);
  tell = (waiting) => {
    number.hidden = !waiting;
    say(shown, waiting >= MOST ? `${MOST}+` : String(waiting));
    say(spoken, waiting ? " waiting" : "");
  };
  const refresh = async () => tell((await get(`/asked?limit=${MOST}`, { signal, login: false, patient: false })).length);
  look = soon(50, () => refresh().catch(() => {})); // the next look will tell; views tell failures of their own
  every(REFRESH_MS, refresh, signal);
}

/** Nobody is there to be told. */
export const stopCounting = () => ending?.abort();

/** A view has counted them itself. */
export const counted = (waiting) => tell(waiting);

/** Something was decided: look again now. */
export const changed = () => look();
