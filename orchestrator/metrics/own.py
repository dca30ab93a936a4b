"""An orchestrator's own figures."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.registry import CollectorRegistry

from tasks.bounds import BOUNDS_S
from tasks.store import Entry

FAST_S: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Bounds of what takes milliseconds."""


class OrchestratorFigures:
    """Counts what an orchestrator does: see `Watch`."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.ahead_s = 0.0
        """How much Redis' clock, by which control entries are dated, is ahead of ours."""
        self._lag = Histogram(
            "troupe_orchestrator_lag_seconds",
            "Age of a control entry when it had been acted on.",
            ["notice"],
            buckets=BOUNDS_S,
            registry=registry,
        )
        self._sweeps = Histogram(
            "troupe_sweep_duration_seconds", "Time of one sweep of a partition.", buckets=FAST_S, registry=registry
        )
        self._due = Counter("troupe_sweep_timers", "Timers that sweeps acted on.", registry=registry)
        self._failed = Counter(
            "troupe_orchestrator_outages",
            "Times that store or broker was away for a chore.",
            ["chore"],
            registry=registry,
        )

    def acted(self, entries: Sequence[Entry]) -> None:
        """See `Watch.acted`."""
        now = self._clock() + self.ahead_s
        for entry in entries:
            made_at = int(entry.id.partition("-")[0]) / 1000
            self._lag.labels(entry.notice.value).observe(max(now - made_at, 0.0))

    def swept(self, seconds: float, due: int) -> None:
        """See `Watch.swept`."""
        self._sweeps.observe(seconds)
        self._due.inc(due)

    def failed(self, chore: str) -> None:
        """See `Watch.failed`."""
        self._failed.labels(chore).inc()
