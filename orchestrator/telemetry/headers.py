"""W3C trace context in the headers of Celery messages, where other instrumentation looks for it. Ours needs none."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from tasks.errors import TransientError
from tasks.ids import JobId
from tasks.log_lines import remember_trace
from tasks.messages import Dispatch
from tasks.store import Snapshots
from tasks.telemetry.propagation import HEADER, job_traceparent
from tasks.telemetry.tracing import Tracing

log = structlog.get_logger("orchestrator")

REMEMBERED: Final = 10_000
"""Jobs whose trace is remembered."""


class TraceHeaders:
    """Headers of messages, by what their jobs' producers were in: looked up once a job."""

    def __init__(self, tracing: Tracing, jobs: Snapshots) -> None:
        self.tracing = tracing
        self.jobs = jobs
        self.known: OrderedDict[JobId, str] = OrderedDict()

    async def of(self, dispatches: Sequence[Dispatch]) -> list[dict[str, str]]:
        """Headers of these messages, in their order; none where the store is away: they are worth no wait."""
        jobs = [dispatch.message.job for dispatch in dispatches]
        try:
            await self._learn({job for job in jobs if job not in self.known})
        except TransientError as error:
            log.warning("trace_headers_left_out", messages=len(jobs), reason=str(error))
        found = [{HEADER: self.known[job]} if job in self.known else {} for job in jobs]
        while len(self.known) > REMEMBERED:
            self.known.popitem(last=False)
        return found

    async def _learn(self, jobs: Collection[JobId]) -> None:
        names = sorted(jobs)
        found = await asyncio.gather(*(self.jobs.traceparent(job) for job in names))
        for job, given in zip(names, found, strict=True):
            remember_trace(job, given)
            sampled = self.tracing.job(job, given).sampled
            self.known[job] = job_traceparent(job, given, sampled=sampled)
