"""Jobs of a session: message and answer are written with the moves of their job; one runs at a time."""

from typing import Any

import pytest

from tasks.errors import FleetFull, SessionBusy
from tasks.ids import PLAN_STEP, SYNTHESIS_STEP, AttemptRef, JobId, StepId, new_job_id, session_id
from tasks.models import JobSpec, StepResult
from tasks.sessions import Message, Policy
from tasks.states import StepStatus, TaskStatus
from tasks.store import Notice, SessionStore, Store, Turn
from tests.support.builders import COST, OUT_OF_LUCK, a_graph, a_job, a_plan, a_planning_step
from tests.support.moves import Moves

TALK = session_id("talk.0", 1)


@pytest.fixture
def sessions(store: Store) -> SessionStore:
    return SessionStore(store)


def asked(text: str, **fields: Any) -> JobSpec:
    return a_job(text, session=TALK, **fields)


async def send(moves: Moves, text: str, policy: Policy = Policy.QUEUE, **fields: Any) -> JobId:
    spec = asked(text, **fields)
    first = None if spec.plan is not None else a_planning_step()
    return await moves.jobs.submit(spec, first, Turn.of(text, policy))


def answer_message(text: str) -> Message:
    return Message.model_validate({"role": "assistant", "content": text, "metadata": {"model": "offline"}})


async def answer(moves: Moves, job: JobId, text: str) -> None:
    """Let a job whose turn it is come to its end."""
    ref = await moves.running(job, PLAN_STEP)
    assert await moves.attempts.succeed(ref, StepResult(text="plan"), COST) is None
    assert await moves.extend(job, a_graph({"one": ()}))
    await moves.succeed(job, "one")
    ref = await moves.running(job, SYNTHESIS_STEP)
    assert await moves.attempts.succeed(ref, StepResult(text=text), COST, said=answer_message(text)) is None


async def talk(sessions: SessionStore) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in (await sessions.get_or_create(TALK)).messages]


async def test_message_and_answer_are_there_once_with_their_job(moves: Moves, sessions: SessionStore) -> None:
    job = await send(moves, "What is it?")
    state = await sessions.get_or_create(TALK)
    assert (state.status, state.running, [one.text for one in state.messages]) == (
        TaskStatus.IN_PROGRESS, job, ["What is it?"],
    )  # fmt: skip
    await answer(moves, job, "It is so.")
    state = await sessions.get_or_create(TALK)
    assert [(one.role, one.text, one.job) for one in state.messages] == [
        ("user", "What is it?", job), ("assistant", "It is so.", job),
    ]  # fmt: skip
    assert (state.status, state.running, state.waiting) == (TaskStatus.COMPLETED, None, ())
    assert state.messages[1].metadata == {"model": "offline"}


async def test_a_submit_that_is_repeated_says_it_once(moves: Moves, sessions: SessionStore) -> None:
    spec = asked("Once.", idempotency_key="k")
    first = await moves.jobs.submit(spec, a_planning_step(), Turn.of("Once.", Policy.QUEUE))
    again = spec.model_copy(update={"id": new_job_id(0)})
    for one in (spec, again):
        assert await moves.jobs.submit(one, a_planning_step(), Turn.of("Once.", Policy.QUEUE)) == first
    assert await talk(sessions) == [("user", "Once.")]


async def test_an_answer_that_is_settled_twice_is_said_once(moves: Moves, sessions: SessionStore) -> None:
    job = await send(moves, "Why?")
    await answer(moves, job, "So.")
    ref = AttemptRef(job, SYNTHESIS_STEP, 1)
    assert await moves.attempts.succeed(ref, StepResult(text="So."), COST, said=answer_message("So.")) is not None
    assert await talk(sessions) == [("user", "Why?"), ("assistant", "So.")]


async def test_an_attempt_that_was_lost_says_nothing(moves: Moves, sessions: SessionStore) -> None:
    job = await send(moves, "Why?")
    await moves.running(job, PLAN_STEP)
    ref = AttemptRef(job, PLAN_STEP, 1)
    await moves.make_due(job, PLAN_STEP)
    await moves.jobs.sweep(0)
    assert await moves.attempts.succeed(ref, StepResult(text="late"), COST, said=answer_message("late")) is not None
    assert await talk(sessions) == [("user", "Why?")]


