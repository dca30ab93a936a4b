// The list of jobs: the newest first, sieved, always fresh, more on wish.

import { get, left, pause, query } from "./api.js";
import { el, keyed, replace, say, unseen } from "./dom.js";
import { cut, duration, microusd } from "./format.js";
import { drawFilters, sinceOf } from "./jobs_filters.js";
import { every } from "./live.js";
import { requery } from "./router.js";
import { ago, badge, button, empty, failure, heading, loading, progress, speak, tag } from "./ui.js";
import { may, visitor } from "./visitor.js";

const REFRESH_MS = 3000;
const PART = 100;
const MOST = 1000; // of one request
const CHUNK = 150; // rows made at once: the first are seen before the last are made
const MAX_TASK_CHARS = 240;
const OPEN = new Set(["pending", "in_progress"]);

export async function show(context) {
  context.title("Jobs");
  const list = el("ul.jobs", { "aria-label": "Jobs" });
  const foot = el("div.jobs-foot");
  const note = el("p.soft", { role: "status" });
  const box = el("div.card", {}, columns(), list, foot);
  const state = { jobs: [], next: null, filters: read(context.query), list, foot, note, box, turn: 0, context };
  const filters = drawFilters(state.filters, (changes) => {
    requery(changes);
    Object.assign(state.filters, changes);
    first(state);
  });
  context.onQuery((now) => {
    state.filters = read(now);
    filters.set(state.filters);
    first(state);
  });
  context.main.append(
    heading("Jobs", note, may("submit") ? el("a.button.primary", { href: "#/submit" }, "New job") : null),
    filters.form, box,
  );
  await first(state);
  pause(REFRESH_MS, context.signal).then(() => every(REFRESH_MS, () => refresh(state), context.signal), () => {});
}

function read(text) {
  return {
    status: text.getAll("status"), q: text.get("q") ?? "", session: text.get("session") ?? "",
    age: text.get("age") ?? "", tenant: text.get("tenant") ?? "", show: Math.min(MOST, Number(text.get("show")) || PART),
  };
}

function ask(state, limit, cursor = null) {
  const { status, q, session, tenant, age } = state.filters;
  return get(`/jobs${query({ status, q, session, tenant, since: sinceOf(age), limit, cursor })}`, { signal: state.context.signal });
}

// The list from its beginning, as after a change of the filters. Only the last one that was asked for is shown.
async function first(state) {
  state.turn += 1;
  const turn = state.turn;
  if (!state.jobs.length) replace(state.foot, loading("Reading the jobs"));
  try {
    const page = await ask(state, state.filters.show);
    if (turn !== state.turn) return;
    state.jobs = page.jobs;
    state.next = page.next;
    await draw(state, turn);
    speak(`${page.jobs.length} jobs shown`);
  } catch (error) {
    if (left(error) || turn !== state.turn) return;
    state.jobs = [];
    state.list.replaceChildren();
    replace(state.foot, failure(error, () => first(state)));
  }
}

async function more(state) {
  const turn = state.turn;
  const page = await ask(state, PART, state.next);
  if (turn !== state.turn) return;
  const there = new Set(state.jobs.map((job) => job.job_id));
  state.jobs = [...state.jobs, ...page.jobs.filter((job) => !there.has(job.job_id))];
  state.next = page.next;
  await draw(state, turn);
  speak(`${state.jobs.length} jobs shown`);
}

// What changed since: new jobs come in above, changed rows change in place, older ones stay as they are.
async function refresh(state) {
  const turn = state.turn;
  const page = await ask(state, Math.max(1, Math.min(MOST, Math.max(state.jobs.length, PART))));
  if (turn !== state.turn) return;
  const fresh = new Set(page.jobs.map((job) => job.job_id));
  const last = page.jobs.at(-1);
  const older = last && page.next ? state.jobs.filter((job) => !fresh.has(job.job_id) && job.created_at < last.created_at) : [];
  if (!older.length) state.next = page.next;
  state.jobs = [...page.jobs, ...older];
  await draw(state, turn);
}

