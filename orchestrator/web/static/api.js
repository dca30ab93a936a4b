// Asks the API. Every failure is a Problem with words for people; what may be asked again by itself is.
//
//   const job = await get(`/jobs/${id}`, { signal });
//   await post(`/jobs/${id}/cancel`);
//   const made = await post("/jobs", body, { key: newKey() });     // Idempotency-Key: may be sent again
//
// GETs, and writes with `again: true` or a `key`, wait and try again when the API is away (no answer, 503) or asks for
// patience (429). The state of the connection is told to `onConnection` listeners: "" or a text to show.

export const PREFIX = "/v1";
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;
const LONGEST_WAIT_S = 60;
const TRIES_OF_WRITES = 4;

/** Why a request was not done. */
export class Problem extends Error {
  constructor(status, code, detail, faults = []) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.code = code;
    this.faults = faults;
  }

  /** In one line for people. */
  get words() {
    const faults = this.faults.map((one) => `${one.where.replace(/^body\./, "")}: ${one.message}`);
    return faults.length ? faults.join("; ") : this.message;
  }
}

const listeners = { connection: new Set(), refused: new Set() };

/** Tells whether the API can be reached; gives a function that ends it. */
export function onConnection(listener) {
  listeners.connection.add(listener);
  return () => listeners.connection.delete(listener);
}

/** Told when the API asks for a key, or knows ours no more. */
export const onRefused = (listener) => listeners.refused.add(listener);

let connection = "";

/** Say what is wrong with the connection; empty: nothing. */
export function connected(text = "") {
  if (text === connection) return;
  connection = text;
  for (const listener of listeners.connection) listener(text);
}

/** A name that lets one request be sent twice and done once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
}

/** Query parameters: lists are repeated, empty values left out. */
export function query(parameters) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") found.append(name, one);
    }
  }
  const text = found.toString();
  return text ? `?${text}` : "";
}

export const get = (path, options = {}) => ask("GET", path, undefined, { again: true, ...options });
export const post = (path, body = undefined, options = {}) => ask("POST", path, body, options);
export const put = (path, body, options = {}) => ask("PUT", path, body, options);
export const patch = (path, body, options = {}) => ask("PATCH", path, body, options);
export const remove = (path, options = {}) => ask("DELETE", path, undefined, { again: true, ...options });

/** One request. Options: signal, headers, key (Idempotency-Key), again (may be sent again), text (answer as text), patient
 * (false: the first failure is told, nothing is tried again). Bodies: objects as JSON; FormData, Blob and text as they are. */
export async function ask(method, path, body, options = {}) {
  const { signal, key, again = key !== undefined, patient = true } = options;
  for (let tried = 1; ; tried += 1) {
    const outcome = await once(method, path, body, options);
    if (outcome.value !== undefined) return outcome.value;
    const { problem, after } = outcome;
    if (problem.status === 401 && options.login !== false) for (const listener of listeners.refused) listener(problem);
    const passing = problem.status === 0 || problem.status === 429 || problem.status === 502 || problem.status === 503;
    const tooLong = after > LONGEST_WAIT_S || problem.code === "daily_budget_spent" || problem.code === "fleet_full";
    if (!patient || !again || !passing || tooLong || (method !== "GET" && tried >= TRIES_OF_WRITES)) {
      if (problem.status === 0) connected(""); // told as a problem instead
      throw problem;
    }
    connected(problem.status === 429 ? "Many requests: waiting a moment." : "Connection lost, trying again.");
    await pause(Math.max(after * 1000, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (tried - 1))), signal);
  }
}

async function once(method, path, body, { signal, headers = {}, key, text = false }) {
  const sent = { Accept: "application/json, text/plain, */*", ...headers };
  if (key !== undefined) sent["Idempotency-Key"] = key;
  const whole = body instanceof FormData || body instanceof Blob || typeof body === "string";
  if (body !== undefined && !whole) sent["Content-Type"] = "application/json";
  const payload = body === undefined || whole ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(PREFIX + path, { method, headers: sent, body: payload, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { problem: new Problem(0, "unreachable", "The API cannot be reached."), after: 0 };
  }
  return read(response, text);
}

async function read(response, asText) {
  const content = await response.text().catch(() => "");
  const json = /json\b/.test(response.headers.get("content-type") || "") ? parsed(content) : undefined;
  if (response.ok) {
    connected("");
    return { value: asText ? content : response.status === 204 ? null : (json ?? content) };
  }
  const after = Number(response.headers.get("retry-after")) || 0;
  const told = json && typeof json === "object" ? json : {};
  const detail = told.detail || `The API answered ${response.status} ${response.statusText}`.trim();
  return { problem: new Problem(response.status, told.code || "http", detail, told.faults || []), after };
}

function parsed(content) {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

/** Waits; ends with an AbortError when the signal says so. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Whether a failure only says that its view was left. */
export const left = (error) => error?.name === "AbortError";
