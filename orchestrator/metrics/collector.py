"""Reads the fleet's figures at each scrape. Everything happens in the scrape's threads, with connections of their own:
the orchestrator's event loop and its publisher notice nothing."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator.metrics.bounded import Bounded
from orchestrator.metrics.families import broker_families, fleet_families
from orchestrator.metrics.looking import read_fleet
from orchestrator.metrics.reading import FleetReading
from tasks.settings import StoreSettings
from tasks.store import Store

WITHIN_S: Final = 4.0
"""Longest wait for the store, and then for the broker: together less than the 10 s after which Prometheus gives up."""


class FleetCollector(Collector):
    """A collector of the fleet's figures. What is away is left out, and said to be down."""

    def __init__(
        self,
        read: Callable[[], FleetReading],
        lengths: Callable[[Mapping[str, list[str]]], dict[str, int]],
        within_s: float = WITHIN_S,
    ) -> None:
        """Read nothing yet.

        Args:
            read: Looks at the store.
            lengths: Messages in the broker for each queue, by the broker's queues of each.
        """
        self._queues: Mapping[str, list[str]] = {}
        self._fleet = Bounded("store", read, within_s)
        self._broker = Bounded("broker", lambda: lengths(self._queues), within_s)

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering it must not read."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families that can be had now."""
        reading = self._fleet.get()
        yield _up(
            "troupe_store_up", "Whether the store answered; without it there are no figures of the fleet.", reading
        )
        if reading is not None:
            yield from fleet_families(reading)
            self._queues = reading.messages_in
        found = self._broker.get() if self._queues else None
        yield _up("troupe_broker_up", "Whether the broker answered, for the queues that the store has named.", found)
        if found is not None:
            yield from broker_families(found)


def fleet_collector(
    settings: StoreSettings,
    lengths: Callable[[Sequence[str]], dict[str, int]],
    limits: Mapping[str, int] | None = None,
) -> FleetCollector:
    """The collector of a fleet.

    Args:
        lengths: Messages in each of the broker's queues; raises BrokerUnavailable.
        limits: Steps in flight that queues are allowed: what workers are wanted for.
    """

    async def read() -> FleetReading:
        store = Store(settings)
        try:
            return await read_fleet(store, limits or {})
        finally:
            await store.close()

    def look(queues: Mapping[str, list[str]]) -> dict[str, int]:
        found = lengths(sorted({name for names in queues.values() for name in names}))
        return {queue: sum(found[name] for name in names) for queue, names in queues.items()}

    return FleetCollector(lambda: asyncio.run(read()), look)


def _up(name: str, text: str, found: object) -> Metric:
    return GaugeMetricFamily(name, text, value=float(found is not None))
