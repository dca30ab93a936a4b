"""A worker process: its event loop, its connections, its leases, its announcement; from start to drained."""

import asyncio
import os
import socket
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import structlog

from tasks.errors import TroupeError
from tasks.ids import AttemptRef, WorkerName
from tasks.metrics.settings import MetricsSettings
from tasks.presence import WorkerPresence
from tasks.settings import StoreSettings, read_settings
from tasks.signing import SigningSettings
from tasks.store import AttemptStore, BoardStore, FleetStore, Store, ToolStats
from tasks.store.waits import WaitStore
from tasks.telemetry.switch import begin
from tasks.tool_figures import ToolPresence
from workers.agents.registry import AgentRegistry
from workers.answering import Answering
from workers.lease import DRAINING, Leases
from workers.llm.settings import ModelSettings
from workers.loop import EventLoopThread
from workers.people import People
from workers.pool import wake_consumer
from workers.runner import Outcome, Runner
from workers.settings import WorkerSettings
from workers.shown import AttemptEvents
from workers.spans import Observer
from workers.tools.counting import CallCounter
from workers.tools.listing import listed
from workers.tools.people import StoreDesk

if TYPE_CHECKING:
    from tasks.telemetry.setup import Telemetry
    from workers.metrics.serving import WorkerMetrics

log = structlog.get_logger("worker")

CLOSE_WITHIN_S: Final = 5.0


