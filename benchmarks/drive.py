"""Sends jobs to a side, so many at a time, and takes times."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator import AsyncTroupe
from tasks.ids import PLAN_STEP
from tasks.results import JobResult

WITHIN_S: Final = 120.0


@dataclass(slots=True)
class Sample:
    """One round of jobs."""

    seconds: float
    latencies_s: list[float]
    hand_overs_ms: list[float] = field(default_factory=list[float])
    """From the commit of what a step waited for until it had begun, by Redis' clock."""

    @property
    def per_s(self) -> float:
        """Jobs a second."""
        return len(self.latencies_s) / self.seconds


async def send_to_troupe(troupe: AsyncTroupe, tasks: Sequence[str], window: int, *, look: bool = False) -> Sample:
    """Submit tasks, `window` at a time, and wait for their ends.

    Args:
        look: Read each job afterwards, and note how long its steps were handed over.
    """
    room, latencies, ids = asyncio.Semaphore(window), list[float](), list[str]()

    async def one(task: str) -> None:
        async with room:
            begin = time.perf_counter()
            job = await troupe.submit(task)
            await job.wait(WITHIN_S)
            latencies.append(time.perf_counter() - begin)
            ids.append(job.id)

    begin = time.perf_counter()
    await asyncio.gather(*(one(task) for task in tasks))
    sample = Sample(time.perf_counter() - begin, latencies)
    if look:
        for job_id in ids:
            sample.hand_overs_ms += hand_overs_ms(await troupe.job(job_id).snapshot())
    return sample


def send_to_celery(send: Callable[[str], Any], jobs: Sequence[str], window: int) -> Sample:
    """Send canvases from `window` threads, and get their results."""
    latencies, lock = list[float](), threading.Lock()

    def one(job: str) -> None:
        begin = time.perf_counter()
        send(job).get(timeout=WITHIN_S)
        with lock:
            latencies.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    with ThreadPoolExecutor(window) as threads:
        list(threads.map(one, jobs))
    return Sample(time.perf_counter() - begin, latencies)


def hand_overs_ms(job: JobResult) -> list[float]:
    """For each step that waited for others, or for the plan: from the end of the last of them to its start."""
    ends = {step.id: step.finished_at for step in job.steps}
    found: list[float] = []
    for step in job.steps:
        needed = step.depends_on or ([] if step.id == PLAN_STEP else [PLAN_STEP])
        before = [end for one in needed if (end := ends.get(one)) is not None]
        if before and step.started_at is not None:
            found.append((step.started_at - max(before)).total_seconds() * 1000)
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
