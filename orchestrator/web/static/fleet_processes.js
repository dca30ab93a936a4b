// For operators: processes that are alive, and queues.

import { barCell } from "./bars.js";
import { el } from "./dom.js";
import { count, counted, duration } from "./format.js";
import { ago, badge, card, empty, notice, table } from "./ui.js";

export function workersPart([workers, orchestrators]) {
  const sorted = [...workers].sort((one, other) => one.name.localeCompare(other.name));
  return [
    orchestrators.length ? null : notice("bad", "No orchestrator is alive: jobs are taken in, but nothing is decided about them."),
    card(counted(workers.length, "worker"), null, workers.length ? table("Living workers", [
      { name: "Worker", of: (one) => el("span.strong.mono", {}, one.name) },
      { name: "State", of: () => badge("alive") },
      { name: "Queues", of: (one) => one.queues.join(", ") },
      { name: "Busy", of: (one) => barCell(one.running, one.concurrency, `${one.running} of ${one.concurrency}`) },
      { name: "Model", of: (one) => one.model },
      { name: "Process", of: (one) => `${one.host} · ${one.pid}` },
      { name: "Release", of: (one) => one.version },
    ], sorted) : empty("No worker is alive.", "Start one: troupe worker, or the whole fleet: troupe up.")),
    card(counted(orchestrators.length, "orchestrator"), null, orchestrators.length ? table("Living orchestrators", [
      { name: "Orchestrator", of: (one) => el("span.strong.mono", {}, one.name) },
      { name: "State", of: () => badge("alive") },
      { name: "Partitions", number: true, of: (one) => count(one.partitions) },
      { name: "Process", of: (one) => `${one.host} · ${one.pid}` },
      { name: "Release", of: (one) => one.version },
    ], orchestrators) : empty("None.")),
  ];
}

export function queuesPart([queues, scales]) {
  const scaleOf = new Map(scales.map((one) => [one.queue, one]));
  if (!queues.length && !scales.length) return el("div.card", {}, empty("There are no queues.", "Each agent's queue appears with its worker, or its first step."));
  const figures = new Map(queues.map((one) => [one.queue, one]));
  const names = [...new Set([...figures.keys(), ...scaleOf.keys()])].sort();
  const rows = names.map((queue) => ({ ready: 0, dispatched: 0, running: 0, ...figures.get(queue), queue, scale: scaleOf.get(queue) }));
  const deepest = Math.max(1, ...rows.map((one) => one.ready + one.dispatched));
  return card(counted(rows.length, "queue"), null, table("Queues, and the workers that they want", [
    { name: "Queue", of: (one) => el("span.strong.mono", {}, one.queue) },
    { name: "Waiting", of: (one) => barCell(one.ready + one.dispatched, deepest, count(one.ready + one.dispatched)) },
    { name: "Running", number: true, of: (one) => count(one.running) },
    { name: "Oldest", number: true, of: (one) => oldest(one) },
    { name: "Workers", number: true, of: (one) => (one.scale ? count(one.scale.workers) : "–") },
    { name: "Wanted", number: true, of: (one) => wanted(one.scale) },
    { name: "Why", of: (one) => one.scale?.reason ?? "" },
  ], rows));
}

function oldest(one) {
  const first = [one.oldest_ready, one.oldest_dispatched].filter(Boolean).sort()[0];
  return first ? ago(first) : one.scale?.oldest_ready_s ? duration(one.scale.oldest_ready_s * 1000) : "–";
}

function wanted(scale) {
  if (!scale) return "–";
  const kind = scale.wanted > scale.workers ? "waits" : "still";
  return el(`span.tag.${kind}`, {}, scale.wanted > scale.workers ? `${scale.wanted}, ${scale.wanted - scale.workers} more` : String(scale.wanted));
}
