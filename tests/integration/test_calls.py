"""Calls kept for a job's trace: written with what they cost, once, and gone with the job."""

import json

import pytest

from tasks.ids import AttemptRef
from tasks.states import TaskStatus
from tasks.store import Estimate, JournalEntry, Scope
from tasks.store.calls import CallStore
from tasks.trace import SPAN, UNANSWERED, CallRecord, SpanKind
from tasks.usage import Budget, Usage
from tests.support.builders import OUT_OF_LUCK
from tests.support.moves import Moves

LEAF = "worker claude-sonnet-5-5"
CALL = Estimate(cost_microusd=30, tokens=100, requests=1)
PAID = Usage(input_tokens=80, output_tokens=9, requests=1, cost_microusd=20)
JOB = Scope("job", Budget(cost_microusd=10_000_000))


def record(name: str = "m1", **fields: object) -> str:
    return json.dumps({"kind": "model_call", "name": "claude", "id": name, "duration_ms": 12.5, **fields})


@pytest.fixture
async def ref(moves: Moves) -> AttemptRef:
    """A running attempt."""
    return await moves.running(await moves.planned({"a": ()}), "a")


async def kept(moves: Moves, ref: AttemptRef) -> list[CallRecord]:
    return list((await CallStore(moves.store).read(ref.job)).calls)


async def test_a_call_is_kept_with_what_it_cost(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    said = record(input="Why?", output="So.", usage=PAID.model_dump(exclude_defaults=True))
    await moves.accounts.book(ref, "m1", LEAF, PAID, JournalEntry("m1", "{}"), record=said)
    (call,) = await kept(moves, ref)
    assert (call.step, call.attempt, call.kind, call.id) == ("a", 1, SpanKind.MODEL_CALL, "m1")
    assert (call.usage, call.input, call.output, call.duration_ms) == (PAID, "Why?", "So.", 12.5)


async def test_a_call_that_is_booked_twice_is_kept_once(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    for _ in range(3):
        await moves.accounts.book(ref, "m1", LEAF, PAID, JournalEntry("m1", "{}"), record=record())
        await moves.accounts.book(
            ref, "", LEAF, Usage(tool_calls=1), JournalEntry("t1:0", "{}"), [JOB], record=record("t1")
        )
    assert [call.id for call in await kept(moves, ref)] == ["m1", "t1"]


async def test_a_call_that_came_to_nothing_is_kept_once(moves: Moves, ref: AttemptRef) -> None:
    for call in ("m1", "m2"):
        await moves.accounts.reserve(ref, call, CALL, [JOB])
    for _ in range(2):
        await moves.accounts.free(ref, "m1", record=record(code="model_unavailable", error="busy"))
        await moves.accounts.free(ref, "m2", unknown=True, record=record("m2", code=UNANSWERED))
    assert [(call.id, call.code) for call in await kept(moves, ref)] == [
        ("m1", "model_unavailable"),
        ("m2", UNANSWERED),
    ]


async def test_calls_of_a_killed_worker_are_unanswered(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await moves.accounts.reserve(ref, "t1", Estimate(tool_calls=2), [JOB])
    await moves.lost(ref.job, ref.step)
    (call,) = await kept(moves, ref)
    assert (call.id, call.code, call.duration_ms, call.attempt) == ("m1", UNANSWERED, None, 1)


async def test_an_answer_that_comes_after_all_is_kept_too(moves: Moves, ref: AttemptRef) -> None:
    await moves.accounts.reserve(ref, "m1", CALL, [JOB])
    await moves.lost(ref.job, ref.step)
    await moves.accounts.book(ref, "m1", LEAF, PAID, JournalEntry("m1", "{}"), record=record())
    assert [call.code for call in await kept(moves, ref)] == [UNANSWERED, None]


async def test_an_attempts_own_span_is_kept_and_is_no_event(moves: Moves, ref: AttemptRef) -> None:
    before = await moves.kinds(ref.job)
    await moves.attempts.report(ref, [(SPAN, record("s1", kind="custom"))])
    assert [call.kind for call in await kept(moves, ref)] == [SpanKind.CUSTOM]
    assert await moves.kinds(ref.job) == before


async def test_a_stale_attempt_adds_no_span(moves: Moves, ref: AttemptRef) -> None:
    await moves.lost(ref.job, ref.step)
    await moves.attempts.report(ref, [(SPAN, record("s1", kind="custom"))])
    assert await kept(moves, ref) == []


async def test_of_too_many_calls_the_oldest_go_and_it_is_said_how_many(moves: Moves, ref: AttemptRef) -> None:
    for batch in range(12):
        await moves.attempts.report(ref, [(SPAN, record(f"s{batch}-{at}")) for at in range(500)])
    calls = await CallStore(moves.store).read(ref.job)
    assert 3000 <= len(calls.calls) <= 3200
    assert calls.cut == 6000 - len(calls.calls)
    assert calls.calls[-1].id == "s11-499"


async def test_calls_end_with_their_job(moves: Moves, ref: AttemptRef) -> None:
    await moves.attempts.report(ref, [(SPAN, record("s1"))])
    key = moves.store.keys.trace(ref.job)
    assert await moves.redis.pexpiretime(key) == await moves.redis.pexpiretime(moves.store.keys.job(ref.job))
    await moves.jobs.end_job(ref.job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert 0 < await moves.redis.pttl(key) <= moves.store.settings.retention_s * 1000


async def test_a_job_without_calls_has_none(moves: Moves) -> None:
    assert (await CallStore(moves.store).read(await moves.submitted())).calls == ()


async def test_a_call_that_cannot_be_read_does_not_hide_the_others(
    moves: Moves, ref: AttemptRef, caplog: pytest.LogCaptureFixture
) -> None:
    await moves.attempts.report(ref, [(SPAN, record("s1")), (SPAN, "no json"), (SPAN, record("s2"))])
    assert [call.id for call in await kept(moves, ref)] == ["s1", "s2"]
    assert f"call 2-0 of job {ref.job} is damaged" in caplog.text
