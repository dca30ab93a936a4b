"""The fleet's figures in the form of Prometheus. Pure. Every orchestrator gives the same ones: they are the store's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from orchestrator.metrics.reading import FleetReading, workers_of
from tasks.bounds import BOUNDS_S, cumulated
from tasks.figures import Durations, FleetFigures
from tasks.states import FINAL_JOB
from tasks.usage import Usage

LOST: Final = "lost"
JOBS: Final = ("submitted", *sorted(FINAL_JOB))
BUDGETS: Final = ("cost", "tokens", "requests", "tool_calls")

V = TypeVar("V")


def fleet_families(reading: FleetReading) -> Iterator[Metric]:
    """All of them but those of the broker."""
    yield from _counters(reading)
    yield from _consumed(reading.totals.usage)
    yield from _durations(reading.totals)
    yield from _queues(reading)


def broker_families(depths: Mapping[str, int]) -> Iterator[Metric]:
    """What the broker holds."""
    yield _gauge(
        "troupe_queue_messages",
        "Messages of the queue in the broker, of all priorities and versions.",
        ["queue"],
        {(queue,): depth for queue, depth in depths.items()},
    )


def _counters(reading: FleetReading) -> Iterator[Metric]:
    """Counters. What may happen and has not is at 0: Prometheus sees no rise in a series that begins above it."""
    totals, agents = reading.totals, reading.agents
    lost = {(agent,): count for (agent, outcome), count in totals.attempts.items() if outcome == LOST}
    steps = {(agent, status): 0 for agent in agents for status in ("succeeded", "failed")} | totals.steps
    idle = {(queue,): 0 for queue in reading.names}
    retries, dropped = idle | _one(totals.retries), idle | _one(totals.dropped)
    refused = {(kind,): 0 for kind in BUDGETS} | _one(totals.refused)
    jobs = {(status,): 0 for status in JOBS} | _one(totals.jobs)
    yield _counter("troupe_jobs", "Jobs that were submitted, or came to a final status.", ["status"], jobs)
    yield _counter("troupe_steps", "Steps that ended.", ["agent", "status"], steps)
    yield _counter("troupe_attempts", "Attempts that ended.", ["agent", "outcome"], totals.attempts)
    yield _counter(
        "troupe_lease_expiries", "Attempts whose worker went silent.", ["agent"], {(one,): 0 for one in agents} | lost
    )
    yield _counter("troupe_retries", "Attempts that are to follow a failed or lost one.", ["queue"], retries)
    yield _counter("troupe_duplicates_dropped", "Messages that came twice or too late.", ["queue"], dropped)
    yield _counter("troupe_budget_refusals", "Calls that a budget did not allow.", ["budget"], refused)
    # A gauge: an answer may come after all.
    yield _gauge("troupe_unanswered_calls", "Model calls whose answer nobody got.", [], {(): totals.unanswered})


def _consumed(usage: Mapping[tuple[str, str], Usage]) -> Iterator[Metric]:
    tokens = {
        (agent, model, kind): count
        for (agent, model), one in usage.items()
        for kind, count in (
            ("input", one.input_tokens),
            ("output", one.output_tokens),
            ("cache_read", one.cache_read_tokens),
            ("cache_write", one.cache_write_tokens),
        )
    }
    yield _counter("troupe_tokens", "Tokens, as providers count them.", ["agent", "model", "kind"], tokens)
    for name, text, counts in (
        ("troupe_cost_microusd", "Micro-dollars.", {pair: one.cost_microusd for pair, one in usage.items()}),
        (
            "troupe_model_requests",
            "Model calls that were answered.",
            {pair: one.requests for pair, one in usage.items()},
        ),
        ("troupe_tool_calls", "Tool calls.", {pair: one.tool_calls for pair, one in usage.items()}),
    ):
        yield _counter(name, text, ["agent", "model"], counts)


def _durations(totals: FleetFigures) -> Iterator[Metric]:
    yield _histogram(
        "troupe_dispatch_latency_seconds",
        "From ready to dispatched: slots, and the orchestrator.",
        ["queue"],
        {(queue,): one for queue, one in totals.dispatch.items()},
    )
    yield _histogram(
        "troupe_pickup_latency_seconds",
        "From dispatched to claimed: the broker, and busy workers.",
        ["queue"],
        {(queue,): one for queue, one in totals.pickup.items()},
    )
    yield _histogram(
        "troupe_attempt_duration_seconds",
        "From the claim of a step's attempt to its end.",
        ["agent", "outcome"],
        totals.running,
    )
    yield _histogram("troupe_job_duration_seconds", "From submit to the end.", [], {(): totals.job_times})


def _queues(reading: FleetReading) -> Iterator[Metric]:
    now, steps, ages = reading.totals.until, dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
    found = {one.queue: one for one in reading.queues}
    for queue in reading.names:
        one = found.get(queue)
        for status, count, oldest in (
            ("ready", one.ready if one else 0, one.oldest_ready if one else None),
            ("dispatched", one.dispatched if one else 0, one.oldest_dispatched if one else None),
        ):
            steps[queue, status], ages[queue, status] = count, age_s(oldest, now)
        steps[queue, "running"] = one.running if one else 0
    workers, slots = workers_of(reading.workers)
    yield _gauge("troupe_queue_steps", "Steps of the queue now.", ["queue", "status"], steps)
    yield _gauge("troupe_queue_oldest_seconds", "Age of the oldest of these.", ["queue", "status"], ages)
    yield _gauge(
        "troupe_queue_workers",
        "Living workers on the queue.",
        ["queue"],
        {(one,): workers[one] for one in reading.names},
    )
    yield _gauge(
        "troupe_queue_slots",
        "Attempts that these can do at once.",
        ["queue"],
        {(one,): slots[one] for one in reading.names},
    )
    yield _gauge(
        "troupe_queue_workers_wanted",
        "Workers that the queue wants now: what troupe scale says.",
        ["queue"],
        {(queue,): count for queue, count in reading.wanted.items()},
    )
    yield _gauge("troupe_workers", "Living workers.", [], {(): len(reading.workers)})
    yield _gauge("troupe_orchestrators", "Living orchestrators.", [], {(): reading.orchestrators})


def age_s(since: datetime | None, now: datetime) -> float:
    """Seconds since then; 0 for never, and for what is yet to come."""
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _one(counts: Mapping[str, int]) -> dict[tuple[str, ...], int]:
    return {(name,): count for name, count in counts.items()}


def _counter(name: str, text: str, labels: Sequence[str], counts: Mapping[tuple[str, ...], int]) -> Metric:
    made = CounterMetricFamily(name, text, labels=labels)
    for values, count in _sorted(counts):
        made.add_metric(values, count)
    return made


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    made = GaugeMetricFamily(name, text, labels=labels)
    for one, value in _sorted(values):
        made.add_metric(one, value)
    return made


def _histogram(name: str, text: str, labels: Sequence[str], found: Mapping[tuple[str, ...], Durations]) -> Metric:
    made = HistogramMetricFamily(name, text, labels=labels)
    ends = [*map(repr, BOUNDS_S), "+Inf"]
    for values, one in _sorted(found):
        made.add_metric(values, list(zip(ends, map(float, cumulated(one.buckets)), strict=True)), one.total_ms / 1000)
    return made


def _sorted(found: Mapping[tuple[str, ...], V]) -> Iterable[tuple[tuple[str, ...], V]]:
    return sorted(found.items(), key=lambda one: one[0])
