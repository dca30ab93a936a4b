// One job, as it goes on: what it found, what its steps do, what it costs, and what can be done with it.

import { get, left, query } from "./api.js";
import { el } from "./dom.js";
import { actions } from "./job_actions.js";
import { answerCard } from "./job_answer.js";
import { costCard } from "./job_cost.js";
import { eventsCard } from "./job_events.js";
import { graphPanel } from "./job_graph.js";
import { headPart } from "./job_head.js";
import { FINAL, apply, newModel, take } from "./job_model.js";
import { stepPanel } from "./job_step.js";
import { listPanel } from "./job_steps.js";
import { timelinePanel } from "./job_timeline.js";
import { follow, soon } from "./live.js";
import { requery } from "./router.js";
import { card, complain, tabs } from "./ui.js";

const REFRESH_MS = 1000;
const TICK_MS = 1000;
const HISTORY = 300; // events from before the page was opened

export async function show(context) {
  const path = `/jobs/${encodeURIComponent(context.parameters.job)}`;
  const { signal } = context;
  const standing = await get(`${path}/status`, { signal });
  const model = newModel(standing.job_id, path, signal);
  model.last = standing.last_event;
  await read(model);
  context.title(model.job.task.slice(0, 80));

  const parts = lay(model, context);
  let drawing = 0;
  const draw = () => {
    drawing ||= requestAnimationFrame(() => {
      drawing = 0;
      for (const part of parts) part.update(model);
    });
  };
  model.refresh = soon(REFRESH_MS, async () => {
    try {
      await read(model);
      draw();
    } catch (error) {
      if (!left(error)) complain(error);
    }
  });
  model.pick = (step) => {
    model.picked = model.steps.has(step) ? step : null;
    requery({ step: model.picked });
    draw();
  };
  context.onQuery((now) => model.pick(now.get("step")));
  model.follow = () => listen(model, draw);
  model.picked = model.steps.has(context.query.get("step")) ? context.query.get("step") : null;
  for (const part of parts) part.update(model);
  model.follow();
  const ticking = setInterval(() => {
    if (!document.hidden && !FINAL.has(model.job.status)) for (const part of parts) part.tick?.(model);
  }, TICK_MS);
  signal.addEventListener("abort", () => {
    clearInterval(ticking);
    cancelAnimationFrame(drawing);
  });
}

/** All that is known of it now. */
async function read(model) {
  const { path, signal } = model;
  const [job, graph, ledger] = await Promise.all([
    get(path, { signal }), get(`${path}/graph`, { signal }), get(`${path}/ledger`, { signal }),
  ]);
  take(model, job, graph, ledger);
}

// Events of before are told, those that come change what is shown; what they do not say is read again.
function listen(model, draw) {
  model.unfollow?.();
  const since = Math.max(model.seen, model.last - HISTORY, 0);
  model.unfollow = follow(`${model.path}/events`, {
    since, signal: model.signal, check: `${model.path}/status`,
    on: (event) => {
      model.seen = event.seq;
      model.events.push(event);
      if (event.seq > model.last) {
        apply(model, event);
        if (!["text_delta", "step_progress"].includes(event.type)) model.refresh();
      }
      draw();
    },
    state: (live) => {
      model.live = live;
      draw();
    },
    ended: () => {
      model.live = false;
      if (!FINAL.has(model.job.status) || model.seen > model.last) model.refresh();
      draw();
    },
    failed: complain,
  });
}

function lay(model, context) {
  const head = headPart(model, actions(model));
  const answer = answerCard(model);
  const graph = graphPanel(model);
  const timeline = timelinePanel(model);
  const list = listPanel(model);
  const views = [["Graph", graph], ["Timeline", timeline], ["List", list]];
  const wanted = { graph: "Graph", time: "Timeline", list: "List" }[context.query.get("view")];
  const shown = tabs("How the steps are shown", views.map(([name, part]) => [name, part.element]), wanted ?? "Graph", (name) => {
    for (const [one, part] of views) part.shown = one === name;
    views.find(([one]) => one === name)[1].update(model);
  });
  const whole = el("a.button.small", { href: `/v1${model.path}/trace${query({ format: "html" })}`, target: "_blank", rel: "noopener" }, "Full trace ↗");
  const steps = card("Steps", [shown.list, whole], shown.panels);
  steps.classList.add("steps-card");
  const step = stepPanel(model);
  const cost = costCard();
  const events = eventsCard(model);
  const side = el("div.side", {}, step.element, cost.element, events.element);
  context.main.append(head.element, el("div.job-grid", {}, el("div.job-main", {}, answer.element, steps), side));
  return [head, answer, graph, timeline, list, step, cost, events];
}