async def test_rejected_changes_nothing_and_names_the_job(moves: Moves, sessions: SessionStore) -> None:
    first = await send(moves, "First.")
    before = await sessions.load(TALK)
    with pytest.raises(SessionBusy) as refused:
        await send(moves, "Second.", Policy.REJECT)
    assert refused.value.job == first
    assert await sessions.load(TALK) == before
    assert [one.job_id for one in await moves.snapshots.jobs(10)] == [first]
    await answer(moves, first, "A.")
    await send(moves, "Second.", Policy.REJECT)


async def test_a_queued_one_begins_when_the_one_before_has_ended(moves: Moves, sessions: SessionStore) -> None:
    first, second, third = [await send(moves, text) for text in ("One?", "Two?", "Three?")]
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(first, PLAN_STEP, 1)]
    assert await moves.status(second, PLAN_STEP) is StepStatus.BLOCKED
    assert (await sessions.get_or_create(TALK)).waiting == (second, third)
    await answer(moves, first, "1.")
    assert (await moves.asked_for(Notice.STEP_READY))[-1] == AttemptRef(second, PLAN_STEP, 1)
    state = await sessions.get_or_create(TALK)
    assert (state.running, state.waiting, state.status) == (second, (third,), TaskStatus.IN_PROGRESS)
    await answer(moves, second, "2.")
    await answer(moves, third, "3.")
    assert [text for _, text in await talk(sessions)] == ["One?", "Two?", "Three?", "1.", "2.", "3."]


