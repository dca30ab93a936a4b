"""A worker's own figures."""

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.registry import CollectorRegistry

from tasks.bounds import BOUNDS_S
from tasks.metrics.names import Names

OK: Final = "ok"
UNKNOWN: Final = "(unknown)"


class WorkerFigures:
    """Counts what a worker does. Labels are bounded; a name that models made up is none."""

    def __init__(self, registry: CollectorRegistry, running: Callable[[], int], slots: Callable[[], int]) -> None:
        self._agents, self._models, self._tools, self._codes = Names(), Names(), Names(), Names()
        self._calls = Histogram(
            "troupe_model_call_duration_seconds",
            "Time of a model call, waits for the limiter and tries in place included.",
            ["agent", "model", "outcome"],
            buckets=BOUNDS_S,
            registry=registry,
        )
        self._waits = Histogram(
            "troupe_limiter_wait_seconds",
            "Time that a model call waited for its turn under the rate limits.",
            ["model"],
            buckets=BOUNDS_S,
            registry=registry,
        )
        self._tool_calls = Histogram(
            "troupe_tool_duration_seconds",
            "Time of a tool call, all tries together.",
            ["tool", "outcome"],
            buckets=BOUNDS_S,
            registry=registry,
        )
        self._attempts = Counter(
            "troupe_worker_attempts",
            "Attempts that this process has ended.",
            ["agent", "outcome"],
            registry=registry,
        )
        Gauge("troupe_worker_running", "Attempts that run here.", registry=registry).set_function(running)
        Gauge("troupe_worker_slots", "Attempts that can run here at once.", registry=registry).set_function(slots)

    def model_call(self, agent: str, model: str, code: str | None, seconds: float, waited: float | None) -> None:
        """Note one model call.

        Args:
            code: Of the error; None: it was answered.
            waited: For its turn; None: it asked for none.
        """
        name = self._models.of(model)
        self._calls.labels(self._agents.of(agent), name, self._codes.of(code or OK)).observe(seconds)
        if waited is not None:
            self._waits.labels(name).observe(waited)

    def tool_call(self, tool: str | None, code: str | None, seconds: float) -> None:
        """Note one tool call.

        Args:
            tool: None: there is no such tool.
        """
        name = UNKNOWN if tool is None else self._tools.of(tool)
        self._tool_calls.labels(name, self._codes.of(code or OK)).observe(seconds)

    def attempt(self, agent: str, outcome: str) -> None:
        """Note one attempt that ended here."""
        self._attempts.labels(self._agents.of(agent), outcome).inc()