class WorkerProcess:
    """All that one worker process holds. `start` it after any fork."""

    def __init__(
        self,
        store: StoreSettings,
        worker: WorkerSettings,
        models: ModelSettings,
        agents: AgentRegistry,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.store_settings = store
        self.settings = worker
        self.models = models
        self.agents = agents
        self.shown = AttemptEvents()
        self.observers: tuple[Observer, ...] = (self.shown, *observers)
        self.loop = EventLoopThread()
        self.chores: list[Future[Any]] = []
        self.metrics: WorkerMetrics | None = None
        self.telemetry: Telemetry | None = None
        self.stopping = False

    def start(self, name: WorkerName, queues: Sequence[str], concurrency: int) -> None:
        """Start the loop, the heartbeat and the announcement. Connects with the first of them.

        Raises:
            BadSetting: figures cannot be served where they are wanted.
        """
        self.presence = WorkerPresence(
            name=name,
            pid=os.getpid(),
            host=socket.gethostname(),
            queues=tuple(queues),
            agents=tuple(agent.definition() for agent in self.agents.on_queues(queues)),
            concurrency=concurrency,
            model=self.models.chosen_model,
            version=version("troupe"),
        )
        self.metrics = self._measuring(name)
        self.telemetry = self._telling(name)
        self.loop.start()
        self.loop.run(self._connect(name))
        if self.metrics is not None:
            log.info("metrics_served", address=self.metrics.start().address)
        chores: list[Coroutine[Any, Any, None]] = [self.leases.keep(), self._announce(), self.counter.keep()]
        if self.metrics is not None:
            chores.append(self.metrics.keep())
        self.chores = [self.loop.submit(chore) for chore in chores]
        log.info("worker_started", name=name, queues=list(queues), model=self.presence.model)

    def run(self, ref: AttemptRef) -> Outcome:
        """Run one attempt from a thread of Celery's, and wait for it. One that comes late is declined."""
        if self.stopping:
            return self.loop.run(self.runner.decline(ref))
        return self.shown.follow(lambda: self.loop.submit(self.runner.run(ref)))

    def resize(self, concurrency: int) -> None:
        """Say from now on that it runs so many attempts at the same time."""
        self.presence = self.presence.model_copy(update={"concurrency": concurrency})

    def listen(self, queues: Sequence[str]) -> None:
        """Say from now on that these are its queues."""
        agents = tuple(agent.definition() for agent in self.agents.on_queues(queues))
        self.presence = self.presence.model_copy(update={"queues": tuple(queues), "agents": agents})

    def drain(self) -> None:
        """Stop taking part: running attempts may end within the drain time, then they are handed back at once.

        A second call hands them back now. Signal handlers call it, and may have interrupted what holds a lock: all is
        done by the loop.
        """
        again, self.stopping = self.stopping, True
        with suppress(RuntimeError):  # the loop does not run yet, or no more
            self.loop.loop.call_soon_threadsafe(self._hand_back if again else self._drain)

    def stop(self) -> None:
        """End the chores and the loop, after Celery's threads have ended."""
        for chore in self.chores:
            chore.cancel()
        with suppress(TimeoutError):
            self.loop.submit(self._disconnect()).result(CLOSE_WITHIN_S)
        self.loop.stop()
        if self.metrics is not None:
            self.metrics.stop()
        if self.telemetry is not None:
            self.telemetry.close()
        log.info("worker_stopped", name=self.presence.name)

    def _drain(self) -> None:
        log.info("worker_draining", running=len(self.leases.held), seconds=self.settings.drain_s)
        self.loop.loop.call_later(self.settings.drain_s, self._hand_back)
        wake_consumer()  # it would go on waiting for a message, and take one, until something wakes it

    def _hand_back(self) -> None:
        log.info("worker_hands_back", running=len(self.leases.held))
        self.leases.stop_all(DRAINING)

    def _telling(self, name: WorkerName) -> "Telemetry | None":
        """OpenTelemetry, if it is wanted."""
        telemetry = begin("troupe-worker", name)
        if telemetry is not None:
            from workers.telemetry.observer import TelemetryObserver  # its SDK takes 0.3 s to load

            told = TelemetryObserver(telemetry, self.agents, name, self.models.chosen_model)
            self.observers = (*self.observers, told)
        return telemetry

    def _measuring(self, name: WorkerName) -> "WorkerMetrics | None":
        """Figures, if they are wanted."""
        settings = read_settings(MetricsSettings)
        if not settings.metrics_port:
            return None
        from workers.metrics.serving import WorkerMetrics  # the library takes 80 ms to load

        return WorkerMetrics(
            settings, name, running=lambda: len(self.leases.held), slots=lambda: self.presence.concurrency
        )

    async def _connect(self, name: WorkerName) -> None:
        self.store = Store(self.store_settings)
        attempts = AttemptStore(self.store)
        self.fleet = FleetStore(self.store)
        self.leases = Leases(attempts, self.store_settings.heartbeat_s)
        self.answering = Answering(self.models, self.store)
        self.answering.controls.desk = StoreDesk()
        self.counter = CallCounter(ToolStats(self.store))
        self.answering.controls.count = self.counter.note
        self.runner = Runner(
            worker=name,
            attempts=attempts,
            fleet=self.fleet,
            leases=self.leases,
            agents=self.agents,
            answering=self.answering,
            settle_within=timedelta(seconds=self.settings.settle_s),
            patience=timedelta(seconds=self.models.patience_s),
            waits=WaitStore(self.store),
            board=BoardStore(self.store),
            people=People(read_settings(SigningSettings).read(), self.settings.approval_expires),
            observers=(*self.observers, *([self.metrics.observer] if self.metrics is not None else [])),
        )

    async def _announce(self) -> None:
        while True:
            presence = self.presence.model_copy(update={"running": len(self.leases.held)})
            try:
                await self.fleet.announce(presence)
                await self.fleet.announce(self.offered_tools())
                if self.metrics is not None:
                    await self.fleet.announce(self.metrics.presence)
            except TroupeError as error:  # a worker that nobody sees still works
                log.warning("announcement_failed", reason=str(error))
            await asyncio.sleep(self.store_settings.presence_s / 4)

    def offered_tools(self) -> ToolPresence:
        """Those of its agents, and those that MCP servers have given them so far."""
        offered = self.agents.on_queues(self.presence.queues)
        toolboxes = [(agent.name, (*agent.toolbox, *self.answering.given.get(agent.name, ()))) for agent in offered]
        return ToolPresence(name=self.presence.name, tools=listed(toolboxes))

    async def _disconnect(self) -> None:
        with suppress(TroupeError):
            await self.fleet.leave(self.presence)
            await self.fleet.leave(ToolPresence(name=self.presence.name))
            if self.metrics is not None:
                await self.fleet.leave(self.metrics.presence)
            await self.counter.flush()
        await self.answering.close()
        await self.store.close()
