"""The producer's client, asynchronous and blocking, on a real store."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from orchestrator import AsyncTroupe, Troupe
from tasks.errors import (
    BadTable,
    ContractError,
    IdempotencyConflict,
    InvalidId,
    InvalidTask,
    JobCancelled,
    JobFailed,
    ResultTimeout,
    StoreUnavailable,
    UnknownJob,
)
from tasks.ids import SYNTHESIS_STEP, AttemptRef, JobId, StepId, new_job_id, partition_of
from tasks.models import MAX_TASK_CHARS, StepResult
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store import Store
from tests.support.builders import COST, OUT_OF_LUCK, a_graph, a_plan, a_worker
from tests.support.moves import Moves
from tests.support.waiting import wait_until

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
async def troupe(store_settings: StoreSettings) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=store_settings) as troupe:
        yield troupe


async def answer(moves: Moves, job: JobId, text: str = "the answer") -> None:
    """Bring a submitted job to its end."""
    assert await moves.extend(job, a_graph({"one": ()}))
    for step in ("one", SYNTHESIS_STEP):
        ref = AttemptRef(job, StepId(step), 1)
        await moves.jobs.dispatch(partition_of(job), [ref])
        await moves.claim(ref)
        await moves.attempts.succeed(ref, StepResult(text=text if step == SYNTHESIS_STEP else "part"), COST)


async def test_a_submit_is_one_round_trip(troupe: AsyncTroupe, moves: Moves) -> None:
    await troupe.submit("Warm up: connect, and let the server learn the script.")
    sent: list[str] = []
    redis = cast(Any, troupe)._store.redis
    execute = redis.execute_command

    async def watched(*args: Any, **options: Any) -> Any:
        sent.append(args[0])
        return await execute(*args, **options)

    redis.execute_command = watched
    before = await moves.redis.info("stats")
    await troupe.submit("Why?", idempotency_key="k")
    after = await moves.redis.info("stats")
    assert sent == ["EVALSHA"]
    own = 1  # the second INFO; commands inside the script are not counted
    assert after["total_reads_processed"] - before["total_reads_processed"] == 1 + own


async def test_a_submitted_job_is_accepted_with_all_that_was_said(
    troupe: AsyncTroupe, moves: Moves, tmp_path: Path
) -> None:
    table = tmp_path / "sales.csv"
    table.write_text("a,b\n1,2\n")
    job = await troupe.submit(
        "  Why?  ", model="offline", knowledge=["papers"], data=[table], budget_usd=0.5, timeout=60, idempotency_key="k"
    )
    spec = (await moves.snapshots.job(job.id)).spec
    assert (spec.task, spec.model, spec.knowledge, spec.budget_microusd) == ("Why?", "offline", ("papers",), 500_000)
    assert (spec.timeout_ms, spec.idempotency_key, spec.data[0].name) == (60_000, "k", "sales")
    assert await job.status() is TaskStatus.PENDING
    assert (await troupe.jobs())[0].job_id == job.id


async def test_a_job_with_a_plan_has_no_planning_step(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?", plan=a_plan())
    assert (await moves.snapshots.job(job.id)).steps == ()


async def test_a_second_submit_with_the_same_key_is_the_same_job(troupe: AsyncTroupe) -> None:
    first = await troupe.submit("Why?", idempotency_key="order-17")
    assert (await troupe.submit("Why?", idempotency_key="order-17")).id == first.id
    with pytest.raises(IdempotencyConflict, match="order-17"):
        await troupe.submit("Why not?", idempotency_key="order-17")


async def test_many_submits_at_once_with_one_key_are_one_job(troupe: AsyncTroupe) -> None:
    jobs = await asyncio.gather(*(troupe.submit("Why?", idempotency_key="order-17") for _ in range(50)))
    assert len({job.id for job in jobs}) == 1
    assert len(await troupe.jobs(100)) == 1


async def test_a_result_is_there_as_soon_as_the_job_is_final(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    waiting = asyncio.create_task(job.result(timeout=10))
    await asyncio.sleep(0)
    await answer(moves, job.id)
    result = await asyncio.wait_for(waiting, 2)
    assert (result.answer, result.status, result.job_id) == ("the answer", TaskStatus.COMPLETED, job.id)
    assert [one.id for one in result.steps] == ["plan", "one", "synthesis"]
    assert result.usage.cost_usd == 2 * COST.cost_microusd / 1_000_000


async def test_a_result_that_was_there_before_is_read_at_once(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    await answer(moves, job.id)
    begun = time.monotonic()
    assert (await troupe.job(job.id).result(timeout=10)).answer == "the answer"
    assert time.monotonic() - begun < 1


async def test_many_wait_for_many_jobs(troupe: AsyncTroupe, moves: Moves) -> None:
    jobs = [await troupe.submit(f"Why {number}?") for number in range(12)]
    waiting = [asyncio.create_task(job.result(timeout=10)) for job in jobs for _ in range(2)]
    for job in jobs:
        await answer(moves, job.id, job.id)
    results = await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert [result.answer for result in results] == [job.id for job in jobs for _ in range(2)]


async def test_a_wait_that_takes_too_long_is_a_timeout_and_the_job_goes_on(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    begun = time.monotonic()
    with pytest.raises(ResultTimeout, match=r"still pending after 0.1 s; it goes on") as caught:
        await job.result(timeout=0.1)
    assert isinstance(caught.value, TimeoutError)
    assert 0.1 <= time.monotonic() - begun < 1
    await answer(moves, job.id)
    assert (await job.result(timeout=5)).answer == "the answer"


@pytest.mark.parametrize("timeout", [0, -1])
async def test_a_wait_of_no_time_looks_once(troupe: AsyncTroupe, moves: Moves, timeout: float) -> None:
    job = await troupe.submit("Why?")
    with pytest.raises(ResultTimeout):
        await job.wait(timeout=timeout)
    await answer(moves, job.id)
    assert (await job.wait(timeout=timeout)).answer == "the answer"


async def test_a_failed_job_raises_and_says_why(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    await moves.jobs.end_job(job.id, TaskStatus.FAILED, OUT_OF_LUCK)
    with pytest.raises(JobFailed, match=f"job {job.id}: bad: no hope"):
        await job.result()
    outcome = await job.wait()
    assert outcome.status is TaskStatus.FAILED
    assert outcome.error is not None
    assert (outcome.error.code, outcome.answer) == ("bad", None)


async def test_a_cancelled_job_raises_that(troupe: AsyncTroupe) -> None:
    job = await troupe.submit("Why?")
    assert await job.cancel() is TaskStatus.CANCELLED
    assert await job.cancel() is TaskStatus.CANCELLED
    with pytest.raises(JobCancelled, match="cancelled on request"):
        await job.result()


async def test_a_final_job_cannot_be_cancelled(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    await answer(moves, job.id)
    assert await job.cancel() is TaskStatus.COMPLETED


async def test_cancelling_ends_a_wait(troupe: AsyncTroupe) -> None:
    job = await troupe.submit("Why?")
    waiting = asyncio.create_task(job.wait())
    await asyncio.sleep(0)
    await job.cancel()
    assert (await asyncio.wait_for(waiting, 2)).status is TaskStatus.CANCELLED


async def test_events_come_as_they_happen_until_the_last(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    seen: list[str] = []

    async def follow() -> None:
        async for event in job.events():
            seen.append(event.type)

    following = asyncio.create_task(follow())
    await wait_until(lambda: seen == ["job_submitted"])
    await answer(moves, job.id)
    await asyncio.wait_for(following, 2)
    assert seen[0] == "job_submitted"
    assert seen[-1] == "job_finished"
    assert seen.count("step_succeeded") == 2


async def test_events_are_resumed_after_any_number(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit("Why?")
    await answer(moves, job.id)
    every = [event async for event in job.events()]
    assert [event.seq for event in every] == list(range(1, len(every) + 1))
    for since in range(len(every) + 1):
        assert [event async for event in job.events(since)] == every[since:]


@pytest.mark.parametrize(("since", "words"), [(-1, "-1 is no number"), (1000, "1000 is past the last event")])
async def test_a_number_that_no_event_can_have_is_refused(troupe: AsyncTroupe, since: int, words: str) -> None:
    job = await troupe.submit("Why?")
    with pytest.raises(ContractError, match=words):
        await anext(job.events(since))
    await job.cancel()
    with pytest.raises(ContractError, match=words):
        await anext(job.events(since))


async def test_a_job_that_nobody_knows(troupe: AsyncTroupe) -> None:
    job = troupe.job(new_job_id(0))
    for asked in (job.status(), job.snapshot(), job.wait(1), job.result(1), job.cancel(), anext(job.events())):
        with pytest.raises(UnknownJob, match=job.id):
            await asked
    with pytest.raises(InvalidId):
        troupe.job("17")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"task": " \n "}, InvalidTask, "empty"),
        ({"task": "x" * (MAX_TASK_CHARS + 1)}, InvalidTask, "100,001 characters"),
        ({"task": "half \ud800"}, ContractError, "task"),
        ({"timeout": 0}, ContractError, "timeout"),
        ({"timeout": -5}, ContractError, "timeout"),
        ({"timeout": float("nan")}, ContractError, "timeout"),
        ({"timeout": float("inf")}, ContractError, "timeout"),
        ({"budget_usd": -0.01}, ContractError, "budget_microusd"),
        ({"budget_usd": float("nan")}, ContractError, "budget_usd"),
        ({"knowledge": ["No Name"]}, ContractError, "knowledge"),
        ({"data": ["/nonexistent/sales.csv"]}, BadTable, "sales.csv"),
        ({"idempotency_key": ""}, ContractError, "idempotency_key"),
        ({"idempotency_key": "k" * 201}, ContractError, "idempotency_key"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_sent(
    troupe: AsyncTroupe, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        await troupe.submit(arguments.pop("task", "Why?"), **arguments)
    assert await troupe.jobs() == []


async def test_the_fleet_is_listed(troupe: AsyncTroupe, moves: Moves) -> None:
    await moves.fleet.announce(a_worker("w1", ["search"]))
    assert [one.name for one in await troupe.workers()] == ["w1"]
    assert [one.name for one in await troupe.agents()] == ["search"]
    assert await troupe.orchestrators() == []


async def test_a_store_that_is_away_is_told_in_time() -> None:
    settings = StoreSettings(redis_url=SecretStr(AWAY), store_timeout_s=0.5)
    async with AsyncTroupe(settings=settings) as troupe:
        job = troupe.job(new_job_id(0))
        begun = time.monotonic()
        for asked in (troupe.submit("Why?"), job.status(), job.wait(5), job.cancel(), anext(job.events())):
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await asked
        assert time.monotonic() - begun < 5 * 0.5


# The blocking client


@pytest.fixture
def blocking(store_settings: StoreSettings) -> Iterator[Troupe]:
    with Troupe(settings=store_settings) as troupe:
        yield troupe


def do(settings: StoreSettings, work: Callable[[Moves], Awaitable[None]]) -> None:
    """Run moves from ordinary code."""

    async def main() -> None:
        store = Store(settings)
        try:
            await work(Moves(store))
        finally:
            await store.close()

    asyncio.run(main())


def test_ordinary_code_submits_and_gets_the_result(blocking: Troupe, store_settings: StoreSettings) -> None:
    job = blocking.submit("Why?")
    assert job.status() is TaskStatus.PENDING
    assert repr(job) == f"<job {job.id}>"
    with pytest.raises(TimeoutError):
        job.result(timeout=0.01)
    do(store_settings, lambda moves: answer(moves, job.id))
    assert job.result(timeout=5).answer == "the answer"
    assert job.wait().answer == job.snapshot().answer == "the answer"
    assert [one.job_id for one in blocking.jobs()] == [job.id]


def test_ordinary_code_follows_events(blocking: Troupe, store_settings: StoreSettings) -> None:
    job = blocking.submit("Why?")
    do(store_settings, lambda moves: answer(moves, job.id))
    every = list(job.events())
    assert every[-1].type == "job_finished"
    assert list(blocking.job(job.id).events(since=every[2].seq)) == every[3:]


def test_ordinary_code_may_stop_following(blocking: Troupe) -> None:
    job = blocking.submit("Why?")
    for event in job.events():
        assert event.type == "job_submitted"
        break
    assert job.cancel() is TaskStatus.CANCELLED
    with pytest.raises(JobCancelled):
        job.result()


def test_ordinary_code_asks_from_many_threads(blocking: Troupe) -> None:
    found: list[JobId] = []
    threads = [threading.Thread(target=lambda: found.append(blocking.submit("Why?").id)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 10


def test_ordinary_code_gets_the_same_errors(blocking: Troupe) -> None:
    with pytest.raises(InvalidTask):
        blocking.submit("")
    with pytest.raises(UnknownJob):
        blocking.job(new_job_id(0)).status()
    with pytest.raises(UnknownJob):
        list(blocking.job(new_job_id(0)).events())
    with pytest.raises(InvalidId):
        blocking.job("17")
    assert (blocking.workers(), blocking.agents(), blocking.orchestrators()) == ([], [], [])


def test_closing_twice_is_fine(store_settings: StoreSettings) -> None:
    troupe = Troupe(settings=store_settings)
    troupe.submit("Why?")
    troupe.close()
    troupe.close()


def test_a_url_is_enough(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)
    with Troupe(store_settings.redis_url.get_secret_value()) as troupe:
        job = troupe.submit("Why?")
        assert job.cancel() is TaskStatus.CANCELLED


def test_a_store_that_is_away_is_told_to_ordinary_code_too() -> None:
    with Troupe(settings=StoreSettings(redis_url=SecretStr(AWAY))) as troupe, pytest.raises(StoreUnavailable):
        troupe.submit("Why?")
