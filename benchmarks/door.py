"""The HTTP door: submits at a steady rate, alone and beside many readers of events."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import httpx2

from benchmarks.agents import fan, line
from benchmarks.drive import quantile
from benchmarks.stage import ROOT, Side, troupe_side
from orchestrator.local.children import Children
from orchestrator.local.redis_server import RedisServer, free_port
from tasks.models import Plan

Line = dict[str, Any]

RATE: Final = 100.0
READERS: Final = 300
FOLLOWED: Final = 30
"""Jobs that the readers follow."""
NAP_S: Final = 0.5
"""Each step of those: two events or so."""
START_WITHIN_S: Final = 30.0
END_WITHIN_S: Final = 120.0


def run_door(server: RedisServer, folder: Path, *, quick: bool) -> Iterator[Line]:
    """Submits alone, then the same beside readers, on one fleet."""
    seconds, readers = (5.0, 30) if quick else (60.0, READERS)
    with troupe_side(server, folder, workers=1, concurrency=200) as side, api(server, folder) as url:
        yield measure(side, url, seconds, readers=0)
        yield measure(side, url, seconds, readers=readers)


@contextmanager
def api(server: RedisServer, folder: Path) -> Generator[str]:
    """A process that serves the API; its URL."""
    port = free_port()
    environment = {"TROUPE_REDIS_URL": server.url, "TROUPE_HOME": str(folder), "TROUPE_LOG_LEVEL": "warning"}
    children = Children(environment, folder / "logs", server.lifeline)
    url = f"http://127.0.0.1:{port}"
    try:
        children.start("api", ["api", "--port", str(port)])
        end = time.monotonic() + START_WITHIN_S
        while not _answers(url):
            if time.monotonic() > end:
                raise TimeoutError(f"the API did not start within {START_WITHIN_S:g} s")
            time.sleep(0.1)
        yield url
    finally:
        children.stop(20)


def measure(side: Side, url: str, seconds: float, *, readers: int, rate: float = RATE) -> Line:
    """One run: every job that was submitted has to complete, every reader to see each event once."""
    with _reading(url, readers, round(seconds / NAP_S)) as watching:
        took, jobs, refused = asyncio.run(_submit(url, rate, seconds))
        done = asyncio.run(_completed(url, jobs))
        seen = _seen(watching) if watching is not None else {}
    return {
        "case": "door",
        "system": "troupe",
        "readers": readers,
        "submits_per_s": round(len(took) / seconds, 1),
        "p50_ms": round(quantile(took, 0.5) * 1000, 1),
        "p95_ms": round(quantile(took, 0.95) * 1000, 1),
        "p99_ms": round(quantile(took, 0.99) * 1000, 1),
        "jobs": len(jobs),
        "not_accepted": dict(refused),
        "not_completed": len(jobs) - done,
        **{name: value for name, value in seen.items() if name != "readers"},
        "processes": side.processes + 1,
    }


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


@contextmanager
def _reading(url: str, readers: int, steps: int) -> Generator["subprocess.Popen[str] | None"]:
    """Readers in a process of their own, which have all begun."""
    if not readers:
        yield None
        return
    plan = Plan(
        steps=[one.model_copy(update={"description": f"wait {NAP_S}"}) for one in line(steps).steps]
    ).model_dump(mode="json", exclude_defaults=True)
    with httpx2.Client(base_url=url, trust_env=False, timeout=60) as client:
        body = {"task": "to be followed", "plan": plan}
        jobs = [str(client.post("/v1/jobs", json=body).json()["job_id"]) for _ in range(FOLLOWED)]
    command = [sys.executable, "-m", "benchmarks.watchers", url, str(readers), *jobs]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        try:
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise RuntimeError("the readers did not begin")
            yield process
        finally:
            process.kill()


def _seen(process: "subprocess.Popen[str]") -> Line:
    output, _ = process.communicate(timeout=END_WITHIN_S)
    return cast(Line, json.loads(output.splitlines()[-1]))


async def _submit(url: str, rate: float, seconds: float) -> tuple[list[float], list[str], Counter[str]]:
    """Submit at times that were fixed before, however long answers take; seconds from those to each answer."""
    took, jobs, refused = list[float](), list[str](), Counter[str]()
    body = {"task": "nothing", "plan": fan(1).model_dump(mode="json", exclude_defaults=True)}
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=200)
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
        begun = time.perf_counter() + 0.5

        async def one(number: int) -> None:
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            answer = await client.post("/v1/jobs", json=body, headers={"Idempotency-Key": f"{begun}-{number}"})
            if answer.status_code in {200, 202}:  # 200: it has ended already
                took.append(time.perf_counter() - due)
                jobs.append(str(answer.json()["job_id"]))
            else:
                refused[f"{answer.status_code} {answer.json().get('code')}"] += 1

        await asyncio.gather(*(one(number) for number in range(round(rate * seconds))))
    return took, jobs, refused


async def _completed(url: str, jobs: list[str]) -> int:
    """How many of the jobs complete, in good time."""
    left, end = set(jobs), time.monotonic() + END_WITHIN_S
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        while left and time.monotonic() < end:
            for job in list(left)[:200]:
                status = (await client.get(f"/v1/jobs/{job}/status")).json()["status"]
                if status == "completed":
                    left.discard(job)
                elif status in {"failed", "cancelled"}:
                    return len(jobs) - len(left)
    return len(jobs) - len(left)
