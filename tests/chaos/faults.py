"""The faults of a run: a seeded schedule, and the hands that carry it out."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final, assert_never

from tests.chaos.deliveries import Deliveries
from tests.chaos.fleet import Fleet, Member
from tests.chaos.proxy import Proxy

WORKERS_SHARE: Final = 0.7
"""Of the kills."""
DRAIN_WITHIN_S: Final = 10.0
LONGEST_FREEZE_S: Final = 4.5
"""Of Redis. Longer than a lease in short runs; in runs with leases as shipped, the time until a step of a killed worker
begins again is to be that of the fleet, not that of the server."""


class Kind(StrEnum):
    """What can happen."""

    KILL_WORKER = "kill_worker"
    KILL_ORCHESTRATOR = "kill_orchestrator"
    FREEZE_WORKER = "freeze_worker"
    """For longer than the lease: it wakes up with attempts that are no longer its own."""
    FREEZE_ORCHESTRATOR = "freeze_orchestrator"
    DRAIN_WORKER = "drain_worker"
    """SIGTERM, and a new one: a rolling restart."""
    DRAIN_ORCHESTRATOR = "drain_orchestrator"
    RESTART_REDIS = "restart_redis"
    """SIGKILL, a while without it, and a start on the same folder."""
    FREEZE_REDIS = "freeze_redis"
    STEAL = "steal"
    """Messages are dropped and reordered."""
    FLUSH = "flush"
    """FLUSHDB of the broker."""
    CUT = "cut"
    """The proxy resets all its connections, and lets nobody in for a while."""
    SLOW = "slow"
    """The proxy delays all that it hands on."""
    THROTTLE = "throttle"
    """The proxy lets few bytes through."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    at: float
    """Seconds after the start."""
    kind: Kind
    pick: float
    """Which of the processes, from 0 to 1."""
    strength: float
    """How long it lasts, from 0 to 1 of what its kind allows."""


