"""A step that would be given up goes to its fallback agent: the move, and the decisions that lead to it."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.events import StepFellBack
from tasks.ids import AttemptRef, JobId, StepId
from tasks.models import AgentDefinition, Failure, Plan, PlannedStep, RetryPolicy
from tasks.states import StepStatus, TaskStatus
from tasks.store import Made, Notice, Refusal
from tests.support.builders import (
    BAD,
    COST,
    OUT_OF_LUCK,
    PARTITION,
    RESULT,
    WORKER,
    a_graph,
    a_job,
    a_step,
    a_worker,
)
from tests.support.deciding import Deciding
from tests.support.moves import Moves
from tests.support.waiting import wait_until

PAIR = {"a": (), "b": ()}
HEIR = a_step("a", agent="heir", queue="heir")
WHY = '{"agent":"worker","fallback":"heir","failure":{"code":"bad","message":"x"}}'
CHAIN = Plan(steps=[PlannedStep(id="one", description="Do it.", agent="search", fallback="analysis")])


async def load(moves: Moves) -> dict[str, int]:
    """The counters of slots, without those that are back at none."""
    found = await moves.redis.hgetall(f"{moves.store.keys.jobs(PARTITION)}load")
    return {name: int(value) for name, value in found.items() if name[:2] in {"F:", "N:", "T:"} and int(value)}


@pytest.fixture
def deciding(moves: Moves) -> Deciding:
    return Deciding(moves)


async def submitted(deciding: Deciding, plan: Plan = CHAIN, **fields: Any) -> AttemptRef:
    job = await deciding.submitted(a_job(plan=plan, **fields))
    return AttemptRef(job, StepId("one"), 1)


async def fails(deciding: Deciding, ref: AttemptRef, failure: Failure = OUT_OF_LUCK) -> None:
    assert await deciding.moves.claim(ref) is not None
    assert await deciding.moves.attempts.fail(ref, failure, COST) is None
    await deciding.turn()


async def agent_of(moves: Moves, job: JobId) -> tuple[str, str]:
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    return record.step.agent, record.step.queue


async def test_a_step_that_is_taken_over_is_ready_with_fresh_counts_and_a_number_left_out(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    ref = await moves.faltered(job, "a")
    assert await moves.jobs.fall_back(ref, HEIR, WHY) is Made.DONE
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.status, record.attempt, record.left_out) == (StepStatus.READY, 2, 1)
    assert (record.failures, record.step.agent, record.step.queue) == (0, "heir", "heir")
    fell = [event for event in await moves.told(job) if isinstance(event, StepFellBack)]
    assert [(one.attempt, one.agent, one.fallback) for one in fell] == [(1, "worker", "heir")]
    assert (await moves.asked_for(Notice.STEP_READY))[-1] == ref._replace(attempt=3)


async def test_what_is_on_its_way_to_the_old_agent_is_stale(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    ref = await moves.dispatched(job, "a")
    assert await moves.jobs.fall_back(ref, HEIR, WHY) is Made.DONE
    before = await moves.everything(job)
    assert await moves.claim(ref) is None
    assert await moves.attempts.succeed(ref, RESULT, COST) is Refusal.SUPERSEDED
    assert await moves.jobs.fall_back(ref, HEIR, WHY) is Made.STALE
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK) is False
    assert await moves.jobs.dispatch(PARTITION, [ref, ref._replace(attempt=2)]) == [None, None]
    assert await moves.everything(job) == before
    assert await moves.claim(await moves.dispatched(job, "a", 3)) is not None


async def test_slots_go_from_the_old_queue_to_the_new_one(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    ref = await moves.dispatched(job, "a")
    assert await load(moves) == {"F:worker": 2, "T:default": 2}
    assert await moves.jobs.fall_back(ref, HEIR, WHY) is Made.DONE
    assert await load(moves) == {"F:worker": 1, "F:heir": 1, "T:default": 2}


async def test_a_step_that_waits_leaves_the_line_of_the_old_queue(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"worker": 1})
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(PAIR))
    assert await load(moves) == {"F:worker": 1, "N:worker": 1, "T:default": 1}
    waiting = AttemptRef(job, StepId("b"), 0)
    heir = a_step("b", agent="heir", queue="heir")
    assert await moves.jobs.fall_back(waiting, heir, WHY, seen=StepStatus.READY) is Made.DONE
    assert await load(moves) == {"F:worker": 1, "F:heir": 1, "T:default": 2}
    base = moves.store.keys.jobs(PARTITION)
    assert await moves.redis.exists(f"{base}worker:line", f"{base}{job}:wait:worker") == 0


async def test_one_that_is_given_up_while_it_waits_leaves_the_line(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"worker": 1})
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(PAIR))
    assert await moves.jobs.give_up(AttemptRef(job, StepId("b"), 0), OUT_OF_LUCK)
    assert await load(moves) == {"F:worker": 1, "T:default": 1}


async def test_a_decision_that_was_overtaken_by_a_claim_is_stale(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    ref = await moves.faltered(job, "a")
    assert await moves.jobs.fall_back(ref, HEIR, WHY, seen=StepStatus.DISPATCHED) is Made.STALE
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK, seen=StepStatus.DISPATCHED) is False
    assert await moves.status(job, "a") is StepStatus.DELAYED


async def test_a_step_whose_time_is_over_is_not_taken_over(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    ref = await moves.faltered(job, "a")
    await moves.redis.hset(moves.store.keys.job(job), "deadline", 1)
    assert await moves.jobs.fall_back(ref, HEIR, WHY) is Made.OVER
    assert await moves.status(job, "a") is StepStatus.DELAYED


async def test_a_failed_step_goes_to_its_fallback_and_the_job_completes(deciding: Deciding) -> None:
    ref = await submitted(deciding)
    await fails(deciding, ref)
    sent = deciding.publisher.sent[-1]
    assert (sent.agent, sent.queue, sent.message.attempt) == ("analysis", "analysis", 3)
    await deciding.settle(ref._replace(attempt=3))
    await deciding.settle(AttemptRef(ref.job, StepId("synthesis"), 1))
    assert (await deciding.moves.snapshots.status(ref.job))[0] is TaskStatus.COMPLETED
    assert await agent_of(deciding.moves, ref.job) == ("analysis", "analysis")


async def test_a_chain_of_fallbacks_is_gone_through_to_its_end(deciding: Deciding) -> None:
    """search → finance (own) → quotes, as finance itself says; then the step is given up."""
    finance = AgentDefinition(name="finance", description="x", queue="money", fallback="quotes")
    worker = a_worker().model_copy(update={"agents": (finance,), "queues": ("money",)})
    await deciding.moves.fleet.announce(worker)
    ref = await submitted(deciding, Plan(steps=[CHAIN.steps[0].model_copy(update={"fallback": "finance"})]))
    for attempt, agent in ((1, ("search", "search")), (3, ("finance", "money")), (5, ("quotes", "quotes"))):
        assert await agent_of(deciding.moves, ref.job) == agent
        await fails(deciding, ref._replace(attempt=attempt))
    assert await deciding.moves.status(ref.job, "one") is StepStatus.FAILED


async def test_a_fallback_has_its_own_tries(deciding: Deciding) -> None:
    ref = await submitted(deciding)
    for attempt in (1, 2, 3):
        await fails(deciding, ref._replace(attempt=attempt), BAD.model_copy(update={"retry_after_ms": 0}))
        if await deciding.moves.status(ref.job, "one") is StepStatus.DELAYED:
            await deciding.moves.make_due(ref.job, "one")
            await deciding.sweep()
    record = await deciding.moves.snapshots.step(ref.job, "one")
    assert record is not None
    assert (record.step.agent, record.failures, record.attempt) == ("analysis", 0, 5)


async def test_poison_goes_to_the_fallback_too(moves: Moves) -> None:
    deciding = Deciding(moves)
    policy = RetryPolicy(max_losses=1)
    ref = await submitted(deciding, Plan(steps=[CHAIN.steps[0].model_copy(update={"retry": policy})]))
    assert await moves.claim(ref) is not None
    await moves.make_due(ref.job, "one")
    await deciding.sweep()
    record = await moves.snapshots.step(ref.job, "one")
    assert record is not None
    assert (record.step.agent, record.losses) == ("analysis", 0)


async def test_a_queue_without_a_worker_hands_over(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(republish_s=0.01)
    deciding = Deciding(moves, no_worker_s=0.02)
    ref = await submitted(deciding)

    async def taken_over() -> bool:
        await deciding.sweep()
        return await agent_of(moves, ref.job) == ("analysis", "analysis")

    await wait_until(taken_over)


async def test_a_decision_made_twice_hands_over_once(deciding: Deciding, moves: Moves) -> None:
    ref = await submitted(deciding, Plan(steps=[CHAIN.steps[0].model_copy(update={"fallback": "summary"})]))
    assert await moves.claim(ref) is not None
    assert await moves.attempts.fail(ref, OUT_OF_LUCK, COST) is None
    entries = await moves.entries()
    await deciding.actor.act(PARTITION, [*entries, *entries])
    await deciding.turn()
    assert (await moves.kinds(ref.job)).count("step_fell_back") == 1
    assert await moves.attempts.claim(ref._replace(attempt=3), WORKER) is not None