async def test_a_queued_one_with_a_plan_proposes_it_in_its_turn(moves: Moves) -> None:
    first = await send(moves, "One?")
    second = await send(moves, "Two?", plan=a_plan())
    assert await moves.asked_for(Notice.PLAN_PROPOSED) == []
    await moves.jobs.end_job(first, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert await moves.asked_for(Notice.PLAN_PROPOSED) == [AttemptRef(second, StepId(""), 0)]


@pytest.mark.parametrize("how", ["cancelled", "deadline", "failed"])
async def test_however_the_one_before_ends_the_next_begins(moves: Moves, sessions: SessionStore, how: str) -> None:
    first, second = await send(moves, "One?"), await send(moves, "Two?")
    if how == "cancelled":
        await moves.jobs.end_job(first, TaskStatus.CANCELLED, OUT_OF_LUCK)
    elif how == "deadline":
        await moves.make_due(first)
        await moves.jobs.sweep(0)
    else:
        await moves.fail(first, PLAN_STEP)
    assert await moves.status(second, PLAN_STEP) is StepStatus.READY
    role, text = (await talk(sessions))[-1]
    assert role == "system"
    assert text.startswith("This request was cancelled." if how == "cancelled" else "This request failed: ")


async def test_one_that_is_cancelled_while_it_waits_leaves_the_line(moves: Moves, sessions: SessionStore) -> None:
    first, second, third = [await send(moves, text) for text in ("One?", "Two?", "Three?")]
    await moves.jobs.end_job(second, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert (await sessions.get_or_create(TALK)).waiting == (third,)
    await answer(moves, first, "1.")
    assert (await sessions.get_or_create(TALK)).running == third


async def test_an_interrupt_cancels_what_is_open_and_keeps_what_was_said(moves: Moves, sessions: SessionStore) -> None:
    first, second = await send(moves, "One?"), await send(moves, "Two?")
    third = await send(moves, "Three!", Policy.INTERRUPT)
    for job in (first, second):
        record = await moves.snapshots.job(job)
        assert (record.status, record.failure and record.failure.code) == (TaskStatus.CANCELLED, "interrupted")
    state = await sessions.get_or_create(TALK)
    assert (state.running, state.waiting) == (third, ())
    assert [(one.role, one.job) for one in state.messages] == [
        ("user", first), ("user", second), ("system", first), ("system", second), ("user", third),
    ]  # fmt: skip
    await answer(moves, third, "3.")


async def test_a_rollback_takes_back_what_was_said(moves: Moves, sessions: SessionStore) -> None:
    await answer(moves, await send(moves, "Zero?"), "0.")
    first, second = await send(moves, "One?"), await send(moves, "Two?")
    third = await send(moves, "Three!", Policy.ROLLBACK)
    assert [await moves.field(job, "status") for job in (first, second)] == ["cancelled", "cancelled"]
    await answer(moves, third, "3.")
    assert [text for _, text in await talk(sessions)] == ["Zero?", "0.", "Three!", "3."]


async def test_an_interrupt_of_a_full_fleet_leaves_the_running_one_alone(moves_with: Any) -> None:
    moves = moves_with(max_open_jobs=1)
    first = await send(moves, "One?")
    with pytest.raises(FleetFull):
        await send(moves, "Two!", Policy.INTERRUPT)
    assert await moves.field(first, "status") == "pending"
    assert await talk(SessionStore(moves.store)) == [("user", "One?")]


async def test_a_line_has_its_bound(moves_with: Any) -> None:
    moves = moves_with(session_line_max=2)
    first = await send(moves, "1")
    await send(moves, "2")
    await send(moves, "3")
    with pytest.raises(SessionBusy) as refused:
        await send(moves, "4")
    assert refused.value.job == first


async def test_a_job_that_is_gone_holds_nobody_up(moves: Moves, sessions: SessionStore) -> None:
    """Its keys were lost, or a release that knows no sessions has ended it."""
    first, second = await send(moves, "One?"), await send(moves, "Two?")
    key = moves.store.keys.job(first)
    await moves.redis.delete(key, f"{key}:steps", f"{key}:specs", f"{key}:events")
    third = await send(moves, "Three?")
    state = await sessions.get_or_create(TALK)
    assert (state.running, state.waiting) == (second, (third,))
    assert await moves.status(second, PLAN_STEP) is StepStatus.READY


async def test_a_turn_is_not_given_to_a_job_that_is_gone(moves: Moves, sessions: SessionStore) -> None:
    first, second, third = [await send(moves, text) for text in ("One?", "Two?", "Three?")]
    key = moves.store.keys.job(second)
    await moves.redis.delete(key, f"{key}:steps", f"{key}:specs", f"{key}:events")
    await answer(moves, first, "1.")
    state = await sessions.get_or_create(TALK)
    assert (state.running, state.waiting) == (third, ())
    assert await moves.status(third, PLAN_STEP) is StepStatus.READY


async def test_a_reopened_job_says_its_answer_in_place_of_its_failure(moves: Moves, sessions: SessionStore) -> None:
    job = await send(moves, "Why?")
    await moves.fail(job, PLAN_STEP)
    assert [role for role, _ in await talk(sessions)] == ["user", "system"]
    await moves.reopen(job, PLAN_STEP)
    with pytest.raises(SessionBusy):
        await send(moves, "Now?", Policy.REJECT)
    ref = AttemptRef(job, PLAN_STEP, 3)
    await moves.jobs.dispatch(0, [ref])
    await moves.claim(ref)
    await moves.attempts.succeed(ref, StepResult(text="plan"), COST)
    assert await moves.extend(job, a_graph({"one": ()}))
    await moves.succeed(job, "one")
    last = await moves.running(job, SYNTHESIS_STEP)
    assert await moves.attempts.succeed(last, StepResult(text="So."), COST, said=answer_message("So.")) is None
    assert await talk(sessions) == [("user", "Why?"), ("assistant", "So.")]
    assert (await sessions.get_or_create(TALK)).running is None


async def test_a_deleted_session_takes_its_open_jobs_along(moves: Moves, sessions: SessionStore) -> None:
    first, second = await send(moves, "One?"), await send(moves, "Two?")
    assert await sessions.delete(TALK) is True
    for job in (first, second):
        record = await moves.snapshots.job(job)
        assert (record.status, record.failure and record.failure.code) == (TaskStatus.CANCELLED, "session_deleted")
    assert await sessions.load(TALK) is None


async def test_a_session_is_kept_as_long_as_its_jobs_are_open(moves_with: Any) -> None:
    moves = moves_with(session_ttl_s=10)
    job = await send(moves, "Why?", timeout_ms=3_600_000)
    key = moves.store.keys.session(TALK)
    for part in ("", ":messages"):
        assert await moves.redis.pttl(key + part) > 3_600_000
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    for part in ("", ":messages"):
        assert await moves.redis.pttl(key + part) <= 10_000


async def test_a_message_of_somebody_else_does_not_disturb_a_turn(moves: Moves, sessions: SessionStore) -> None:
    job = await send(moves, "Why?")
    await sessions.append_message(TALK, "system", "The shop closes at six.")
    await answer(moves, job, "So.")
    assert [role for role, _ in await talk(sessions)] == ["user", "system", "assistant"]