def schedule(seed: int, seconds: float, kills: int, restarts: int) -> list[Fault]:
    """All faults of a run, in order of time."""
    draw = Random(f"{seed} faults")
    killed_workers = round(kills * WORKERS_SHARE)
    wanted = {
        Kind.KILL_WORKER: killed_workers,
        Kind.KILL_ORCHESTRATOR: kills - killed_workers,
        Kind.FREEZE_WORKER: max(kills // 8, 2),
        Kind.FREEZE_ORCHESTRATOR: max(kills // 12, 1),
        Kind.DRAIN_WORKER: max(kills // 10, 2),
        Kind.DRAIN_ORCHESTRATOR: max(kills // 20, 1),
        Kind.RESTART_REDIS: restarts,
        Kind.FREEZE_REDIS: max(restarts // 2, 1),
        Kind.STEAL: max(kills // 3, 4),
        Kind.FLUSH: 2,
        Kind.CUT: max(kills // 6, 2),
        Kind.SLOW: max(kills // 10, 2),
        Kind.THROTTLE: max(kills // 12, 1),
    }
    found: list[Fault] = []
    for kind, count in wanted.items():
        for at in range(count):  # spread out, so that a short run has all kinds too
            begin = seconds * (at + draw.random()) / count
            found.append(Fault(begin, kind, draw.random(), draw.random()))
    return sorted(found, key=lambda fault: fault.at)


def rolling(rounds: int, workers: int, orchestrators: int, pause_s: float) -> list[Fault]:
    """A restart of everything, one process after the other, by SIGTERM alone."""
    members = [(Kind.DRAIN_WORKER, (at + 0.5) / workers) for at in range(workers)]
    members += [(Kind.DRAIN_ORCHESTRATOR, (at + 0.5) / orchestrators) for at in range(orchestrators)]
    return [Fault((at + 1) * pause_s, kind, pick, 0.0) for at, (kind, pick) in enumerate(members * rounds)]


@dataclass(slots=True)
class Hands:
    """Carries faults out and keeps account of them."""

    fleet: Fleet
    deliveries: Deliveries
    proxy: Proxy
    lease_s: float
    kills: list[tuple[int, float, str]] = field(default_factory=list[tuple[int, float, str]])
    """Process id, time, role."""
    disturbed: list[tuple[int, float, float]] = field(default_factory=list[tuple[int, float, float]])
    """Process id, from when, until when: frozen workers."""
    done: Counter[Kind] = field(default_factory=Counter[Kind])
    unasked: list[str] = field(default_factory=list[str])
    """Processes that ended by themselves."""
    redis_turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def carry_out(self, faults: list[Fault], begin: float) -> None:
        """All of them in time; those that last do so beside each other."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(begin + fault.at - time.monotonic(), 0))
                self.revive()
                group.create_task(self._one(fault))

    def revive(self) -> None:
        """Start again who has ended unasked, and remember that."""
        for member in self.fleet.members:
            if member.dead and not member.frozen:
                code = member.process.returncode if member.process else None
                self.unasked.append(f"{member.name} ended by itself with {code}")
                member.start()

    async def _one(self, fault: Fault) -> None:
        self.done[fault.kind] += 1
        match fault.kind:
            case Kind.KILL_WORKER | Kind.KILL_ORCHESTRATOR:
                self._kill(fault)
            case Kind.FREEZE_WORKER | Kind.FREEZE_ORCHESTRATOR:
                await self._freeze(fault)
            case Kind.DRAIN_WORKER | Kind.DRAIN_ORCHESTRATOR:
                await self._drain(fault)
            case Kind.RESTART_REDIS:
                async with self.redis_turn:
                    self.fleet.kill_redis()
                    await asyncio.sleep(0.1 + 2.5 * fault.strength)
                    await asyncio.to_thread(self.fleet.start_redis)
            case Kind.FREEZE_REDIS:
                async with self.redis_turn:
                    self.fleet.signal_redis(signal.SIGSTOP)
                    await asyncio.sleep(0.5 + min(1.5 * self.lease_s, LONGEST_FREEZE_S) * fault.strength)
                    self.fleet.signal_redis(signal.SIGCONT)
            case Kind.STEAL:
                await self.deliveries.steal(0.3 + fault.strength)
            case Kind.FLUSH:
                await self.deliveries.flush()
            case Kind.CUT:
                self.proxy.refuses = True
                self.proxy.cut()
                await asyncio.sleep(2 * fault.strength)
                self.proxy.refuses = False
            case Kind.SLOW:
                self.proxy.delay_s = 0.02 + 0.2 * fault.strength
                await asyncio.sleep(1 + 3 * fault.pick)
                self.proxy.delay_s = 0.0
            case Kind.THROTTLE:
                self.proxy.bytes_per_s = 4_000 + 40_000 * fault.strength
                await asyncio.sleep(1 + 3 * fault.pick)
                self.proxy.bytes_per_s = None
            case _:
                assert_never(fault.kind)

    def _pick(self, fault: Fault) -> Member | None:
        able = [one for one in self.fleet.of(fault.kind.rpartition("_")[2]) if not one.frozen]
        return able[int(fault.pick * len(able))] if able else None

    def _kill(self, fault: Fault) -> None:
        member = self._pick(fault)
        if member is None:  # all are frozen: wake one up by its death
            member = self.fleet.of(fault.kind.rpartition("_")[2])[0]
        pid, at = member.kill()
        self.kills.append((pid, at, fault.kind.rpartition("_")[2]))
        member.start()

    async def _freeze(self, fault: Fault) -> None:
        member = self._pick(fault)
        if member is None:
            return
        member.frozen, pid, since = True, member.pid, time.time()
        member.signal(signal.SIGSTOP)
        await asyncio.sleep(self.lease_s * (1.1 + fault.strength))
        self.disturbed.append((pid, since, time.time()))
        if member.pid == pid:
            member.signal(signal.SIGCONT)
            member.frozen = False

    async def _drain(self, fault: Fault) -> None:
        member = self._pick(fault)
        if member is None:
            return
        member.frozen, pid = True, member.pid
        member.signal(signal.SIGTERM)
        end = time.monotonic() + DRAIN_WITHIN_S
        while not member.dead and time.monotonic() < end:  # noqa: ASYNC110 - a process, not a coroutine, ends
            await asyncio.sleep(0.05)
        if member.pid != pid:  # killed meanwhile
            return
        if not member.dead:
            self.unasked.append(f"{member.name} did not end within {DRAIN_WITHIN_S:g} s of SIGTERM")
            member.kill()
        member.frozen = False
        member.start()
