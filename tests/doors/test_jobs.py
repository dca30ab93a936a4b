"""A job in a producer's hands, whichever door it came by."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from orchestrator import AsyncTroupe
from orchestrator.handle import AsyncJobHandle
from tasks.errors import (
    BadRecording,
    BadTable,
    ContractError,
    IdempotencyConflict,
    InvalidId,
    InvalidTask,
    JobCancelled,
    JobFailed,
    NotDead,
    ResultTimeout,
    UnknownJob,
)
from tasks.events import JobFinished, ends_job
from tasks.ids import SYNTHESIS_STEP, new_job_id
from tasks.states import TaskStatus
from tasks.usage import Budget
from tests.doors.conftest import planned
from tests.support.builders import DIAMOND, OUT_OF_LUCK, a_job, a_plan
from tests.support.moves import Moves

TEXT = "Wie viel? «€ 5» 🦊\u2028 \\u0000"


async def ended(troupe: AsyncTroupe, moves: Moves, text: str = "It is so.") -> AsyncJobHandle:
    job = await planned(troupe, moves)
    await moves.succeed(job.id, "one")
    await moves.succeed(job.id, SYNTHESIS_STEP, text)
    return job


async def test_a_job_is_there_as_soon_as_it_was_submitted(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await troupe.submit(
        f"  {TEXT}\n", model="offline", knowledge=["hr", "it"], budget_usd=1.5, budget=Budget(tokens=9_000),
        timeout=77.5, tenant="shop", priority=7, max_in_flight=3, max_steps=4, replan=2, review=True,
    )  # fmt: skip
    spec = (await moves.snapshots.job(job.id)).spec
    assert (spec.task, spec.model, spec.knowledge, spec.tenant) == (TEXT.strip(), "offline", ("hr", "it"), "shop")
    assert (spec.budget_microusd, spec.limits, spec.timeout_ms) == (1_500_000, Budget(tokens=9_000), 77_500)
    assert (spec.priority, spec.max_in_flight, spec.max_steps, spec.replan, spec.review) == (7, 3, 4, 2, True)
    assert await job.status() is TaskStatus.PENDING
    standing = await job.standing()
    assert (standing.job_id, standing.status, standing.paused) == (job.id, TaskStatus.PENDING, False)
    assert (await job.snapshot()).task == TEXT.strip()


async def test_what_is_not_said_is_the_same_at_both_doors(troupe: AsyncTroupe, moves: Moves) -> None:
    spec = (await moves.snapshots.job((await troupe.submit("Find out.")).id)).spec
    usual = a_job("Find out.").model_dump(exclude={"id", "idempotency_key", "traceparent"})
    assert spec.model_dump(exclude={"id", "idempotency_key", "traceparent"}) == usual


async def test_a_given_plan_is_done_as_it_is(troupe: AsyncTroupe) -> None:
    job = await troupe.submit("Find out.", plan=a_plan(DIAMOND))
    assert (await job.task_state()).status is TaskStatus.PENDING
    with pytest.raises(ContractError):
        await troupe.submit("Find out.", plan=a_plan(DIAMOND), priority=10)


async def test_a_key_makes_one_job_of_several_submits(troupe: AsyncTroupe) -> None:
    jobs = await asyncio.gather(*(troupe.submit("Once.", idempotency_key="k 1") for _ in range(5)))
    assert len({job.id for job in jobs}) == 1
    with pytest.raises(IdempotencyConflict):
        await troupe.submit("Something else.", idempotency_key="k 1")
    assert (await troupe.submit("Once.")).id != jobs[0].id


@pytest.mark.parametrize("task", ["", " \n ", "x" * 100_001])
async def test_a_task_that_is_none_is_refused(troupe: AsyncTroupe, task: str) -> None:
    with pytest.raises(InvalidTask, match=r"the task (is empty|has 100,001)"):
        await troupe.submit(task)


async def test_data_files_are_found_by_the_job(troupe: AsyncTroupe, moves: Moves, tmp_path: Path) -> None:
    table = tmp_path / "Sales 2024.csv"
    table.write_text("city,amount\nBonn,5\n")
    job = await troupe.submit("Sum up.", data=[table])
    (ref,) = (await moves.snapshots.job(job.id)).spec.data
    assert (ref.name, ref.columns) == ("sales_2024", ("city", "amount"))
    assert await asyncio.to_thread(Path(ref.path).read_text) == table.read_text()
    with pytest.raises(BadTable):
        await troupe.submit("Sum up.", data=[tmp_path / "none.csv"])


async def test_jobs_are_listed_newest_first(troupe: AsyncTroupe) -> None:
    jobs = [(await troupe.submit(f"Number {at}.")).id for at in range(3)]
    assert {one.job_id for one in await troupe.jobs()} == set(jobs)
    assert len(await troupe.jobs(2)) == 2


async def test_an_outcome_is_waited_for(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await planned(troupe, moves)
    waiting = asyncio.create_task(job.wait(30))
    asking = asyncio.create_task(job.result())
    await moves.succeed(job.id, "one")
    await moves.succeed(job.id, SYNTHESIS_STEP, TEXT)
    assert ((await waiting).answer, (await asking).answer) == (TEXT, TEXT)


async def test_a_wait_ends_in_time(troupe: AsyncTroupe) -> None:
    job = await troupe.submit("Find out.")
    with pytest.raises(ResultTimeout, match=f"job {job.id} is still pending after 0.05 s; it goes on"):
        await job.wait(0.05)
    with pytest.raises(TimeoutError):
        await job.result(0)
    with pytest.raises(ResultTimeout):
        await job.stand(0.05)


async def test_a_job_without_an_answer_raises_its_reason(troupe: AsyncTroupe, moves: Moves) -> None:
    failed, cancelled = await troupe.submit("Find out."), await troupe.submit("Find out.")
    await moves.jobs.end_job(failed.id, TaskStatus.FAILED, OUT_OF_LUCK)
    with pytest.raises(JobFailed, match="bad: no hope"):
        await failed.result(10)
    assert await cancelled.cancel() is TaskStatus.CANCELLED
    assert await cancelled.cancel() is TaskStatus.CANCELLED
    with pytest.raises(JobCancelled):
        await cancelled.result(10)
    assert (await cancelled.wait(10)).status is TaskStatus.CANCELLED


async def test_a_job_is_paused_and_goes_on(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await planned(troupe, moves)
    await job.pause()
    assert (await job.stand(10)).paused
    assert (await job.task_state()).paused
    await job.resume()
    assert not (await job.standing()).paused


async def test_a_job_that_stands_is_let_go_on(troupe: AsyncTroupe) -> None:
    job = await troupe.submit("Find out.", max_steps=1)
    assert await job.advance(2) is TaskStatus.PENDING
    assert await job.advance() is TaskStatus.PENDING
    with pytest.raises(ContractError, match="steps: 0 are none to go on with"):
        await job.advance(0)


async def test_events_come_in_order_each_once_until_the_last(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await planned(troupe, moves)

    async def read() -> list[int]:
        return [event.seq async for event in job.events()]

    reading = asyncio.create_task(read())
    await moves.succeed(job.id, "one")
    await moves.succeed(job.id, SYNTHESIS_STEP)
    seen = await asyncio.wait_for(reading, 20)
    assert seen == list(range(1, len(seen) + 1))
    rest = [event async for event in job.events(since=3)]
    assert [event.seq for event in rest] == seen[3:]
    assert isinstance(rest[-1], JobFinished)
    assert ends_job(rest[-1])
    assert [event async for event in job.events(since=seen[-1])] == []


@pytest.mark.parametrize("since", [-1, 1_000])
async def test_events_after_one_that_is_not_there_are_refused(troupe: AsyncTroupe, since: int) -> None:
    job = await troupe.submit("Find out.")
    with pytest.raises(ContractError, match=f"since: {since}"):
        await anext(aiter(job.events(since)))


async def test_what_a_job_did_and_consumed_is_told(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await ended(troupe, moves)
    assert (await job.ledger()).total == (await job.snapshot()).usage
    trace = await job.trace()
    assert trace.job_id == job.id
    board = await job.board()
    assert board.messages == ()


async def test_a_fork_is_a_job_of_its_own(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await ended(troupe, moves)
    edit: dict[str, JsonValue] = {"steps": {"one": {"description": "Do it otherwise."}}}
    fork = await job.fork("one", edit=edit, timeout=60, budget_usd=2.0, idempotency_key="f")
    assert (await job.fork("one", edit=edit, timeout=60, budget_usd=2.0, idempotency_key="f")).id == fork.id
    outcome = await fork.snapshot()
    assert outcome.forked_from is not None
    assert (outcome.forked_from.job_id, outcome.forked_from.step) == (job.id, "one")
    assert (await troupe.diff(job.id, fork.id)).differs
    with pytest.raises(ContractError, match="has no step 'nine' to fork from"):
        await job.fork("nine")
    with pytest.raises(ContractError, match="edit: "):
        await job.fork("one", edit={"nonsense": 1})


async def test_what_failed_is_tried_again(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await planned(troupe, moves)
    await moves.fail(job.id, "one")
    assert await job.retry() == ("one",)
    with pytest.raises(NotDead):
        await job.retry()


async def test_a_job_is_recorded_and_replayed(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await ended(troupe, moves, TEXT)
    recording = await job.record()
    assert recording.result.answer == TEXT
    replay = await troupe.replay(recording, timeout=60, idempotency_key="replayed")
    assert (await troupe.replay(recording, timeout=60, idempotency_key="replayed")).id == replay.id
    assert (await moves.snapshots.job(replay.id)).spec.replay
    with pytest.raises(BadRecording, match="it can be recorded when it has ended"):
        await replay.record()


async def _events(job: AsyncJobHandle) -> object:
    return await anext(aiter(job.events()))


CALLS: list[Callable[[AsyncJobHandle], Awaitable[object]]] = [
    AsyncJobHandle.status, AsyncJobHandle.standing, AsyncJobHandle.snapshot, AsyncJobHandle.wait,
    AsyncJobHandle.result, AsyncJobHandle.ledger, AsyncJobHandle.trace, AsyncJobHandle.board, AsyncJobHandle.record,
    AsyncJobHandle.advance, AsyncJobHandle.stand, AsyncJobHandle.task_state, AsyncJobHandle.pause,
    AsyncJobHandle.resume, AsyncJobHandle.cancel, AsyncJobHandle.retry, _events,
]  # fmt: skip


async def test_a_job_that_was_never_submitted_is_unknown(troupe: AsyncTroupe) -> None:
    job = troupe.job(new_job_id(0))
    known: list[str] = []
    for call in CALLS:
        bound = getattr(job, call.__name__, None)
        try:
            await (bound() if bound is not None else call(job))
        except UnknownJob:
            continue
        known.append(call.__name__)
    assert known == []
    with pytest.raises(UnknownJob):
        await job.fork("one")


async def test_what_is_no_id_is_refused_without_asking(troupe: AsyncTroupe) -> None:
    with pytest.raises(InvalidId):
        troupe.job("../../v1/keys")
    with pytest.raises(InvalidId):
        await troupe.diff("nonsense", new_job_id(0))
    with pytest.raises(UnknownJob):
        await troupe.diff(new_job_id(0), new_job_id(0))
