"""Cases with one side: many waiting steps in one process, submits, what Redis has to do for a step, fairness."""

import asyncio
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from redis import Redis

from benchmarks.commands import Sent
from benchmarks.drive import quantile, send_to_troupe
from benchmarks.stage import Side, troupe_side
from orchestrator import AsyncTroupe
from orchestrator.local.redis_server import RedisServer
from tasks.models import Plan, PlannedStep

Line = dict[str, Any]

WAITS: Final = 3000
WAIT_S: Final = 5.0
THREADS: Final = 500
SUBMITS: Final = 6000
AT_ONCE: Final = 64
COUNTED: Final = 60
"""Jobs during which every command is looked at."""
SMALL: Final = 20
WIDE: Final = 500
NAP_S: Final = 0.3


def waiting_plan(count: int, seconds: float) -> Plan:
    """Steps side by side that wait."""
    return Plan(steps=[PlannedStep(id=f"s{at}", description=f"wait {seconds}", agent="search") for at in range(count)])


def run_waiting(server: RedisServer, folder: Path, *, quick: bool) -> Iterator[Line]:
    """One worker process holds many steps that wait, as they do for a model."""
    count, seconds = (300, 0.5) if quick else (WAITS, WAIT_S)
    threads = count // 6 if quick else THREADS
    with troupe_side(server, folder, workers=1, concurrency=threads) as side:
        ideal = count / threads * seconds
        took, peak = asyncio.run(_wait(side, count, seconds))
        yield {
            "case": "waiting",
            "system": "troupe",
            "steps": count,
            "seconds_each": seconds,
            "threads": threads,
            "processes": side.processes,
            "makespan_s": round(took, 2),
            "ideal_s": round(ideal, 2),
            "makespan_over_ideal": round(took / ideal, 3),
            "share_of_ideal": round(ideal / took, 3),
            "worker_rss_mb": round(peak, 1),
        }


async def _wait(side: Side, count: int, seconds: float) -> tuple[float, float]:
    async with AsyncTroupe(side.url) as troupe:
        # A first job, so that the worker's window is known and its modules are loaded.
        await (await troupe.submit("warm", plan=waiting_plan(1, 0.0))).wait(60)
        begin = time.perf_counter()
        job = await troupe.submit("wait", plan=waiting_plan(count, seconds), timeout=600)
        waiting = asyncio.create_task(job.wait(600))
        peak = 0.0
        while not waiting.done():
            peak = max(peak, rss_mb(side.pids["worker-0"]))
            await asyncio.wait({waiting}, timeout=0.25)
        result = waiting.result()
        if result.status != "completed":
            raise RuntimeError(f"the waiting job is {result.status}: {result.error}")
        return time.perf_counter() - begin, peak


def run_submits(server: RedisServer, folder: Path, *, quick: bool) -> Iterator[Line]:
    """How many jobs one producer process can hand in: no worker is up, none is waited for."""
    count = 500 if quick else SUBMITS
    rates, cpu = list[float](), list[float]()
    for _ in range(1 if quick else 3):
        with cast(Any, Redis).from_url(server.url) as redis:
            redis.flushdb()
        before = resource.getrusage(resource.RUSAGE_SELF)
        rates.append(count / asyncio.run(_submit(server.url, count)))
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) / count)
    yield {
        "case": "submits",
        "system": "troupe",
        "jobs": count,
        "at_once": AT_ONCE,
        "submits_per_s": round(statistics.median(rates), 0),
        "client_cpu_ms": round(statistics.median(cpu) * 1000, 3),
        "processes": 1,
    }


async def _submit(url: str, count: int) -> float:
    async with AsyncTroupe(url) as troupe:
        todo = iter(range(count))

        async def producer() -> None:
            for at in todo:
                await troupe.submit(f"fan 3 number {at}")

        begin = time.perf_counter()
        await asyncio.gather(*(producer() for _ in range(AT_ONCE)))
        return time.perf_counter() - begin


