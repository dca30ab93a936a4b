"""Looks at the fleet."""

from orchestrator.metrics.reading import FleetReading
from tasks.store import FleetStore, Store
from tasks.store.figures import FigureStore


async def read_fleet(store: Store) -> FleetReading:
    """Look at the store: a handful of round trips for each partition.

    Raises:
        StoreUnavailable: no answer in time.
    """
    figures, fleet = FigureStore(store), FleetStore(store)
    return FleetReading(
        totals=await figures.totals(),
        queues=await figures.queues(),
        workers=await fleet.workers(),
        orchestrators=len(await fleet.orchestrators()),
    )
