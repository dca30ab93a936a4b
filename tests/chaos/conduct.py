"""One run: the fleet, the jobs, the faults, the quiet at the end, and what was found."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from pydantic import SecretStr

from orchestrator import AsyncTroupe
from orchestrator.handle import AsyncJobHandle
from tasks.errors import TransientError
from tasks.settings import StoreSettings
from tests.chaos import workload
from tests.chaos.agents import LOG_VARIABLE, SEED_VARIABLE
from tests.chaos.deliveries import Deliveries
from tests.chaos.faults import Fault, Hands, schedule
from tests.chaos.fleet import Fleet, free_ports
from tests.chaos.proxy import Proxy
from tests.chaos.quiet import Leftovers, wait_for_quiet

T = TypeVar("T")

ORCHESTRATORS: Final = 2
WORKERS: Final = 3
THREADS: Final = 16
OURS: Final = ("TROUPE_", "ANTHROPIC_", "FLOWER_")
ROOT: Final = Path(__file__).parents[2]
SUBMIT_SHARE: Final = 0.95
"""Part of the time in which jobs are submitted."""
PROGRESS_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of a run."""

    jobs: int
    seconds: float
    seed: int
    kills: int
    restarts: int
    every_copy: bool
    """Each message is delivered three times; else up to three times."""
    shipped: bool
    """Periods (lease, heartbeat, sweep, republish) as they are shipped; else a fifth of them."""
    faults: tuple[Fault, ...] | None = None
    """Instead of drawn ones."""
    copies: int = 2
    """Most further deliveries of a message."""
    settle_s: float = 120.0
    """Longest time from the last fault until all jobs are final: after it they are stuck."""

    @property
    def periods(self) -> dict[str, float]:
        """Settings by name."""
        if self.shipped:
            return {}
        return {"lease_s": 3, "heartbeat_s": 0.5, "sweep_s": 0.25, "republish_s": 1, "presence_s": 3}


@dataclass(slots=True)
class Run:
    """What came of it."""

    options: Options
    settings: StoreSettings
    hands: Hands
    deliveries: Deliveries
    log: Path
    accepted: dict[str, workload.JobPlan] = field(default_factory=dict[str, workload.JobPlan])
    open: set[str] = field(default_factory=set[str])
    """Jobs that are not known to be final."""
    following: list[asyncio.Task[None]] = field(default_factory=list["asyncio.Task[None]"])
    """One a job."""
    retried_submits: int = 0
    settled_s: float = 0.0
    """From the last fault until all were final."""
    leftovers: Leftovers | None = None


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def conduct(options: Options, folder: Path, judge: Callable[[Run], Awaitable[T]]) -> tuple[Run, T]:
    """Run it; `judge` reads the history while the server is still up."""
    port, proxy_port = free_ports(2)
    fleet = Fleet(folder, port)
    fleet.start_redis()
    proxy = Proxy(proxy_port, port)
    await proxy.start()
    deliveries = Deliveries(port, Random(f"{options.seed} copies"), copies=options.copies, every=options.every_copy)
    settings = StoreSettings.model_validate(
        {"redis_url": SecretStr(f"redis://127.0.0.1:{port}/0"), "store_timeout_s": 3, "prefix": "chaos"}
        | options.periods
    )
    hands = Hands(fleet, deliveries, proxy, settings.lease_s)
    run = Run(options, settings, hands, deliveries, folder / "starts.jsonl")
    try:
        _start(fleet, run, port, proxy_port)
        await _act(run)
        return run, await judge(run)
    finally:
        await deliveries.close()
        await asyncio.to_thread(fleet.stop)
        await proxy.close()


def _start(fleet: Fleet, run: Run, port: int, proxy_port: int) -> None:
    for role, count in (("orchestrator", ORCHESTRATORS), ("worker", WORKERS)):
        for number in range(count):  # the first of each sits behind the proxy
            environment = _environment(run, proxy_port if number == 0 else port, fleet.folder)
            arguments = ("worker", "--concurrency", str(THREADS)) if role == "worker" else ("orchestrator",)
            fleet.add(f"{role}-{number}", arguments, environment)


