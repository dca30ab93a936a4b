"""The orchestrator process: reads the control streams, sweeps the timers, announces itself; drains on SIGTERM.

Several replicas may run: entries are shared out by the consumer group, sweeps are atomic, decisions are fenced.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import structlog

from orchestrator.scheduling.acting import Actor
from orchestrator.scheduling.dispatch import Publisher
from orchestrator.scheduling.windows import read_limits, windows
from orchestrator.settings import OrchestratorSettings
from orchestrator.telemetry.telling import tell
from orchestrator.watching import NobodyWatches, Watch
from tasks.app import make_app
from tasks.errors import DamagedRecord, TransientError, TroupeError
from tasks.ids import WorkerName
from tasks.metrics.settings import MetricsSettings
from tasks.presence import OrchestratorPresence
from tasks.settings import StoreSettings
from tasks.store import FleetStore, JobStore, Outbox, Pruning, Store
from tasks.store.fleet import Presence
from tasks.store.jobs import SWEEP_BATCH, Swept

if TYPE_CHECKING:
    from orchestrator.metrics.serving import OrchestratorMetrics

log = structlog.get_logger("orchestrator")

READ: Final = 256
"""Entries read at once: one dispatch script and one batch of publishes."""
BLOCK: Final = timedelta(seconds=1)
GRACE_HEARTBEATS: Final = 3
"""Heartbeats that pass between the end of an outage and the next sweep, at least."""
LEAST_PAUSE_S: Final = 0.02
"""Between two sweeps, also when timers end one after the other."""
GRACE_OF_LEASE: Final = 0.2
"""The same as a part of the lease: where heartbeats are short, workers are not back sooner for that."""
TIDY_S: Final = 600.0
"""How often names of dead readers, and of jobs past their retention, are looked for."""
PAUSE: Final = timedelta(seconds=0.5)
"""Wait after the store or the broker was away."""


class Orchestrator:
    """One replica."""

    def __init__(
        self,
        store_settings: StoreSettings,
        settings: OrchestratorSettings,
        metrics: MetricsSettings | None = None,
    ) -> None:
        self.settings = settings
        self.metrics_settings = metrics
        self.store_settings = store_settings
        self.name = WorkerName(f"orchestrator@{socket.gethostname()}:{os.getpid()}")
        self.store = Store(store_settings)
        self.telling = tell(self.store, self.name)
        self.publisher = Publisher(make_app(store_settings), self.telling.headers if self.telling else None)
        self.outbox = Outbox(self.store, self.name)
        self.actor = Actor(self.store, self.publisher, self.outbox, settings)
        self.fleet = FleetStore(self.store)
        self.pruning = Pruning(self.store)
        self.watch: Watch = NobodyWatches()
        self.metrics: OrchestratorMetrics | None = None
        self.announced: list[Presence] = [self._presence()]
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop`; then finish what was read, say goodbye, and return."""
        chores = [*self._measuring(), self._sweep(), self._take_over(), self._announce()]
        if self.telling is not None:
            chores.append(self.telling.workflows.keep())
        partitions = range(self.store_settings.partitions)
        readers = [asyncio.create_task(self._read(partition)) for partition in partitions]
        others = [asyncio.create_task(chore) for chore in chores]
        log.info("orchestrator_started", name=self.name, partitions=len(partitions))
        stopped = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([stopped, *readers, *others], return_when=asyncio.FIRST_COMPLETED)
            self.stopping.set()
            _, late = await asyncio.wait(readers, timeout=self.settings.orchestrator_drain_s)
            for task in [*late, *others]:
                task.cancel()
            await asyncio.gather(*readers, *others, return_exceptions=True)
            for task in [*readers, *others]:
                if not task.cancelled() and (defect := task.exception()) is not None:
                    raise defect
        finally:
            stopped.cancel()
            if self.telling is not None:
                await self.telling.workflows.close()
            with suppress(TransientError):
                for presence in self.announced:
                    await self.fleet.leave(presence)
            if self.metrics is not None:
                await self.metrics.stop()
            await self.publisher.close()
            await self.store.close()
            log.info("orchestrator_stopped", name=self.name)

    def stop(self) -> None:
        """Read no more; finish what was read."""
        self.stopping.set()

    def _measuring(self) -> list[Coroutine[Any, Any, None]]:
        """Serve figures, if they are wanted; what goes on with it.

        Raises:
            BadSetting: they cannot be served where they are wanted.
        """
        if self.metrics_settings is None or not self.metrics_settings.metrics_port:
            return []
        from orchestrator.metrics.serving import OrchestratorMetrics  # the library takes 80 ms to load

        self.metrics = OrchestratorMetrics(
            self.metrics_settings,
            self.store_settings,
            self.name,
            self.publisher.lengths,
            read_limits(self.settings.queue_limits),
        )
        self.watch = self.metrics.figures
        presence = self.metrics.start()
        self.announced.append(presence)
        log.info("metrics_served", address=presence.address)
        return [self.metrics.keep(self.store)]

    async def _read(self, partition: int) -> None:
        opened = False
        while not self.stopping.is_set():
            try:
                if not opened:
                    await self.outbox.open(partition)
                    opened = True
                entries = await self.outbox.read(partition, count=READ, block=BLOCK)
                if entries:
                    await self.actor.act(partition, entries)
                    self.watch.acted(entries)
            except* TransientError as group:
                self.watch.failed("read")
                log.warning("waiting_for_store_or_broker", partition=partition, reason=str(group.exceptions[0]))
                await asyncio.sleep(PAUSE.total_seconds())

    async def _sweep(self) -> None:
        jobs = JobStore(self.store)
        tenant_limit = -(-self.settings.tenant_in_flight // self.store_settings.partitions)
        while True:
            pause = self.store_settings.sweep_s
            for partition in range(self.store_settings.partitions):
                try:
                    while (swept := await self._sweep_one(jobs, partition, tenant_limit)).due == SWEEP_BATCH:
                        pass
                    if swept.next_due is not None:
                        pause = min(pause, swept.next_due.total_seconds())
                except* TransientError as group:
                    self.watch.failed("sweep")
                    log.warning("sweep_failed", partition=partition, reason=str(group.exceptions[0]))
                    await self._outlast()
                except* DamagedRecord as group:  # the partition's own keys: the other partitions go on
                    log.error("sweep_failed", partition=partition, reason=str(group.exceptions[0]))
            await asyncio.sleep(max(pause, LEAST_PAUSE_S))

    async def _sweep_one(self, jobs: JobStore, partition: int, tenant_limit: int) -> Swept:
        limits, begun = await self._windows(), time.monotonic()
        swept = await jobs.sweep(partition, limits, tenant_limit)
        self.watch.swept(time.monotonic() - begun, swept.due)
        for one in swept.damaged:
            fate = "its job has failed" if one.ended else "left as it is: see troupe doctor"
            log.error("damaged_record", job=one.job, step=one.step, fate=fate, reason=one.reason)
        return swept

    async def _outlast(self) -> None:
        """Wait until the store answers again, and then for the workers to be heard.

        After an outage they come first: their leases ran out while nobody could renew them, and what they have done
        meanwhile would be thrown away.
        """
        while True:
            try:
                await self.store.ping()
            except TransientError:
                await asyncio.sleep(PAUSE.total_seconds())
            else:
                break
        settings = self.store_settings
        await asyncio.sleep(max(GRACE_HEARTBEATS * settings.heartbeat_s, settings.lease_s * GRACE_OF_LEASE))

    async def _take_over(self) -> None:
        """Act on what another reader, or an outage, has left. Apart from the sweep, which waits for no broker."""
        tidied = -TIDY_S
        while True:
            tidies = time.monotonic() - tidied >= TIDY_S
            tidied = time.monotonic() if tidies else tidied
            for partition in range(self.store_settings.partitions):
                try:
                    if tidies:
                        await self.outbox.tidy(partition)
                        await self.pruning.unlist(partition)
                    left = await self.outbox.take_over(partition, count=READ)
                    if left:
                        await self.actor.act(partition, left)
                        self.watch.acted(left)
                except* TransientError as group:
                    self.watch.failed("take_over")
                    log.warning("take_over_failed", partition=partition, reason=str(group.exceptions[0]))
            await asyncio.sleep(self.store_settings.sweep_s)

    async def _windows(self) -> dict[str, int]:
        workers = await self.fleet.workers()
        self.actor.remember(workers)
        return windows(workers, self.settings.queue_limits, self.store_settings.partitions)

    async def _announce(self) -> None:
        while True:
            try:
                for presence in self.announced:
                    await self.fleet.announce(presence)
            except TroupeError as error:
                log.warning("announcement_failed", reason=str(error))
            await asyncio.sleep(self.store_settings.presence_s / 4)

    def _presence(self) -> OrchestratorPresence:
        return OrchestratorPresence(
            name=self.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            partitions=self.store_settings.partitions,
            version=version("troupe"),
        )


async def serve(
    store_settings: StoreSettings, settings: OrchestratorSettings, metrics: MetricsSettings | None = None
) -> None:
    """Run one replica until SIGTERM or SIGINT; a second signal ends it at once."""
    orchestrator = Orchestrator(store_settings, settings, metrics)
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if orchestrator.stopping.is_set():
            os._exit(1)  # unfinished control entries stay and are taken over
        orchestrator.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await orchestrator.run()
