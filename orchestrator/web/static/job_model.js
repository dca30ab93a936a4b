// What is known of the job that is shown: read whole now and then, changed by its events in between.

export const FINAL = new Set(["completed", "failed", "cancelled"]);
export const FINAL_STEP = new Set(["succeeded", "failed", "skipped", "cancelled"]);
const MAX_LIVE_CHARS = 20000;
const STATUS_AFTER = {
  step_dispatched: "dispatched", step_started: "running", step_succeeded: "succeeded", step_faltered: "delayed",
  step_parked: "parked", step_woken: "ready", step_retrying: "delayed", step_fell_back: "ready", step_failed: "failed",
  step_skipped: "skipped", step_cancelled: "cancelled",
};

/** An empty one. */
export function newModel(id, path, signal) {
  return {
    id, path, signal, job: null, graph: null, ledger: null, steps: new Map(), nodes: new Map(), texts: new Map(), events: [],
    last: 0, seen: 0, live: false, picked: null, pausedBy: "request", told: 0,
  };
}

/** Takes what was read. */
export function take(model, job, graph, ledger) {
  Object.assign(model, { job, graph, ledger });
  model.steps = new Map(job.steps.map((step) => [step.id, step]));
  model.nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  for (const step of job.steps) if (FINAL_STEP.has(step.status)) model.texts.delete(step.id);
  model.told += 1;
}

/** What an event changes at once. */
export function apply(model, event) {
  const step = model.steps.get(event.step);
  const status = STATUS_AFTER[event.type];
  if (step && status) {
    step.status = status;
    const node = model.nodes.get(event.step);
    if (node) {
      node.status = status;
      if (event.type === "step_started") node.started_at ??= event.at;
    }
    if (event.type === "step_started") {
      step.worker = event.worker;
      step.attempts = event.attempt;
      step.started_at = event.at;
    }
  }
  if (event.type === "text_delta") write(model, event);
  if (event.type === "job_paused") Object.assign(model.job, { paused: true });
  if (event.type === "job_paused") model.pausedBy = event.by;
  if (event.type === "job_continued") model.job.paused = false;
  if (event.type === "job_finished" || event.type === "job_reopened") model.job.status = event.status;
  if (event.type === "plan_accepted" && model.job.status === "pending") model.job.status = "in_progress";
}

// What a model writes: a new turn or attempt begins a new text.
function write(model, { step, attempt, turn, text }) {
  const there = model.texts.get(step);
  const name = `${attempt}.${turn}`;
  const before = there?.name === name ? there.text : "";
  model.texts.set(step, { name, text: (before + text).slice(-MAX_LIVE_CHARS) });
}

/** Steps that are done, of all. */
export function doneOf(model) {
  const steps = [...model.steps.values()];
  return [steps.filter((step) => FINAL_STEP.has(step.status)).length, steps.length];
}

/** From when to when a step went on: by its node, whose times are those of all its attempts. */
export function spanOf(model, id, now = Date.now()) {
  const node = model.nodes.get(id);
  if (!node?.started_at) return null;
  const begin = Date.parse(node.started_at);
  return [begin, node.ended_at ? Date.parse(node.ended_at) : Math.max(begin, now)];
}