def _environment(run: Run, port: int, home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    fixed: dict[str, object] = {
        "TROUPE_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "TROUPE_HOME": home / "home",
        "TROUPE_CONFIG": os.devnull,
        "TROUPE_PREFIX": run.settings.prefix,
        "TROUPE_STORE_TIMEOUT_S": run.settings.store_timeout_s,
        "TROUPE_AGENTS": "tests.chaos.agents",
        "TROUPE_MODEL": "offline",
        "TROUPE_ALLOW_MODEL_REQUESTS": "false",
        "TROUPE_DRAIN_S": 2,
        "TROUPE_STEP_ATTEMPTS": 5,
        "TROUPE_LOG_FORMAT": "json",
        "PYTHONPATH": ROOT,
        LOG_VARIABLE: run.log,
        SEED_VARIABLE: run.options.seed,
    }
    fixed |= {f"TROUPE_{name.upper()}": value for name, value in run.options.periods.items()}
    return kept | {name: str(value) for name, value in fixed.items()}


async def _act(run: Run) -> None:
    options = run.options
    watching = asyncio.create_task(run.deliveries.watch())
    client = AsyncTroupe(settings=run.settings)
    try:
        await _until_alive(client)
        say(f"seed {options.seed}: {options.jobs} jobs, {options.kills} kills, {options.restarts} Redis restarts")
        begin = time.monotonic()
        drawn = schedule(options.seed, options.seconds, options.kills, options.restarts)
        faults = drawn if options.faults is None else list(options.faults)
        reporting = asyncio.create_task(_report(run, begin))
        await asyncio.gather(run.hands.carry_out(faults, begin), _submit(run, client, begin))
        await asyncio.sleep(max(begin + options.seconds - time.monotonic(), 0))
        run.hands.proxy.delay_s, run.hands.proxy.bytes_per_s, run.hands.proxy.refuses = 0.0, None, False
        await asyncio.to_thread(run.hands.fleet.heal)
        healed = time.monotonic()
        say("no more faults")
        while (run.open or len(run.accepted) < options.jobs) and time.monotonic() < healed + options.settle_s:
            run.hands.revive()
            await asyncio.sleep(0.1)
        run.settled_s = time.monotonic() - healed
        reporting.cancel()
        say(f"{len(run.accepted) - len(run.open)} jobs final {run.settled_s:.1f} s later, {len(run.open)} open")
        run.leftovers = await wait_for_quiet(run.settings)
    finally:
        for task in (watching, *run.following):
            task.cancel()
        await asyncio.gather(watching, *run.following, return_exceptions=True)
        await client.close()


async def _until_alive(client: AsyncTroupe) -> None:
    end = time.monotonic() + 60
    while len(await client.workers()) < WORKERS or len(await client.orchestrators()) < ORCHESTRATORS:
        if time.monotonic() > end:
            raise RuntimeError("the fleet did not start")
        await asyncio.sleep(0.1)


async def _submit(run: Run, client: AsyncTroupe, begin: float) -> None:
    pace = run.options.seconds * SUBMIT_SHARE / run.options.jobs
    for number in range(run.options.jobs):
        await asyncio.sleep(max(begin + number * pace - time.monotonic(), 0))
        run.following.append(asyncio.create_task(_one(run, client, workload.job(run.options.seed, number))))


async def _one(run: Run, client: AsyncTroupe, job: workload.JobPlan) -> None:
    """Submit until it is accepted, cancel if that is its lot, wait for its end."""
    while True:
        try:
            handle = await client.submit(
                job.task,
                plan=job.plan,
                timeout=job.timeout_s or 3600,
                idempotency_key=job.task,
                tenant=job.tenant,
                priority=job.priority,
                max_in_flight=job.max_in_flight,
            )
            break
        except TransientError:
            run.retried_submits += 1
            await asyncio.sleep(0.2)
    run.accepted[handle.id] = job
    run.open.add(handle.id)
    if job.cancel_after_s is not None:
        await asyncio.sleep(job.cancel_after_s)
        await _patiently_cancel(handle)
    while True:
        with suppress(TransientError):
            await handle.wait()
            run.open.discard(handle.id)
            return
        await asyncio.sleep(0.2)


async def _patiently_cancel(handle: AsyncJobHandle) -> None:
    while True:
        try:
            await handle.cancel()
            return
        except TransientError:
            await asyncio.sleep(0.2)


async def _report(run: Run, begin: float) -> None:
    while True:
        await asyncio.sleep(PROGRESS_S)
        done = " ".join(f"{kind.value}={count}" for kind, count in sorted(run.hands.done.items()))
        say(
            f"{time.monotonic() - begin:4.0f} s: {len(run.accepted)} jobs, {len(run.open)} open, "
            f"{run.deliveries.copied} copies, {run.deliveries.dropped} dropped; {done}"
        )
