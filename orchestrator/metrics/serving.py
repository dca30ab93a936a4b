"""The figures of an orchestrator, and through it those of the fleet, served for Prometheus."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from orchestrator.metrics.collector import fleet_collector
from orchestrator.metrics.own import OrchestratorFigures
from tasks.errors import TroupeError
from tasks.ids import WorkerName
from tasks.metrics.exporter import Exporter
from tasks.metrics.own import OwnFigures
from tasks.metrics.pulse import keep_pulse
from tasks.metrics.settings import MetricsSettings
from tasks.presence import MetricsPresence
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.server import read_clock

ROLE: Final = "orchestrator"
CLOCK_S: Final = 60.0
"""How often our clock is compared with Redis'."""


class OrchestratorMetrics:
    """All that one orchestrator serves."""

    def __init__(
        self,
        settings: MetricsSettings,
        store: StoreSettings,
        name: WorkerName,
        lengths: Callable[[Sequence[str]], dict[str, int]],
        limits: Mapping[str, int],
    ) -> None:
        self._own = OwnFigures(ROLE, name)
        self.figures = OrchestratorFigures(self._own.registry)
        self._own.registry.register(fleet_collector(store, lengths, limits))
        self._exporter = Exporter(self._own.registry, settings)
        self._name = name

    def start(self) -> MetricsPresence:
        """Serve; where.

        Raises:
            BadSetting: it cannot be served there.
        """
        self._exporter.start()
        return MetricsPresence(name=self._name, role=ROLE, host=socket.gethostname(), address=self._exporter.address)

    async def keep(self, store: Store) -> None:
        """Look at the event loop and the clock, for ever."""
        await asyncio.gather(keep_pulse(self._own.late), self._keep_clock(store))

    async def stop(self) -> None:
        """Serve no more."""
        await asyncio.to_thread(self._exporter.stop)

    async def _keep_clock(self, store: Store) -> None:
        while True:
            begun = time.time()
            with suppress(TroupeError):  # the last comparison stands
                self.figures.ahead_s = await read_clock(store) / 1000 - (begun + time.time()) / 2
            await asyncio.sleep(CLOCK_S)
