"""The fleet's figures as one text, for who serves them elsewhere than in an exporter of its own."""

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from orchestrator.metrics.collector import fleet_collector
from tasks.settings import StoreSettings


class FleetText:
    """Reads the fleet when it is asked to."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, settings: StoreSettings, lengths: Callable[[Sequence[str]], dict[str, int]]) -> None:
        """Read nothing yet; see `fleet_collector`."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(fleet_collector(settings, lengths))

    def read(self) -> bytes:
        """All figures. Blocks for some seconds at most, when the store or the broker is away."""
        return generate_latest(self._registry)
