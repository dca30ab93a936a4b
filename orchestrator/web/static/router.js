// Which view is shown: by the part of the address after `#`, so that links into the page work on any server.
//
//   route("/jobs/:job", () => import("./job.js"), { title: "Job" });
//   begin(main);
//
// A view's module exports `show(context)`: it fills `context.main`. The context has `parameters` (of the path), `query`
// (URLSearchParams), `signal` (aborted when the view is left: give it to requests, streams and timers), `title(text)`,
// and `onQuery(listener)`: with it a view takes changes of the query itself, without it is shown anew.

import { left } from "./api.js";
import { el, replace } from "./dom.js";
import { failure, loading } from "./ui.js";

const routes = [];
const watchers = new Set();
let outlet = null;
let now = null;

/** Adds a view. `load` gives its module. */
export function route(pattern, load) {
  routes.push({ parts: pattern.split("/"), pattern, load });
}

/** Called with the path after each change: the navigation marks where we are. */
export const onPath = (watcher) => watchers.add(watcher);

/** Shows the view of the address, now and whenever it changes. */
export function begin(main) {
  outlet = main;
  addEventListener("hashchange", () => visit(false));
  visit(true);
}

/** The path and query after `#`. */
export function here() {
  const [path, text = ""] = location.hash.replace(/^#/, "").split("?", 2);
  return { path: path.startsWith("/") ? path : "/jobs", query: new URLSearchParams(text) };
}

/** Goes to another view. */
export function go(path) {
  if (location.hash === `#${path}`) visit(false, true);
  else location.hash = path;
}

/** Changes the query of the address; no view is left, nothing is put into the history. */
export function requery(changes) {
  const { path, query } = here();
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
  }
  const text = query.toString();
  history.replaceState(null, "", `#${path}${text ? `?${text}` : ""}`);
  if (now) now.text = text;
}

/** Shows the view again from its beginning, as after a login. */
export const again = () => visit(false, true);

async function visit(first, anew = false) {
  const { path, query } = here();
  for (const watcher of watchers) watcher(path);
  if (!anew && now && now.path === path && now.listener) {
    if (now.text !== query.toString()) now.listener(query);
    now.text = query.toString();
    return;
  }
  now?.ending.abort();
  const ending = new AbortController();
  const mine = { path, text: query.toString(), ending, listener: null };
  now = mine;
  const box = el("div.view");
  const waiting = setTimeout(() => replace(outlet, loading("Loading")), 150);
  const found = match(path);
  const context = {
    main: box, query, path, signal: ending.signal, parameters: found?.parameters ?? {}, title,
    onQuery: (listener) => { mine.listener = listener; },
  };
  title("");
  try {
    if (found) await (await found.load()).show(context);
    else replace(box, el("h1", {}, "There is no such page"), el("p", {}, el("a", { href: "#/jobs" }, "To the jobs")));
  } catch (error) {
    if (left(error) || ending.signal.aborted) return;
    replace(box, el("h1", {}, "This could not be shown"), failure(error, again));
  } finally {
    clearTimeout(waiting);
  }
  if (now !== mine) return;
  replace(outlet, box);
  if (!first) arrive(box);
}

// Screen readers and keyboards go on at the new view's heading.
function arrive(box) {
  scrollTo(0, 0);
  const heading = box.querySelector("h1");
  if (!heading) return outlet.focus({ preventScroll: true });
  heading.tabIndex = -1;
  return heading.focus({ preventScroll: true });
}

function match(path) {
  const parts = path.replace(/\/+$/, "").split("/");
  for (const one of routes) {
    if (one.parts.length !== parts.length) continue;
    const parameters = {};
    const fits = one.parts.every((part, at) => {
      if (!part.startsWith(":")) return part === parts[at];
      parameters[part.slice(1)] = decoded(parts[at]);
      return parts[at] !== "";
    });
    if (fits) return { load: one.load, parameters };
  }
  return null;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function title(text) {
  document.title = text ? `${text} · Troupe` : "Troupe";
}
