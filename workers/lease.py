"""Leases: what a process holds, one heartbeat for all of it, and the stopping of what is no longer its own."""

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from tasks.errors import StoreUnavailable
from tasks.ids import AttemptRef, partition_of
from tasks.store import AttemptStore, Refusal

log = structlog.get_logger("worker")

DRAINING: Final = "draining"
"""Reason for stopping an attempt because its worker is stopping."""


@dataclass(slots=True)
class Held:
    """One attempt that this process runs."""

    task: "asyncio.Task[object]"
    stopped: Refusal | str | None = None
    """Why it was stopped, if it was."""


class Leases:
    """The attempts that this process holds."""

    def __init__(self, attempts: AttemptStore, period_s: float) -> None:
        self.attempts = attempts
        self.period_s = period_s
        self.held: dict[AttemptRef, Held] = {}

    @contextmanager
    def hold(self, ref: AttemptRef, task: "asyncio.Task[object]") -> Generator[Held]:
        """Renew the lease of an attempt while the block runs; `task` is cancelled when the lease is lost."""
        held = Held(task)
        self.held[ref] = held
        try:
            yield held
        finally:
            del self.held[ref]

    async def keep(self) -> None:
        """Renew all leases, for ever."""
        while True:
            await asyncio.sleep(self.period_s)
            try:
                await self.renew()
            except Exception:  # were this loop to end, every attempt of the process would be lost
                log.exception("heartbeat_failed", attempts=len(self.held))

    async def renew(self) -> None:
        """Renew all leases once: one call a partition.

        A store that is away is tried again next time: meanwhile the work goes on, and whether it still counts is
        decided when it settles.
        """
        by_partition: dict[int, list[AttemptRef]] = defaultdict(list)
        for ref in self.held:
            by_partition[partition_of(ref.job)].append(ref)
        for partition, refs in by_partition.items():
            try:
                refused = await self.attempts.heartbeat(partition, refs)
            except StoreUnavailable as error:
                log.warning("heartbeat_failed", partition=partition, attempts=len(refs), reason=str(error))
                continue
            for ref, refusal in refused.items():
                self.stop(ref, refusal)

    def stop(self, ref: AttemptRef, reason: Refusal | str) -> None:
        """Stop an attempt at its next await; its HTTP call is aborted. One that is not held, or stopped, stays so."""
        held = self.held.get(ref)
        if held is not None and held.stopped is None:
            held.stopped = reason
            held.task.cancel()

    def stop_all(self, reason: str) -> None:
        """Stop every attempt."""
        for ref in list(self.held):
            self.stop(ref, reason)
