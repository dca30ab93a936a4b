"""The figures of a worker process, served for Prometheus."""

import socket
from collections.abc import Callable
from typing import Final

from tasks.ids import WorkerName
from tasks.metrics.exporter import Exporter
from tasks.metrics.own import OwnFigures
from tasks.metrics.pulse import keep_pulse
from tasks.metrics.settings import MetricsSettings
from tasks.presence import MetricsPresence
from workers.metrics.figures import WorkerFigures
from workers.metrics.observer import MetricsObserver

ROLE: Final = "worker"


class WorkerMetrics:
    """All that one worker serves."""

    def __init__(
        self, settings: MetricsSettings, name: WorkerName, *, running: Callable[[], int], slots: Callable[[], int]
    ) -> None:
        self._own = OwnFigures(ROLE, name)
        self.observer = MetricsObserver(WorkerFigures(self._own.registry, running, slots))
        self._exporter = Exporter(self._own.registry, settings)
        self._name = name

    def start(self) -> MetricsPresence:
        """Serve; where.

        Raises:
            BadSetting: it cannot be served there.
        """
        self._exporter.start()
        return self.presence

    @property
    def presence(self) -> MetricsPresence:
        """What is announced of it."""
        return MetricsPresence(name=self._name, role=ROLE, host=socket.gethostname(), address=self._exporter.address)

    async def keep(self) -> None:
        """Look at the event loop, for ever."""
        await keep_pulse(self._own.late)

    def stop(self) -> None:
        """Serve no more."""
        self._exporter.stop()
