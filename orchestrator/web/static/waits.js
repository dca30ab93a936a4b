// What one step of a job asks people, on the job's page.

import { get, left } from "./api.js";
import { askedForm } from "./asked.js";
import { el, replace } from "./dom.js";
import { failure } from "./ui.js";

const MOST = 1000;

/** What one step of a job asks; it is read when `update(true)` says that the step waits. */
export function waitsPart(job, step, signal, done) {
  const element = el("div");
  let waiting = false;
  let shown = "";
  const read = async () => {
    try {
      const all = await get(`/asked?limit=${MOST}`, { signal });
      const mine = all.filter((one) => one.job_id === job && one.step === step);
      const now = JSON.stringify(mine);
      if (now !== shown) replace(element, mine.map((one) => askedForm(one, { decided: () => done(), withJob: false })));
      shown = now;
    } catch (error) {
      if (!left(error)) replace(element, failure(error, read));
    }
  };
  const update = (waits) => {
    if (waits && !waiting) read();
    if (!waits && waiting) element.replaceChildren();
    if (!waits) shown = "";
    waiting = waits;
  };
  return { element, update, read };
}

