"""An attempt from its dispatch to its end."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tasks.events import StepFaltered, StepRetrying, StepStarted, StepSucceeded
from tasks.ids import AttemptRef, StepId, WorkerName, new_job_id
from tasks.models import AttemptOutcome, Failure, StepResult
from tasks.states import StepStatus, TaskStatus
from tasks.store import Made, Notice, Refusal
from tasks.store.attempts import HANDED_BACK
from tasks.store.jobs import LOST, SWEEP_BATCH
from tests.support.builders import BAD, COST, DIAMOND, OUT_OF_LUCK, RESULT, WORKER
from tests.support.moves import Moves
from tests.support.waiting import wait_until


def the_next(ref: AttemptRef) -> AttemptRef:
    return ref._replace(attempt=ref.attempt + 1)


async def test_a_dispatched_step_has_its_attempt_number_and_a_timer(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = AttemptRef(job, StepId("a"), 1)
    (step,) = await moves.jobs.dispatch(0, [ref])
    assert step is not None
    assert (step.id, step.description) == ("a", "Do a.")
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.status, record.attempt) == (StepStatus.DISPATCHED, 1)
    assert f"{job}:a" in await moves.timers()


async def test_an_entry_that_is_read_twice_gets_the_same_attempt_again(moves: Moves) -> None:
    """Its first reader died between the move and the publish."""
    job = await moves.planned(DIAMOND)
    ref = await moves.dispatched(job, "a")
    before = await moves.everything(job)
    (step,) = await moves.jobs.dispatch(0, [ref])
    assert step is not None
    assert await moves.everything(job) == before


async def test_stale_entries_dispatch_nothing(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    before = await moves.everything(job)
    stale = [ref, the_next(ref), AttemptRef(job, StepId("b"), 1), AttemptRef(new_job_id(0), StepId("a"), 1)]
    assert await moves.jobs.dispatch(0, stale) == [None] * 4
    assert await moves.everything(job) == before


async def test_ready_and_stale_entries_are_told_apart_in_one_batch(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    refs = [AttemptRef(job, StepId(step), attempt) for step, attempt in (("a", 2), ("b", 1), ("a", 1))]
    steps = await moves.jobs.dispatch(0, refs)
    assert [step and step.id for step in steps] == [None, "b", "a"]


async def test_one_attempt_is_claimed_once(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.dispatched(job, "a")
    claim = await moves.attempts.claim(ref, WorkerName("w1"))
    assert claim is not None
    assert (claim.job.id, claim.step.id, claim.attempt, claim.inputs) == (job, "a", 1, ())
    before = await moves.everything(job)
    assert await moves.attempts.claim(ref, WorkerName("w2")) is None
    assert await moves.everything(job) == before
    assert before[":steps"]["w:a"] == "w1"


async def test_a_stale_or_unknown_attempt_cannot_be_claimed(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.dispatched(job, "a")
    before = await moves.everything(job)
    for other in (the_next(ref), ref._replace(step=StepId("b")), ref._replace(job=new_job_id(0))):
        assert await moves.claim(other) is None
    assert await moves.everything(job) == before


async def test_an_attempt_of_a_cancelled_job_cannot_be_claimed(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.dispatched(job, "a")
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    before = await moves.everything(job)
    assert await moves.claim(ref) is None
    assert await moves.everything(job) == before


async def test_a_claim_has_no_more_time_than_its_job_has(moves: Moves) -> None:
    job = await moves.planned({"a": ()}, timeout_ms=5000)
    claim = await moves.claim(await moves.dispatched(job, "a"))
    assert claim is not None
    assert 0 < claim.deadline_ms <= 5000 < claim.step.timeout_ms


async def test_a_claim_past_the_jobs_deadline_has_almost_no_time(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.dispatched(job, "a")
    await moves.redis.hset(moves.store.keys.job(job), "deadline", 1)
    claim = await moves.claim(ref)
    assert claim is not None
    assert claim.deadline_ms == 1


async def test_the_first_claim_starts_the_job(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    assert (await moves.snapshots.job(job)).started_at is None
    await moves.running(job, "a")
    started = (await moves.snapshots.job(job)).started_at
    await moves.running(job, "b")
    assert (await moves.snapshots.job(job)).started_at == started is not None


async def test_a_heartbeat_renews_the_lease(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    await moves.make_due(job, "a")
    assert await moves.attempts.heartbeat(0, [ref]) == {}
    assert (await moves.jobs.sweep(0)).due == 0
    assert await moves.status(job, "a") is StepStatus.RUNNING


async def test_a_heartbeat_tells_which_attempts_are_no_longer_the_callers(moves: Moves) -> None:
    job = await moves.planned(dict.fromkeys(("kept", "retried", "settled", "lost"), ()))
    kept, settled = await moves.running(job, "kept"), await moves.running(job, "settled")
    await moves.attempts.succeed(settled, RESULT, COST)
    retried = await moves.faltered(job, "retried")
    await moves.jobs.postpone(retried, 0)
    await moves.dispatched(job, "retried", 2)
    lost = await moves.running(job, "lost")
    await moves.make_due(job, "lost")
    await moves.jobs.sweep(0)
    ended = await moves.planned({"a": ()})
    cancelled = await moves.running(ended, "a")
    await moves.jobs.end_job(ended, TaskStatus.CANCELLED, OUT_OF_LUCK)
    gone = AttemptRef(new_job_id(0), StepId("a"), 1)

    refused = await moves.attempts.heartbeat(0, [kept, settled, retried, lost, cancelled, gone])
    assert refused == {
        settled: Refusal.OVER,
        retried: Refusal.SUPERSEDED,
        lost: Refusal.OVER,
        cancelled: Refusal.CANCELLED,
        gone: Refusal.GONE,
    }


async def test_a_refused_heartbeat_changes_nothing(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.faltered(job, "a")
    await moves.jobs.postpone(ref, 60_000)
    before = await moves.everything(job)
    assert await moves.attempts.heartbeat(0, [ref]) == {ref: Refusal.OVER}
    assert await moves.everything(job) == before


async def test_a_heartbeat_of_an_earlier_attempt_does_not_renew_the_lease_of_the_current_one(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    earlier = await moves.faltered(job, "a")
    await moves.jobs.postpone(earlier, 0)
    await moves.running(job, "a", 2)
    await moves.make_due(job, "a")
    assert await moves.attempts.heartbeat(0, [earlier]) == {earlier: Refusal.SUPERSEDED}
    assert (await moves.jobs.sweep(0)).due == 1
    assert await moves.status(job, "a") is StepStatus.DELAYED


async def test_a_heartbeat_of_nothing_is_fine(moves: Moves) -> None:
    assert await moves.attempts.heartbeat(0, []) == {}


async def test_a_result_is_stored_and_frees_the_next_step(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ("a",)})
    await moves.asked_for(Notice.STEP_READY)
    await moves.succeed(job, "a", "the findings")
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.status, record.result, record.worker) == (
        StepStatus.SUCCEEDED,
        StepResult(text="the findings"),
        WORKER,
    )
    (attempt,) = record.attempts
    assert (attempt.number, attempt.outcome, attempt.usage, attempt.worker) == (
        1,
        AttemptOutcome.SUCCEEDED,
        COST,
        WORKER,
    )
    assert await moves.asked_for(Notice.STEP_READY) == [AttemptRef(job, StepId("b"), 1)]
    assert await moves.field(job, "cost") == str(COST.cost_microusd)
    assert (await moves.field(job, "open"), await moves.field(job, "done")) == ("2", "1")
    assert f"{job}:a" not in await moves.timers()


async def test_a_second_settle_of_one_attempt_changes_nothing(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.succeed(job, "a")
    ref = AttemptRef(job, StepId("a"), 1)
    before = await moves.everything(job)
    assert await moves.attempts.succeed(ref, StepResult(text="other"), COST) is Refusal.OVER
    assert await moves.attempts.fail(ref, BAD, COST) is Refusal.OVER
    assert await moves.attempts.hand_back(ref, "stopping", COST) is Refusal.OVER
    assert await moves.everything(job) == before


async def test_a_stale_attempt_changes_nothing_anywhere(moves: Moves) -> None:
    """A worker that was silent for too long comes back with a result while the next attempt runs."""
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    await moves.make_due(job, "a")
    await moves.jobs.sweep(0)
    await moves.jobs.postpone(ref, 0)
    await moves.running(job, "a", 2)
    before = await moves.everything(job)
    assert await moves.attempts.succeed(ref, StepResult(text="late"), COST) is Refusal.SUPERSEDED
    assert await moves.attempts.fail(ref, BAD, COST) is Refusal.SUPERSEDED
    assert await moves.attempts.hand_back(ref, "stopping", COST) is Refusal.SUPERSEDED
    assert await moves.attempts.report(ref, [("step_progress", '{"message":"late"}')]) is False
    assert await moves.jobs.postpone(ref, 0) is Made.STALE
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK) is False
    assert await moves.claim(ref) is None
    assert await moves.everything(job) == before


async def test_a_lost_attempt_cannot_settle_before_the_next_one_begins(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    await moves.make_due(job, "a")
    await moves.jobs.sweep(0)
    before = await moves.everything(job)
    assert await moves.attempts.succeed(ref, RESULT, COST) is Refusal.OVER
    assert await moves.everything(job) == before


async def test_a_settle_for_a_job_that_is_gone_leaves_no_key(moves: Moves) -> None:
    ref = AttemptRef(new_job_id(0), StepId("a"), 1)
    assert await moves.attempts.succeed(ref, RESULT, COST) is Refusal.GONE
    assert await moves.attempts.report(ref, [("step_progress", '{"message":"x"}')]) is False
    assert await moves.redis.keys(f"{moves.store.settings.prefix}:*{ref.job}*") == []


async def test_a_result_for_a_cancelled_job_is_refused(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    before = await moves.everything(job)
    assert await moves.attempts.succeed(ref, RESULT, COST) is Refusal.CANCELLED
    assert await moves.everything(job) == before


async def test_a_failure_asks_for_a_decision(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.entries()
    ref = await moves.running(job, "a")
    assert await moves.attempts.fail(ref, BAD, COST) is None
    (entry,) = await moves.entries()
    assert (entry.notice, entry.ref, Failure.model_validate_json(entry.data)) == (Notice.ATTEMPT_ENDED, ref, BAD)
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.status, record.failures, record.losses, record.failure) == (StepStatus.DELAYED, 1, 0, None)
    assert [(one.outcome, one.failure, one.usage) for one in record.attempts] == [(AttemptOutcome.FAILED, BAD, COST)]
    assert await moves.field(job, "cost") == str(COST.cost_microusd)
    assert f"{job}:a" not in await moves.timers()
    (last,) = [event for event in await moves.told(job) if isinstance(event, StepFaltered)]
    assert (last.step, last.attempt, last.failure) == ("a", 1, BAD)


async def test_texts_of_any_kind_survive_the_store(moves: Moves) -> None:
    odd = 'quotes " and \\ and \n and \x00 and ✓ 漢 🦆 and %s %f'
    job = await moves.planned({"a": (), "b": ("a",)})
    ref = await moves.dispatched(job, "a")
    assert await moves.attempts.claim(ref, WorkerName('odd "worker" \\')) is not None
    await moves.attempts.fail(ref, Failure(code="bad", message=odd, retryable=True), COST)
    await moves.jobs.postpone(ref, 0)
    second = await moves.running(job, "a", 2)
    await moves.attempts.succeed(second, StepResult(text=odd, data={"value": [odd, None, 1.5]}), COST)
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert record.result == StepResult(text=odd, data={"value": [odd, None, 1.5]})
    assert record.attempts[0].failure == Failure(code="bad", message=odd, retryable=True)
    assert record.attempts[0].worker == 'odd "worker" \\'
    claim = await moves.claim(await moves.dispatched(job, "b"))
    assert claim is not None
    assert claim.inputs[0].result == record.result


async def test_a_postponed_step_is_ready_when_its_time_has_come(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.faltered(job, "a")
    assert await moves.jobs.postpone(ref, 60_000)
    assert (await moves.jobs.sweep(0)).due == 0
    await moves.entries()
    await moves.make_due(job, "a")
    assert (await moves.jobs.sweep(0)).due == 1
    assert await moves.asked_for(Notice.STEP_READY) == [the_next(ref)]
    assert await moves.status(job, "a") is StepStatus.READY
    assert f"{job}:a" not in await moves.timers()


async def test_a_step_postponed_by_nothing_is_ready_at_once(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.faltered(job, "a")
    await moves.entries()
    assert await moves.jobs.postpone(ref, 0)
    assert await moves.asked_for(Notice.STEP_READY) == [the_next(ref)]


async def test_a_second_decision_about_one_attempt_changes_nothing(moves: Moves) -> None:
    for delay_ms in (0, 60_000):
        job = await moves.planned({"a": ()})
        ref = await moves.faltered(job, "a")
        assert await moves.jobs.postpone(ref, delay_ms)
        before = await moves.everything(job)
        assert not await moves.jobs.postpone(ref, 1000)
        assert await moves.everything(job) == before


async def test_a_step_that_was_given_up_has_failed(moves: Moves) -> None:
    job = await moves.planned({"a": (), "other": ()})
    ref = await moves.faltered(job, "a")
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK)
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.status, record.failure) == (StepStatus.FAILED, OUT_OF_LUCK)
    before = await moves.everything(job)
    assert not await moves.jobs.give_up(ref, BAD)
    assert await moves.everything(job) == before


async def test_a_late_decision_about_an_earlier_attempt_changes_nothing(moves: Moves) -> None:
    """Two attempts have failed; the decision about the first comes once more, from a replica that was slow."""
    job = await moves.planned(DIAMOND)
    ref = await moves.faltered(job, "a")
    await moves.jobs.postpone(ref, 0)
    await moves.faltered(job, "a", 2)
    before = await moves.everything(job)
    assert not await moves.jobs.give_up(ref, OUT_OF_LUCK)
    assert not await moves.jobs.postpone(ref, 0)
    assert await moves.everything(job) == before


async def test_an_unclaimed_and_an_undispatched_step_can_be_given_up(moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": (), "other": ()})
    assert await moves.jobs.give_up(await moves.dispatched(job, "a"), OUT_OF_LUCK)
    assert await moves.jobs.give_up(AttemptRef(job, StepId("b"), 0), OUT_OF_LUCK)
    assert await moves.jobs.dispatch(0, [AttemptRef(job, StepId("b"), 1)]) == [None]


async def test_a_running_step_cannot_be_given_up(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    assert not await moves.jobs.give_up(await moves.running(job, "a"), OUT_OF_LUCK)


async def test_an_attempt_that_was_handed_back_is_neither_failed_nor_lost(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.entries()
    ref = await moves.running(job, "a")
    assert await moves.attempts.hand_back(ref, "the worker is stopping", COST) is None
    (entry,) = await moves.entries()
    failure = Failure.model_validate_json(entry.data)
    assert (entry.notice, failure.code, failure.message) == (
        Notice.ATTEMPT_ENDED,
        HANDED_BACK,
        "the worker is stopping",
    )
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.failures, record.losses) == (0, 0)
    assert record.attempts[0].outcome is AttemptOutcome.RETURNED
    assert await moves.field(job, "cost") == str(COST.cost_microusd)


async def test_an_expired_lease_is_a_loss(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.entries()
    ref = await moves.running(job, "a")
    await moves.make_due(job, "a")
    assert (await moves.jobs.sweep(0)).due == 1
    (entry,) = await moves.entries()
    assert (entry.notice, entry.ref, Failure.model_validate_json(entry.data)) == (Notice.ATTEMPT_ENDED, ref, LOST)
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.status, record.failures, record.losses) == (StepStatus.DELAYED, 0, 1)
    assert record.attempts[0].outcome is AttemptOutcome.LOST
    assert (await moves.jobs.sweep(0)).due == 0


async def test_a_lease_ends_by_itself_in_time(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(lease_s=0.03, heartbeat_s=0.01)
    job = await moves.planned(DIAMOND)
    await moves.running(job, "a")

    async def lost() -> bool:
        return (await moves.jobs.sweep(0)).due == 1

    await wait_until(lost, within=2)
    assert await moves.status(job, "a") is StepStatus.DELAYED


async def test_a_message_that_nobody_claims_is_asked_about_again_and_again(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.dispatched(job, "a")
    await moves.entries()
    for _ in range(2):
        await moves.make_due(job, "a")
        assert (await moves.jobs.sweep(0)).due == 1
        (entry,) = await moves.entries()
        assert (entry.notice, entry.ref) == (Notice.STEP_UNCLAIMED, ref)
        assert int(entry.data) >= 0
        assert (await moves.jobs.sweep(0)).due == 0, "not before another while"
    assert await moves.status(job, "a") is StepStatus.DISPATCHED
    assert await moves.claim(ref) is not None


async def test_a_timer_of_a_job_that_is_gone_is_dropped(moves: Moves) -> None:
    timers, job = moves.store.keys.timers(0), new_job_id(0)
    await moves.redis.zadd(timers, {job: 1, f"{job}:a": 1})
    assert (await moves.jobs.sweep(0)).due == 2
    assert await moves.timers() == {}
    assert await moves.redis.keys(f"{moves.store.settings.prefix}:*{job}*") == []


async def test_a_sweep_takes_a_bounded_number_of_timers(moves: Moves) -> None:
    await moves.redis.zadd(moves.store.keys.timers(0), {f"{new_job_id(0)}:a": 1 for _ in range(SWEEP_BATCH + 1)})
    assert (await moves.jobs.sweep(0)).due == SWEEP_BATCH
    assert (await moves.jobs.sweep(0)).due == 1


async def test_events_of_a_running_attempt_are_written_in_order(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    seq = (await moves.snapshots.job(job)).seq
    lines = [("step_progress", f'{{"message":"{number}"}}') for number in range(3)]
    assert await moves.attempts.report(ref, lines)
    told = await moves.told(job, seq)
    assert [(event.seq - seq, event.model_dump()["message"]) for event in told] == [(1, "0"), (2, "1"), (3, "2")]


async def test_a_report_whose_reply_was_lost_is_not_written_twice(
    moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.running(job, "a")
    seq = (await moves.snapshots.job(job)).seq
    line = [("step_progress", '{"message":"once"}')]

    def same(_: int) -> str:  # as the connection sends it again
        return "same"

    monkeypatch.setattr("tasks.store.attempts.token_hex", same)
    assert await moves.attempts.report(ref, line)
    assert await moves.attempts.report(ref, line)
    monkeypatch.undo()
    assert await moves.attempts.report(ref, line)
    assert await moves.kinds(job, seq) == ["step_progress", "step_progress"]


async def test_the_life_of_a_step_in_events(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    seq = (await moves.snapshots.job(job)).seq
    ref = await moves.faltered(job, "a")
    await moves.jobs.postpone(ref, 0)
    await moves.running(job, "a", 2)
    await moves.attempts.succeed(the_next(ref), RESULT, COST)
    told = await moves.told(job, seq)
    assert [event.type for event in told] == [
        "step_dispatched",
        "step_started",
        "step_faltered",
        "step_retrying",
        "step_dispatched",
        "step_started",
        "step_succeeded",
    ]
    started, retrying, succeeded = told[1], told[3], told[-1]
    assert isinstance(started, StepStarted)
    assert (started.worker, started.attempt) == (WORKER, 1)
    assert isinstance(retrying, StepRetrying)
    assert (retrying.attempt, retrying.delay_ms) == (1, 0)
    assert isinstance(succeeded, StepSucceeded)
    assert (succeeded.attempt, succeeded.usage) == (2, COST)


async def test_the_time_of_an_attempt_is_kept(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    await moves.succeed(job, "a")
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert record.started_at is not None
    assert record.finished_at is not None
    assert timedelta(0) <= record.finished_at - record.started_at < timedelta(seconds=10)
    assert record.attempts[0].finished_at == record.finished_at


async def test_a_claim_whose_answer_was_lost_is_answered_again_and_to_nobody_else(moves: Moves) -> None:
    ref = await moves.dispatched(await moves.planned({"a": ()}), "a")
    first = await moves.attempts.claim(ref, WORKER, "token")
    before = await moves.everything(ref.job)
    again = await moves.attempts.claim(ref, WORKER, "token")
    assert again is not None
    assert first is not None
    assert again.model_copy(update={"deadline_ms": first.deadline_ms}) == first
    assert await moves.everything(ref.job) == before
    assert await moves.attempts.claim(ref, WORKER, "other") is None
    assert await moves.attempts.claim(ref, WORKER) is None
