"""An API that is told to end answers what it was asked; its readers are to come back elsewhere."""

import asyncio
import signal
from collections.abc import Iterator

import httpx2
import pytest

from orchestrator.local.redis_server import free_port
from tasks.models import Plan, PlannedStep
from tests.acceptance.conftest import Fleet
from tests.acceptance.stage import START_WITHIN_S, Command
from tests.support.waiting import wait_until

PLAN = Plan(steps=[PlannedStep(id="nap", description="nap 20", agent="napper")])


@pytest.fixture
def api(fleet: Fleet) -> Iterator[tuple[Command, str]]:
    """An API of the fleet, and where it is."""
    port = free_port()
    started = fleet.stage.start("api", "--port", str(port), TROUPE_REDIS_URL=fleet.url)
    yield started, f"http://127.0.0.1:{port}"
    started.end()


async def test_sigterm_ends_streams_without_their_end_and_answers_the_rest(
    fleet: Fleet, api: tuple[Command, str]
) -> None:
    process, url = api
    async with httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:

        async def ready() -> bool:
            assert process.process.poll() is None, process.said
            try:
                return (await client.get("/readyz")).status_code == 200
            except httpx2.HTTPError:
                return False

        await wait_until(ready, within=START_WITHIN_S)
        body = {"task": "Sleep.", "plan": PLAN.model_dump(mode="json", exclude_defaults=True)}
        job = (await client.post("/v1/jobs", json=body)).json()["job_id"]
        lines: list[str] = []

        async def read() -> None:
            async with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
                async for line in answer.aiter_lines():
                    lines.append(line)

        async def ask() -> httpx2.Response:
            return await client.get(f"/v1/jobs/{job}/result?wait=4")

        reading, asking = asyncio.create_task(read()), asyncio.create_task(ask())
        await wait_until(lambda: bool(lines))
        await asyncio.sleep(1)  # by now the other is in, too
        process.signal(signal.SIGTERM)
        await asyncio.wait_for(reading, START_WITHIN_S)
        outcome = await asking
        done = await asyncio.to_thread(process.wait)
    assert (outcome.status_code, outcome.json()["job_id"]) == (202, job)
    assert any(line.startswith("id: ") for line in lines)
    assert "event: end" not in lines
    fleet.troupe.job(job).cancel()
    assert done.code == 0
    assert "Traceback" not in done.stderr
