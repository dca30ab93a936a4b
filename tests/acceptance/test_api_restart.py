"""The API's process is killed while clients follow jobs and submit: each event once, each job once."""

import asyncio
import os
import signal
from pathlib import Path

import httpx2

from orchestrator import AsyncTroupe
from orchestrator.local.redis_server import free_port
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import start_fleet
from tests.acceptance.stage import Stages, copy_actors
from tests.support.waiting import wait_until

READERS = 20
KILLS = 3
ROWS = 4
DEPTH = 5
"""As many as a plan may have steps one after the other."""


def pid_of(port: int) -> int | None:
    """The process that serves the API on a port."""
    words = ["api", "--port", str(port)]
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found = place.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if found[-4:-1] == words:
            return int(place.parent.name)
    return None


async def ready(url: str) -> bool:
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{url}/readyz")).status_code == 200
    except httpx2.HTTPError:
        return False


async def kill(url: str, port: int) -> None:
    """Kill the API, and wait until its next process answers."""
    pid = await asyncio.to_thread(pid_of, port)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: pid_of(port) not in {None, pid}, within=40)
    await wait_until(lambda: ready(url), within=40)


async def follow(troupe: AsyncTroupe, job: str) -> list[int]:
    return [event.seq async for event in troupe.job(job).events()]


async def test_every_reader_goes_on_and_every_submit_is_one_job(stages: Stages) -> None:
    stage = stages.new(TROUPE_AGENTS="actors", NAPS="naps.txt")
    copy_actors(stage)
    port = free_port()
    up, _, _ = await asyncio.to_thread(start_fleet, stage, "--api-port", str(port), flower=False)
    url = f"http://127.0.0.1:{port}"
    async with AsyncTroupe(url) as troupe:
        steps = [
            PlannedStep(
                id=f"s{row}-{at}", description="nap 1.5", agent="napper", depends_on=[f"s{row}-{at - 1}"] if at else []
            )
            for row in range(ROWS)
            for at in range(DEPTH)
        ]
        job = await troupe.submit("Nap on.", plan=Plan(steps=steps))
        following = [asyncio.create_task(follow(troupe, job.id)) for _ in range(READERS)]
        for number in range(KILLS):
            submitting = asyncio.create_task(
                troupe.submit(f"Order {number}.", plan=Plan(steps=steps[:1]), idempotency_key=f"order-{number}")
            )
            await asyncio.sleep(0)
            await kill(url, port)
            first = await submitting
            again = await troupe.submit(
                f"Order {number}.", plan=Plan(steps=steps[:1]), idempotency_key=f"order-{number}"
            )
            assert first.id == again.id
        result = await job.wait(60)
        last = (await job.standing()).last_event
        seen = await asyncio.gather(*following)
        listed = [one.task for one in await troupe.jobs(100)]
    assert result.status is TaskStatus.COMPLETED
    assert seen == [list(range(1, last + 1))] * READERS
    assert sorted(listed) == sorted(["Nap on.", *(f"Order {number}." for number in range(KILLS))])
    up.process.terminate()
    assert (await asyncio.to_thread(up.wait, 40)).code == 0
