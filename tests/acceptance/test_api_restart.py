"""An API that is killed and started again: whoever followed jobs goes on where it was, and no submit is lost."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import pytest

from orchestrator.local.redis_server import free_port
from tasks.models import Plan, PlannedStep
from tests.acceptance.conftest import Fleet
from tests.acceptance.stage import START_WITHIN_S, Command
from tests.support.waiting import wait_until

CLIENTS: Final = 20
JOBS: Final = 4
DEEP: Final = 5
WIDE: Final = 3
NAP: Final = "nap 1.2"
KILLS: Final = 3
AGAIN_S: Final = 0.05


@dataclass(slots=True)
class Api:
    """An API of a fleet, at one port, however often it is started."""

    fleet: Fleet
    port: int = field(default_factory=free_port)
    process: Command | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> Command:
        """Start it, and wait until it answers."""
        started = self.fleet.stage.start("api", "--port", str(self.port), TROUPE_REDIS_URL=self.fleet.url)
        self.process = started

        async def ready() -> bool:
            assert started.process.poll() is None, started.said
            try:
                async with self.client() as client:
                    return (await client.get("/readyz")).status_code == 200
            except httpx2.HTTPError:
                return False

        await wait_until(ready, within=START_WITHIN_S)
        return started

    def client(self) -> httpx2.AsyncClient:
        """A client of it."""
        return httpx2.AsyncClient(base_url=self.url, timeout=30, trust_env=False)


@pytest.fixture
def api(fleet: Fleet) -> Iterator[Api]:
    made = Api(fleet)
    yield made
    if made.process is not None:
        made.process.end()


def plan(deep: int, wide: int = 1, nap: str = NAP) -> dict[str, Any]:
    """Chains of naps, side by side."""
    steps = [
        PlannedStep(
            id=f"nap-{row}-{at}", description=nap, agent="napper", depends_on=[f"nap-{row}-{at - 1}"] if at else []
        )
        for row in range(wide)
        for at in range(deep)
    ]
    return Plan(steps=steps).model_dump(mode="json", exclude_defaults=True)


@dataclass(slots=True)
class Follower:
    """Somebody who reads a job's events to the end, and comes back when a connection is lost."""

    job: str
    seen: list[int] = field(default_factory=list[int])
    losses: int = 0
    ended: bool = False

    async def follow(self, api: Api) -> None:
        """Read to the end."""
        async with api.client() as client:
            while not self.ended:
                try:
                    await self._read(client)
                except httpx2.HTTPError:
                    await asyncio.sleep(AGAIN_S)

    async def _read(self, client: httpx2.AsyncClient) -> None:
        headers = {"Last-Event-ID": str(self.seen[-1])} if self.seen else {}
        async with client.stream("GET", f"/v1/jobs/{self.job}/events", headers=headers) as answer:
            assert answer.status_code == 200
            try:
                async for line in answer.aiter_lines():
                    if line.startswith("id: "):
                        self.seen.append(int(line[4:]))
                    self.ended = self.ended or line == "event: end"
            finally:
                self.losses += not self.ended


@asynccontextmanager
async def following(api: Api, jobs: list[str], count: int) -> AsyncGenerator[list[Follower]]:
    """Followers of jobs; when the block ends they have all seen the end."""
    followers = [Follower(jobs[at % len(jobs)]) for at in range(count)]
    tasks = [asyncio.create_task(one.follow(api)) for one in followers]
    try:
        yield followers
        await asyncio.wait_for(asyncio.gather(*tasks), START_WITHIN_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def submitted(api: Api) -> str:
    async with api.client() as client:
        answer = await client.post("/v1/jobs", json={"task": "Sleep.", "plan": plan(DEEP, WIDE)})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def gone_on(followers: list[Follower], before: list[int]) -> bool:
    """Whether each has seen more, or all."""
    return all(one.ended or len(one.seen) > seen for one, seen in zip(followers, before, strict=True))


async def test_followers_of_an_api_that_is_killed_miss_nothing_and_see_nothing_twice(api: Api) -> None:
    await api.start()
    jobs = [await submitted(api) for _ in range(JOBS)]
    async with following(api, jobs, CLIENTS) as followers:
        for _ in range(KILLS):
            before = [len(one.seen) for one in followers]
            await wait_until(lambda before=before: gone_on(followers, before), START_WITHIN_S)
            assert api.process is not None
            api.process.end()  # SIGKILL
            await api.start()
    for one in followers:
        assert one.seen == list(range(1, len(one.seen) + 1))
        assert len(one.seen) > 2 * DEEP * WIDE
    assert len({(one.job, len(one.seen)) for one in followers}) == JOBS
    assert sum(one.losses for one in followers) >= CLIENTS


async def test_a_submit_whose_answer_was_lost_finds_its_job(api: Api) -> None:
    await api.start()
    body, key = {"task": "Answer late.", "plan": plan(1, nap="nap 60")}, {"Idempotency-Key": f"lost-{api.port}"}

    async def taken() -> bool:
        async with api.client() as client:
            found = await client.get("/v1/jobs", params={"q": "Answer late.", "status": "in_progress"})
        return bool(found.json()["jobs"])

    async with api.client() as client:
        asking = asyncio.create_task(client.post("/v1/jobs?wait=60", json=body, headers=key))
        await wait_until(taken, within=30)
        assert api.process is not None
        api.process.end()  # SIGKILL
        with pytest.raises(httpx2.HTTPError):
            await asking
    await api.start()
    async with api.client() as client:
        again = await client.post("/v1/jobs", json=body, headers=key)
        found = (await client.get("/v1/jobs", params={"q": "Answer late."})).json()["jobs"]
        assert [one["job_id"] for one in found] == [again.json()["job_id"]]
        await client.post(f"/v1/jobs/{found[0]['job_id']}/cancel")


async def test_an_api_that_is_told_to_end_answers_what_it_was_asked(api: Api) -> None:
    process = await api.start()
    job = await submitted(api)
    follower = Follower(job)
    async with api.client() as client, api.client() as waiting:
        reading = asyncio.create_task(follower._read(client))
        asking = asyncio.create_task(waiting.get(f"/v1/jobs/{job}/result?wait=2"))
        await wait_until(lambda: bool(follower.seen), within=30)
        process.signal(signal.SIGTERM)
        await asyncio.wait_for(reading, 30)
        answer = await asking
    assert (answer.status_code, answer.json()["job_id"]) == (202, job)
    assert not follower.ended, "it is to come back"
    assert (await asyncio.to_thread(process.wait)).code == 0
