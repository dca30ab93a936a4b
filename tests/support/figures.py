"""Figures of a fleet in which everything that is counted has happened."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from orchestrator.metrics.reading import FleetReading
from tasks.figures import Durations, FleetFigures, QueueFigures
from tasks.histogram import bucket_of
from tasks.usage import Usage
from tests.support.builders import a_worker

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BOUGHT = Usage(
    input_tokens=100, output_tokens=20, cache_read_tokens=7, cache_write_tokens=5, requests=3, cost_microusd=1500
)


def durations(*milliseconds: int) -> Durations:
    """Things that took so long."""
    return Durations(len(milliseconds), Counter(map(bucket_of, milliseconds)))


def fleet_figures(since: datetime | None = None) -> FleetFigures:
    """Two agents, two models, a bit of everything."""
    outcomes = {"succeeded": 8, "failed": 2, "lost": 1, "returned": 1, "parked": 1}
    return FleetFigures(
        since=since,
        until=NOW,
        attempts=Counter({("search", outcome): count for outcome, count in outcomes.items()}),
        steps=Counter(
            {
                ("search", "succeeded"): 6,
                ("search", "failed"): 2,
                ("summary", "skipped"): 1,
                ("summary", "cancelled"): 1,
            }
        ),
        running={("search", "succeeded"): durations(1000, 3000), ("search", "failed"): durations(50)},
        dispatch={"search": durations(1, 20)},
        pickup={"search": durations(5)},
        retries=Counter({"search": 3}),
        dropped=Counter({"search": 4}),
        refused=Counter({"cost": 2}),
        usage={("search", "claude"): BOUGHT, ("search", "-"): Usage(tool_calls=9), ("summary", "claude"): BOUGHT},
        unanswered=1,
        jobs=Counter({"submitted": 5, "completed": 3, "failed": 1, "cancelled": 1}),
        job_times=durations(60_000, 120_000),
        tenants={"": BOUGHT, "acme": BOUGHT},
        tenant_jobs=Counter({("acme", "submitted"): 2, ("acme", "completed"): 2}),
    )


def queue_figures(queue: str = "search", **fields: object) -> QueueFigures:
    """A queue with six steps."""
    values = {"queue": queue, "ready": 1, "dispatched": 2, "running": 3, "oldest_ready": NOW - timedelta(seconds=40)}
    return QueueFigures.model_validate({**values, "oldest_dispatched": NOW + timedelta(seconds=1), **fields})


def fleet_reading() -> FleetReading:
    """All of it, with two workers."""
    workers = [a_worker("w1", ["search"]), a_worker("w2", ["search", "summary"], version="2")]
    return FleetReading(fleet_figures(), [queue_figures(), queue_figures("forgotten")], workers, 1)