async function draw(state, turn) {
  const rows = (jobs) => keyed(state.list, jobs, (job) => job.job_id, makeRow, updateRow);
  for (let count = CHUNK; count < state.jobs.length && state.list.children.length < state.jobs.length; count += CHUNK) {
    if (state.list.children.length < count) rows(state.jobs.slice(0, count));
    await new Promise((resolve) => setTimeout(resolve));
    if (turn !== state.turn) return;
  }
  rows(state.jobs);
  state.box.classList.toggle("none", !state.jobs.length);
  const open = state.jobs.filter((job) => OPEN.has(job.status)).length;
  say(state.note, state.jobs.length ? `${state.jobs.length}${state.next ? "+" : ""} shown${open ? `, ${open} open` : ""}` : "");
  drawFoot(state);
}

function drawFoot(state) {
  const kind = state.next ? "more" : state.jobs.length ? "" : sieved(state.filters) ? "sieved" : "none";
  if (state.foot.dataset.kind === kind && state.foot.children.length) return;
  state.foot.dataset.kind = kind;
  const submit = may("submit") ? el("a", { href: "#/submit" }, "Submit one") : "They appear here as soon as somebody submits one.";
  replace(state.foot, {
    "more": () => button("More", () => more(state)),
    "": () => null,
    "sieved": () => empty("No job is like that.", "Change or clear the filters above."),
    "none": () => empty("There are no jobs yet.", submit),
  }[kind]());
}

const sieved = ({ status, q, session, age, tenant }) => status.length || q || session || age || tenant;

// Shown to the eye alone: each value says what it is to screen readers.
function columns() {
  const names = ["Status", "Job", "Steps", "Cost", "Age"];
  return el("div.job-row.columns", { "aria-hidden": "true" }, names.map((name, at) => el(`span.c${at}`, {}, name)));
}

function makeRow(job) {
  const row = el("li.job-row", { dataset: { state: stateOf(job) } });
  return fillRow(row, job);
}

const stateOf = (job) => JSON.stringify([job.status, job.paused, job.steps_done, job.steps_total, job.cost_microusd, job.finished_at]);

// A row is made anew only where it says something else; its link stays, and with it the focus.
function updateRow(row, job) {
  const now = stateOf(job);
  if (row.dataset.state === now) return;
  row.dataset.state = now;
  const link = row.querySelector("a");
  fillRow(row, job, link);
}

function fillRow(row, job, link = null) {
  const name = link ?? el("a", { href: `#/jobs/${job.job_id}` }, cut(job.task.replace(/\s+/g, " "), MAX_TASK_CHARS));
  const parts = [
    el("span.c0", {}, badge(job.paused ? "paused" : job.status)),
    link ? link.closest(".c1") : el("span.c1", {}, name, el("span.sub", {}, subline(job))),
    el("span.c2", {}, unseen("Steps "), `${job.steps_done}/${job.steps_total}`, progress(job.steps_done, job.steps_total, "")),
    el("span.c3.number", {}, unseen("Cost "), microusd(job.cost_microusd)),
    el("span.c4.number", {}, unseen("Submitted "), ago(job.created_at), unseen(" ago"), took(job)),
  ];
  parts.forEach((part, at) => {
    const there = row.children[at];
    if (there === part) return;
    if (there) there.replaceWith(part);
    else row.append(part);
  });
  for (const bar of row.querySelectorAll(".progress")) {
    bar.removeAttribute("role");
    bar.removeAttribute("aria-label");
    bar.setAttribute("aria-hidden", "true");
  }
  return row;
}

function subline(job) {
  return [
    el("span.mono", {}, job.job_id),
    visitor().operator && job.tenant ? tag(job.tenant) : null,
    job.session ? tag(`session ${job.session}`) : null,
  ];
}

function took(job) {
  if (!job.finished_at) return null;
  return el("span.sub", {}, unseen("took "), duration(Date.parse(job.finished_at) - Date.parse(job.created_at)));
}
