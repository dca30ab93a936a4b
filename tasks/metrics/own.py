"""What every process says of itself to Prometheus, whatever its role."""

from importlib.metadata import version
from typing import Final

from prometheus_client import Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import CollectorRegistry

LATE_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class OwnFigures:
    """The process, its release, and how late its event loop is."""

    def __init__(self, role: str, name: str) -> None:
        disable_created_metrics()  # a second series for each one
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        about = Gauge(
            "troupe_process_info",
            "1; role, name and release of the process.",
            ["role", "name", "version"],
            registry=self.registry,
        )
        about.labels(role, name, version("troupe")).set(1)
        self._late = Histogram(
            "troupe_event_loop_lag_seconds",
            "How late the event loop woke up, looked at twice a second.",
            buckets=LATE_S,
            registry=self.registry,
        )

    def late(self, seconds: float) -> None:
        """Note one lateness of the event loop."""
        self._late.observe(seconds)
