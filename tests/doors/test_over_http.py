"""What is only so over HTTP: keys, an API that is away for a while, uploads."""

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

import orchestrator
from orchestrator import AsyncTroupe, Troupe
from orchestrator.remote.asking import upload
from orchestrator.remote.client import RemoteTroupe
from tasks.access import OPERATOR, Scope, TenantLimits
from tasks.errors import BadSetting, IdempotencyConflict, UnknownJob
from tasks.ids import SYNTHESIS_STEP
from tasks.refusals import ApiUnavailable, NotAllowed, RateLimited, Unauthenticated
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.access import AccessStore
from tests.doors.conftest import made_key, planned
from tests.support.api import Api
from tests.support.builders import a_graph
from tests.support.moves import Moves
from tests.support.waiting import wait_until
from tests.unit import pages

WRONG = f"trp_{'a' * 10}_{'b' * 43}"


@pytest.fixture
async def key(store_settings: StoreSettings) -> str:
    """A key of an operator."""
    return await made_key(store_settings)


@pytest.fixture
async def troupe(api: Api, key: str) -> Any:
    """A client of the API."""
    async with AsyncTroupe(api.url, api_key=key) as client:
        yield client


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("shown", [WRONG, "nonsense", None])
async def test_a_wrong_key_opens_nothing(api: Api, shown: str | None) -> None:
    async with AsyncTroupe(api.url, api_key=shown) as troupe:
        for call in (troupe.jobs(), troupe.submit("Find out."), troupe.people.list(), troupe.session("a").state()):
            with pytest.raises(Unauthenticated):
                await call


async def test_an_expired_key_opens_nothing_more(api: Api, store: Store) -> None:
    _, text = await AccessStore(store).create(OPERATOR, {Scope.ADMIN}, expires=timedelta(milliseconds=300))
    async with AsyncTroupe(api.url, api_key=text) as troupe:

        async def refused() -> bool:
            try:
                await troupe.jobs()
            except Unauthenticated:
                return True
            return False

        await wait_until(refused)


async def test_a_key_does_what_it_is_for(api: Api, store_settings: StoreSettings, key: str) -> None:
    reader = await made_key(store_settings, "acme", Scope.READ)
    async with AsyncTroupe(api.url, api_key=reader) as troupe, AsyncTroupe(api.url, api_key=key) as operator:
        job = await operator.submit("Find out.")
        assert await troupe.jobs() == []
        with pytest.raises(UnknownJob):
            await troupe.job(job.id).snapshot()
        for call in (troupe.submit("Find out."), troupe.stats(), troupe.workers(), troupe.prune(0)):
            with pytest.raises(NotAllowed):
                await call


async def test_a_key_is_shown_nowhere(api: Api, key: str, caplog: pytest.LogCaptureFixture) -> None:
    secret = key.rpartition("_")[2]
    caplog.set_level(logging.DEBUG)
    async with AsyncTroupe(api.url, api_key=key) as troupe:
        job = await troupe.submit("Find out.")
        assert isinstance(troupe, RemoteTroupe)
        shown = [repr(one) for one in (troupe, job, troupe.api, troupe.api.settings, troupe.people, troupe.dead)]
        with pytest.raises(UnknownJob) as unknown:
            await troupe.job(f"{job.id[:-1]}x" if job.id[-1] != "x" else f"{job.id[:-1]}y").snapshot()
        api.stop()
        with pytest.raises(ApiUnavailable) as away:
            await AsyncTroupe(api.url, api_key=key).jobs()
    with pytest.raises(BadSetting) as plain:
        AsyncTroupe("http://troupe.example.org", api_key=key)
    said = [*shown, *(repr(one.value) + str(one.value) for one in (unknown, away, plain)), caplog.text]
    assert [one for one in said if secret in one] == []


def test_a_key_is_not_sent_in_the_clear() -> None:
    with pytest.raises(BadSetting, match="anybody in between can read it"):
        AsyncTroupe("http://troupe.example.org", api_key=WRONG)
    with pytest.raises(BadSetting, match="anybody in between can read it"):
        Troupe("http://192.0.2.7:8080", api_key=SecretStr(WRONG))
    for url in ("http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://troupe.example.org"):
        AsyncTroupe(url, api_key=WRONG)
    AsyncTroupe("http://troupe.example.org", api_key=WRONG, insecure=True)
    AsyncTroupe("http://troupe.example.org")
    with pytest.raises(BadSetting, match="for an API"):
        AsyncTroupe("redis://127.0.0.1:1", api_key=WRONG)


async def test_events_go_on_where_they_were_when_the_api_comes_back(
    api: Api, troupe: AsyncTroupe, moves: Moves
) -> None:
    job = await planned(troupe, moves)
    seen: list[int] = []

    async def read() -> None:
        async for event in job.events():
            seen.append(event.seq)

    reading = asyncio.create_task(read())
    await wait_until(lambda: len(seen) >= 2)
    await asyncio.to_thread(api.stop)
    await moves.succeed(job.id, "one")
    assert not reading.done()
    await asyncio.to_thread(api.start)
    await moves.succeed(job.id, SYNTHESIS_STEP)
    await asyncio.wait_for(reading, 30)
    assert seen == [event.seq for event in await moves.told(job.id)]


