"""Large requests and results in the store: kept apart, handed on whole, gone with their job."""

import pytest

from tasks.errors import PayloadTooLarge
from tasks.ids import StepId
from tasks.models import Plan, PlannedStep, Source, StepResult
from tasks.states import StepStatus, TaskStatus
from tasks.store import Store
from tasks.store.attempts import MAX_SOURCES
from tasks.store.payload import MAX_BYTES, PACK_ABOVE
from tests.support.builders import COST, a_job, a_planning_step
from tests.support.moves import Moves

LONG = "A finding in many words. " * 6_000
TASK = "Tell me about every one of these. " * 2_500


async def test_a_large_result_is_kept_apart_and_handed_on_whole(moves: Moves) -> None:
    job = await moves.planned({"one": [], "two": ["one"]})
    await moves.succeed(job, "one", LONG)
    key = moves.store.keys.job(job)
    assert len(await moves.redis.hget(f"{key}:results", "r:one")) < 20
    assert await moves.redis.hstrlen(f"{key}:big", "r:one") < len(LONG) // 10
    claim = await moves.claim(await moves.dispatched(job, "two"))
    assert claim is not None
    (given,) = claim.inputs
    assert given.result is not None
    assert given.result.text == LONG
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    assert record.result == given.result
    whole = await moves.snapshots.job(job)
    assert [step.result for step in whole.steps if step.step.id == "one"] == [given.result]


async def test_a_small_result_is_not_kept_apart(moves: Moves) -> None:
    job = await moves.planned({"one": []})
    await moves.succeed(job, "one")
    assert not await moves.redis.exists(f"{moves.store.keys.job(job)}:big")


async def test_what_is_kept_apart_goes_with_its_job(moves: Moves) -> None:
    job = await moves.planned({"one": []})
    await moves.succeed(job, "one", LONG)
    key = moves.store.keys.job(job)
    open_ms = await moves.redis.pttl(f"{key}:big")
    assert abs(open_ms - await moves.redis.pttl(key)) < 1000
    await moves.succeed(job, "synthesis")
    assert abs(await moves.redis.pttl(f"{key}:big") - await moves.redis.pttl(key)) < 1000


async def test_a_stale_attempt_leaves_nothing_large_behind(moves: Moves) -> None:
    job = await moves.planned({"one": []})
    ref = await moves.running(job, "one")
    await moves.attempts.hand_back(ref, "stopping", COST)
    assert await moves.attempts.succeed(ref, StepResult(text=LONG), COST) is not None
    assert not await moves.redis.exists(f"{moves.store.keys.job(job)}:big")


async def test_a_result_over_the_cap_is_refused_and_changes_nothing(moves: Moves) -> None:
    job = await moves.planned({"one": []})
    ref = await moves.running(job, "one")
    with pytest.raises(PayloadTooLarge, match="the result has"):
        await moves.attempts.succeed(ref, StepResult(text="", data="x" * MAX_BYTES), COST)
    assert await moves.status(job, "one") is StepStatus.RUNNING


async def test_a_large_request_is_kept_apart_and_claimed_whole(moves: Moves) -> None:
    assert len(TASK) > PACK_ABOVE
    job = await moves.jobs.submit(a_job(task=TASK.strip()), a_planning_step())
    claim = await moves.claim(await moves.dispatched(job, "plan"))
    assert claim is not None
    assert claim.job.task == TASK.strip()
    assert (await moves.snapshots.job(job)).spec.task == TASK.strip()
    (line,) = await moves.snapshots.jobs(10)
    assert line.status is TaskStatus.PENDING
    assert TASK.startswith(line.task)
    assert len(line.task) == 500


async def test_a_large_plan_is_kept_apart_until_it_is_accepted(moves: Moves) -> None:
    steps = [PlannedStep(id=f"s{at}", description="Look it up. " * 20, agent="search") for at in range(400)]
    job = await moves.jobs.submit(a_job(plan=Plan(steps=steps)), None)
    assert (await moves.snapshots.job(job)).spec.plan == Plan(steps=steps)
    key = f"{moves.store.keys.job(job)}:big"
    assert await moves.redis.hkeys(key) == ["plan"]
    await moves.jobs.extend(job, 0, [], status=TaskStatus.IN_PROGRESS, event="plan_accepted", data='{"steps":[]}')
    assert not await moves.redis.exists(key)


async def test_a_request_over_the_cap_is_refused_and_leaves_nothing(moves: Moves, store: Store) -> None:
    steps = [PlannedStep(id=StepId(f"s{at}"), description="x" * 20_000, agent="search") for at in range(300)]
    with pytest.raises(PayloadTooLarge, match="the plan has"):
        await moves.jobs.submit(a_job(plan=Plan(steps=steps)), None)
    assert await moves.snapshots.jobs(10) == []


async def test_a_result_of_too_many_sources_is_refused_and_changes_nothing(moves: Moves) -> None:
    job = await moves.planned({"one": []})
    ref = await moves.running(job, "one")
    sources = tuple(Source(id=f"s{at}", title="t", path="/p") for at in range(MAX_SOURCES + 1))
    with pytest.raises(PayloadTooLarge, match="1,001 sources; at most 1,000"):
        await moves.attempts.succeed(ref, StepResult(text="", sources=sources), COST)
    assert await moves.status(job, "one") is StepStatus.RUNNING
    assert await moves.attempts.succeed(ref, StepResult(text="", sources=sources[1:]), COST) is None