def run_commands(server: RedisServer, folder: Path, *, quick: bool) -> Iterator[Line]:
    """What a step costs the server and the processes: commands that clients send, and bytes on the wire."""
    jobs = 20 if quick else 200
    with troupe_side(server, folder) as side, cast(Any, Redis).from_url(side.url, decode_responses=True) as redis:
        asyncio.run(_diamonds(side, 20))
        before, cpu_before = facts(redis), cpu_s(side)
        asyncio.run(_diamonds(side, jobs))
        after, cpu_after = facts(redis), cpu_s(side)
        with Sent(redis) as sent:
            asyncio.run(_diamonds(side, COUNTED))
        steps = jobs * 5
        yield {
            "case": "commands",
            "system": "troupe",
            "jobs": jobs,
            "processes": side.processes,
            "commands_per_step": round(sum(sent.by_name.values()) / (COUNTED * 5), 2),
            "commands": {name: round(count / (COUNTED * 5), 2) for name, count in sent.by_name.most_common(8)},
            "bytes_in_per_step": round((after["in"] - before["in"]) / steps),
            "bytes_out_per_step": round((after["out"] - before["out"]) / steps),
            "server_cpu_ms_per_step": round((after["cpu"] - before["cpu"]) / steps * 1000, 3),
            "fleet_cpu_ms_per_step": round((cpu_after - cpu_before) / steps * 1000, 3),
        }


async def _diamonds(side: Side, jobs: int) -> None:
    async with AsyncTroupe(side.url) as troupe:
        await send_to_troupe(troupe, ["fan 3"] * jobs, 16)


def facts(redis: Any) -> dict[str, float]:
    """Counters of the server."""
    stats, cpu = redis.info("stats"), redis.info("cpu")
    return {
        "in": float(stats["total_net_input_bytes"]),
        "out": float(stats["total_net_output_bytes"]),
        "cpu": float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"]),
    }


def run_fairness(server: RedisServer, folder: Path, *, quick: bool) -> Iterator[Line]:
    """Jobs of three steps beside one of five hundred, on a worker that cannot do all at once."""
    small, wide = (8, 60) if quick else (SMALL, WIDE)
    with troupe_side(server, folder, workers=1, concurrency=50) as side:
        alone, beside = asyncio.run(_fairness(side, small, wide))
        yield {
            "case": "fairness",
            "system": "troupe",
            "small_jobs": small,
            "wide_steps": wide,
            "threads": 50,
            "processes": side.processes,
            "alone_p50_ms": round(quantile(alone, 0.5), 1),
            "alone_p95_ms": round(quantile(alone, 0.95), 1),
            "beside_p50_ms": round(quantile(beside, 0.5), 1),
            "beside_p95_ms": round(quantile(beside, 0.95), 1),
            "p95_ratio": round(quantile(beside, 0.95) / quantile(alone, 0.95), 2),
        }


async def _fairness(side: Side, small: int, wide: int) -> tuple[list[float], list[float]]:
    async with AsyncTroupe(side.url) as troupe:

        async def small_jobs() -> list[float]:
            found: list[float] = []
            for _ in range(small):
                begin = time.perf_counter()
                await (await troupe.submit("small", plan=waiting_plan(3, NAP_S))).wait(120)
                found.append((time.perf_counter() - begin) * 1000)
            return found

        await (await troupe.submit("warm", plan=waiting_plan(3, 0.0))).wait(60)
        alone = await small_jobs()
        big = await troupe.submit("wide", plan=waiting_plan(wide, NAP_S), timeout=600)
        await asyncio.sleep(0.3)
        beside: list[float] = []
        while True:  # only as long as the wide job runs
            beside += await small_jobs()
            if (await big.snapshot()).finished_at is not None or len(beside) >= small:
                break
        await big.cancel()
        return alone, beside


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(side: Side) -> float:
    """CPU time of all its processes so far."""
    ticks = 0
    for pid in side.pids.values():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / 100
