"""Looks at the fleet."""

from collections.abc import Mapping

from orchestrator.metrics.reading import FleetReading
from orchestrator.scaling import MEASURED
from tasks.store import FleetStore, Store
from tasks.store.figures import FigureStore


async def read_fleet(store: Store, limits: Mapping[str, int]) -> FleetReading:
    """Look at the store: a handful of round trips for each partition.

    Args:
        limits: Steps in flight that queues are allowed.

    Raises:
        StoreUnavailable: no answer in time.
    """
    figures, fleet = FigureStore(store), FleetStore(store)
    return FleetReading(
        totals=await figures.totals(),
        queues=await figures.queues(),
        workers=await fleet.workers(),
        orchestrators=len(await fleet.orchestrators()),
        recent=(await figures.window(MEASURED)).running,
        limits=limits,
    )
