"""One span for each job that has ended, and for each attempt whose worker died: what no worker can tell of.

Every replica reads the streams of ended jobs as one group, so that each end is told once. A replica that dies in
between leaves it to another one: the span is then made twice, with the same identifier.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from orchestrator.telemetry.naming import Told, told_of
from tasks.errors import DamagedRecord, IncompatibleVersion, TransientError, UnknownJob
from tasks.store import Snapshots, Store
from tasks.store.ended import End, EndedJobs
from tasks.telemetry import conventions as names
from tasks.telemetry.setup import Telemetry
from tasks.telemetry.tracing import JobTrace, fail

log = structlog.get_logger("orchestrator")

GROUP: Final = "telemetry"
POLL_S: Final = 1.0
AT_ONCE: Final = 100
OLD: Final = timedelta(hours=1)
"""Ends before that are left out: the fleet was away, or told nobody."""


class Workflows:
    """Tells OpenTelemetry of jobs that have ended."""

    def __init__(self, telemetry: Telemetry, store: Store, name: str) -> None:
        self.telemetry = telemetry
        self.snapshots = Snapshots(store)
        self.ended = EndedJobs(store, GROUP, name)
        self.partitions = range(store.settings.partitions)

    async def keep(self) -> None:
        """Tell of ends, for ever. What cannot be told costs nothing else."""
        opened = False
        while True:
            try:
                if not opened:
                    for partition in self.partitions:
                        await self.ended.open(partition)
                    opened = True
                while await self.look() == AT_ONCE:
                    pass
            except* TransientError as group:
                log.warning("jobs_not_told", reason=str(group.exceptions[0]))
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """Tell of what has ended until now, and end OpenTelemetry; takes a few seconds at most."""
        try:
            await self.look(last=True)
        except TransientError as error:
            log.warning("jobs_not_told", reason=str(error))
            await asyncio.to_thread(self.telemetry.close)

    async def look(self, *, last: bool = False) -> int:
        """Tell of what has ended since the last look. It is sent before it is marked as told: else it would be lost
        with this process.

        Args:
            last: End OpenTelemetry too.

        Returns:
            How many have ended in the partition that had most; at most AT_ONCE.

        Raises:
            StoreUnavailable: the store is away; it is told later.
        """
        found = {partition: await self.ended.read(partition, count=AT_ONCE) for partition in self.partitions}
        for ends in found.values():
            for end in ends:
                await self._tell(end)
        if last or any(found.values()):
            await asyncio.to_thread(self.telemetry.close if last else self.telemetry.flush)
        for partition, ends in found.items():
            await self.ended.done(partition, ends)
        return max(map(len, found.values()), default=0)

    async def _tell(self, end: End) -> None:
        if datetime.now(UTC) - end.at > OLD:
            return
        try:
            record = await self.snapshots.job(end.job)
        except (UnknownJob, IncompatibleVersion, DamagedRecord):
            return
        if not record.final or record.finished_at is None:
            return  # it was reopened: its next end is told
        trace = self.telemetry.tracing.job(record.spec.id, record.spec.traceparent)
        workflow, *lost = told_of(record)
        self._make(trace, [workflow, *lost])
        about: dict[str, names.Value] = {names.WORKFLOW_NAME: names.WORKFLOW}
        if workflow.error is not None:
            about[names.ERROR] = workflow.error
        self.telemetry.instruments.workflows.record(workflow.seconds, about)

    def _make(self, trace: JobTrace, spans: Sequence[Told]) -> None:
        for one in spans:
            parent = trace.top() if one.parent is None else trace.below(one.parent)
            span = self.telemetry.tracing.start(
                trace, one.id, one.name, parent, one.attributes, links=one.links, at_ns=_nanoseconds(one.begun)
            )
            if one.error is not None:
                fail(span, one.error)
            span.end(_nanoseconds(one.ended))


def _nanoseconds(at: datetime) -> int:
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000