async def test_a_submit_while_the_api_is_away_makes_one_job(api: Api, troupe: AsyncTroupe) -> None:
    before = await troupe.submit("Before.")
    await asyncio.to_thread(api.stop)
    submitting = asyncio.create_task(troupe.submit("Meanwhile."))
    waiting = asyncio.create_task(before.wait(30))
    await asyncio.to_thread(api.start)
    job = await asyncio.wait_for(submitting, 20)
    assert [one.job_id for one in await troupe.jobs()] == [job.id, before.id]
    await before.cancel()
    assert (await waiting).job_id == before.id


async def test_an_api_that_was_never_there_is_said_at_once(api: Api) -> None:
    await asyncio.to_thread(api.stop)
    async with AsyncTroupe(api.url) as troupe:
        with pytest.raises(ApiUnavailable, match="gave no answer"):
            await troupe.jobs()


class Limiting:
    """An API that refuses the first requests for their rate."""

    def __init__(self, *waits: int) -> None:
        self.waits = list(waits)
        self.asked: list[float] = []

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        """429 as long as there is something to wait for."""
        self.asked.append(asyncio.get_running_loop().time())
        if not self.waits:
            return httpx2.Response(200, json={"jobs": [], "next": None})
        problem = {"code": "rate_limited", "detail": "too many requests"}
        return httpx2.Response(429, json=problem, headers={"Retry-After": str(self.waits.pop(0))})

    def client(self) -> RemoteTroupe:
        """A client that asks it."""
        return RemoteTroupe.through(httpx2.MockTransport(self.answer), "https://troupe.test", None)


async def test_who_asks_too_often_comes_back_when_it_is_told() -> None:
    limiting = Limiting(1)
    assert await limiting.client().jobs() == []
    first, second = limiting.asked
    assert second - first >= 1


async def test_who_is_to_come_back_much_later_is_told_so() -> None:
    limiting = Limiting(60)
    with pytest.raises(RateLimited) as limited:
        await limiting.client().jobs()
    assert (len(limiting.asked), limited.value.retry_after) == (1, timedelta(seconds=60))


async def test_files_that_come_too_often_are_sent_again_whole(tmp_path: Path) -> None:
    table, bodies = tmp_path / "sales.csv", list[bytes]()
    table.write_text("city,amount\nBonn,5\n")

    async def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(await request.aread())
        if len(bodies) > 1:
            return httpx2.Response(200, json=[{"id": "f1"}])
        problem = {"code": "rate_limited", "detail": "too many requests"}
        return httpx2.Response(429, json=problem, headers={"Retry-After": "0"})

    troupe = RemoteTroupe.through(httpx2.MockTransport(answer), "https://troupe.test", None)
    assert await upload(troupe.api, [table]) == ["f1"]
    assert [body.count(b"city,amount\nBonn,5\n") for body in bodies] == [1, 1]


async def test_a_tenant_that_asks_too_often_is_told_when_to_come_back(api: Api, store: Store) -> None:
    access = AccessStore(store)
    await access.set_limits("acme", TenantLimits(requests_per_minute=1))
    _, text = await access.create("acme", {Scope.READ})
    async with AsyncTroupe(api.url, api_key=text) as troupe:
        with pytest.raises(RateLimited) as limited:
            await asyncio.gather(*(troupe.jobs() for _ in range(3)))
    assert timedelta(0) < limited.value.retry_after <= timedelta(minutes=2)


async def test_the_same_data_is_kept_once_and_finds_its_job(troupe: AsyncTroupe, moves: Moves, tmp_path: Path) -> None:
    tables = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for table in tables:
        table.write_text("city,amount\nBonn,5\n")
    first = await troupe.submit("Sum up.", data=tables, idempotency_key="k")
    second = await troupe.submit("Sum up.", data=[tables[0], tables[1]], idempotency_key="k")
    assert second.id == first.id
    refs = (await moves.snapshots.job(first.id)).spec.data
    assert [one.name for one in refs] == ["a", "b"]
    kept = [path for path in (tmp_path / "home" / "tenants").rglob("*") if path.is_file()]
    assert sorted(kept) == sorted(Path(one.path) for one in refs)
    tables[0].write_text("city,amount\nBonn,6\n")
    with pytest.raises(IdempotencyConflict):
        await troupe.submit("Sum up.", data=tables, idempotency_key="k")


async def test_what_is_only_to_be_had_in_the_store_is_said(troupe: AsyncTroupe) -> None:
    for name in ("store", "states", "limits"):
        with pytest.raises(AttributeError, match="this client goes over HTTP"):
            getattr(troupe, name)


async def test_the_example_of_the_page_runs(
    api: Api, key: str, moves: Moves, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = pages.others("docs/clients.md")

    def connect(_url: str, api_key: str) -> Troupe:
        assert api_key.startswith("trp_")
        return Troupe(api.url, api_key=SecretStr(key))

    monkeypatch.setattr(orchestrator, "Troupe", connect)
    running = asyncio.create_task(asyncio.to_thread(exec, compile(example.text, example.place, "exec"), {}))
    async with AsyncTroupe(settings=moves.store.settings) as watching:

        async def submitted() -> bool:
            return bool(await watching.jobs())

        await wait_until(submitted)
        job = (await watching.jobs())[0].job_id
    assert await moves.extend(job, a_graph({"one": ()}))
    await moves.succeed(job, "one")
    await moves.succeed(job, SYNTHESIS_STEP, "For two years.")
    await running
    said = capsys.readouterr().out.splitlines()
    assert (said[0], said[-1]) == ("1 job_submitted", "For two years.")
    assert [int(line.split()[0]) for line in said[:-1]] == list(range(1, len(said)))
