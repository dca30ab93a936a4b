// What happens while one looks on: event streams that go on after any interruption, and calls every few seconds.
//
//   follow(`/jobs/${id}/events`, { since, signal, on: (event) => …, ended: () => …, failed: (problem) => … });
//   every(3000, () => refresh(), signal);
//
// Both stand still while the tab is hidden: browsers allow few connections to one server, and hidden tabs would take them.

import { connected, get, left, pause, query } from "./api.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10000;
const SHARE = 10; // a call every so many times of what it took, at most

/** Reads a stream of server-sent events with numbers as ids, each event once, in order, whatever connection is lost.
 *
 * `check` is a path that tells why a stream is refused. `state(live)` is told when it begins and when it stands still. */
export function follow(path, { since = 0, signal, on, ended = () => {}, failed = () => {}, state = () => {}, check }) {
  let seen = since;
  let source = null;
  let tries = 0;
  let over = false;
  let timer = 0;

  const close = () => {
    source?.close();
    source = null;
    clearTimeout(timer);
    state(false);
  };
  const finish = () => {
    over = true;
    close();
    document.removeEventListener("visibilitychange", turned);
    removeEventListener("pagehide", close);
    signal?.removeEventListener("abort", finish);
  };
  const turned = () => {
    if (document.hidden) close();
    else if (!over && !source) open();
  };

  function open() {
    close();
    source = new EventSource(`/v1${path}${query({ since: seen })}`);
    const mine = source;
    source.onopen = () => {
      tries = 0;
      connected("");
      state(true);
    };
    source.onmessage = (message) => {
      const number = Number(message.lastEventId);
      if (number && number <= seen) return;
      if (number) seen = number;
      on(JSON.parse(message.data));
    };
    source.addEventListener("end", () => {
      finish();
      ended();
    });
    source.onerror = () => mine === source && lost();
  }

  // The browser comes back by itself only after some failures, and without patience; so we do it for all.
  async function lost() {
    close();
    tries += 1;
    try {
      if (check) await get(check, { signal });
    } catch (problem) {
      if (!left(problem)) failed(problem);
      return finish();
    }
    if (over || document.hidden) return undefined;
    timer = setTimeout(open, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tries - 1)) * (0.5 + Math.random() / 2));
    return undefined;
  }

  document.addEventListener("visibilitychange", turned);
  addEventListener("pagehide", close);
  signal?.addEventListener("abort", finish);
  if (!signal?.aborted) turned();
  return finish;
}

/** Calls again and again until the signal says so; each call begins some time after the one before has ended. What a call
 * throws is told to `failed`, and the next one is made all the same. */
export async function every(ms, call, signal, failed = () => {}) {
  try {
    for (;;) {
      await seen(signal);
      const begun = performance.now();
      try {
        await call();
      } catch (error) {
        if (left(error)) return;
        failed(error);
      }
      await pause(Math.max(ms, SHARE * (performance.now() - begun)), signal);
    }
  } catch (error) {
    if (!left(error)) throw error;
  }
}

// Waits until the tab is looked at.
function seen(signal) {
  if (signal?.aborted) return Promise.reject(new DOMException("aborted", "AbortError"));
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
  });
}

/** A call that is made soon, once for many wishes, and never twice at the same time. */
export function soon(ms, call) {
  let timer = 0;
  let running = false;
  let wished = false;
  const run = async () => {
    timer = 0;
    running = true;
    const begun = performance.now();
    try {
      await call();
    } finally {
      running = false;
      const rest = Math.max(ms, 3 * (performance.now() - begun));
      if (wished) {
        wished = false;
        timer = setTimeout(run, rest);
      }
    }
  };
  return () => {
    if (running) wished = true;
    else if (!timer) timer = setTimeout(run, ms);
  };
}
