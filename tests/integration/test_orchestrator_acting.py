"""What the orchestrator does with control entries, on a real store; messages are only remembered."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.planning.check import MAX_FAULT_CHARS, MAX_FAULTS
from tasks.errors import BrokerUnavailable
from tasks.events import PlanAccepted, PlanRejected
from tasks.ids import REPAIR_STEP, AttemptRef, JobId, StepId
from tasks.models import Failure
from tasks.states import StepStatus, TaskStatus
from tasks.store import Outbox
from tasks.store.keys import GROUP
from tests.support.builders import BAD, COST, DIAMOND, OUT_OF_LUCK, PARTITION, a_job, a_plan, a_worker
from tests.support.deciding import Deciding
from tests.support.moves import NO_WAIT, Moves
from tests.support.waiting import wait_until

UNKNOWN = a_plan(agent="nobody")


@pytest.fixture
def deciding(moves: Moves) -> Deciding:
    return Deciding(moves)


async def failure(moves: Moves, job: JobId, status: TaskStatus = TaskStatus.FAILED) -> Failure:
    record = await moves.snapshots.job(job)
    assert record.status is status
    assert record.failure is not None
    return record.failure


async def running(deciding: Deciding, **fields: Any) -> AttemptRef:
    """The only step of a job, claimed."""
    job = await deciding.submitted(a_job(plan=a_plan(), **fields))
    ref = AttemptRef(job, StepId("one"), 1)
    assert await deciding.moves.claim(ref) is not None
    return ref


async def published_again(deciding: Deciding, ref: AttemptRef) -> AttemptRef:
    """The next attempt of a step that faltered, claimed."""
    if await deciding.moves.status(ref.job, ref.step) is StepStatus.DELAYED:
        await deciding.moves.make_due(ref.job, ref.step)
        await deciding.sweep()
    following = ref._replace(attempt=ref.attempt + 1)
    assert deciding.publisher.sent[-1].message.ref == following
    assert await deciding.moves.claim(following) is not None
    return following


async def test_a_new_job_is_sent_to_the_planner(deciding: Deciding) -> None:
    job = await deciding.submitted(a_job("Why?"))
    (sent,) = deciding.publisher.sent
    assert (sent.agent, sent.queue, sent.message.ref.task_id) == ("planner", "planner", f"{job}:plan:1")
    assert await deciding.moves.outbox.waiting(PARTITION) == 0


async def test_an_accepted_plan_is_carried_out_in_order(deciding: Deciding) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, a_plan(DIAMOND))
    assert (await deciding.moves.snapshots.status(job))[0] is TaskStatus.IN_PROGRESS
    for step in ("a", "b", "c", "d", "synthesis"):
        await deciding.settle(AttemptRef(job, StepId(step), 1))
    assert (await deciding.moves.snapshots.status(job))[0] is TaskStatus.COMPLETED
    assert deciding.publisher.ids == ["plan:1", "a:1", "b:1", "c:1", "d:1", "synthesis:1"]
    accepted = [event for event in await deciding.moves.told(job) if isinstance(event, PlanAccepted)]
    assert [event.steps for event in accepted] == [("a", "b", "c", "d", "synthesis")]


async def test_a_refused_plan_gets_one_repair_round_with_its_faults(deciding: Deciding) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, UNKNOWN)
    assert deciding.publisher.ids == ["plan:1", "plan-repair:1"]
    (rejected,) = [event for event in await deciding.moves.told(job) if isinstance(event, PlanRejected)]
    assert "'nobody' is unknown" in rejected.faults[0]
    repair = await deciding.moves.snapshots.step(job, REPAIR_STEP)
    assert repair is not None
    assert repair.step.input == {"faults": list(rejected.faults)}
    assert (await deciding.moves.snapshots.status(job))[0] is TaskStatus.PENDING
    await deciding.propose(job, a_plan(), REPAIR_STEP)
    assert deciding.publisher.ids[2:] == ["one:1"]
    assert (await deciding.moves.snapshots.status(job))[0] is TaskStatus.IN_PROGRESS


async def test_a_plan_that_is_refused_twice_fails_the_job(deciding: Deciding) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, UNKNOWN)
    await deciding.propose(job, UNKNOWN, REPAIR_STEP)
    why = await failure(deciding.moves, job)
    assert why.code == "invalid_plan"
    assert "'nobody' is unknown" in why.message


@pytest.mark.parametrize("proposal", [None, {"steps": "many"}, {"stairs": []}, {"steps": []}])
async def test_a_proposal_that_is_no_plan_is_to_be_repaired(
    deciding: Deciding, proposal: dict[str, Any] | None
) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, proposal)
    assert deciding.publisher.ids == ["plan:1", "plan-repair:1"]


async def test_a_given_plan_needs_no_planner(deciding: Deciding) -> None:
    job = await deciding.submitted(a_job(plan=a_plan()))
    assert deciding.publisher.ids == ["one:1"]
    assert (await deciding.moves.snapshots.status(job))[0] is TaskStatus.IN_PROGRESS


async def test_a_given_plan_with_faults_fails_the_job_at_once(deciding: Deciding) -> None:
    faults = a_plan({"hen": ["egg"], "egg": ["hen"]}, agent="nobody")
    job = await deciding.submitted(a_job(plan=faults))
    why = await failure(deciding.moves, job)
    assert why.code == "invalid_plan"
    assert "a cycle" in why.message
    assert "'nobody' is unknown" in why.message
    assert deciding.publisher.sent == []


async def test_a_given_plan_waits_for_an_agent_that_is_not_there_yet(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    job = await deciding.submitted(a_job(plan=a_plan(agent="finance")))
    assert await deciding.take_over() == 1
    assert (await deciding.moves.snapshots.status(job))[0] is TaskStatus.PENDING
    assert deciding.publisher.sent == []
    await deciding.moves.fleet.announce(a_worker("w1", ["finance"]))
    assert await deciding.take_over() == 1
    await deciding.turn()
    assert [one.agent for one in deciding.publisher.sent] == ["finance"]
    assert await deciding.take_over() == 0


async def test_a_given_plan_whose_agent_does_not_come_fails_the_job_after_a_while(
    moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    deciding = Deciding(moves, no_worker_s=0.02)
    job = await deciding.submitted(a_job(plan=UNKNOWN))

    async def failed() -> bool:
        await deciding.take_over()
        return (await moves.snapshots.status(job))[0] is TaskStatus.FAILED

    await wait_until(failed, within=10)
    why = await failure(moves, job)
    assert why.code == "invalid_plan"
    assert "'nobody' is unknown" in why.message


async def test_a_plan_may_name_agents_of_living_workers(deciding: Deciding) -> None:
    await deciding.moves.fleet.announce(a_worker("w1", ["finance"]))
    await deciding.submitted(a_job(plan=a_plan(agent="finance")))
    assert [(one.agent, one.queue) for one in deciding.publisher.sent] == [("finance", "finance")]


async def test_a_plan_that_is_acted_on_twice_is_accepted_once(deciding: Deciding) -> None:
    moves = deciding.moves
    job = await moves.jobs.submit(a_job(plan=a_plan()), None)
    entries = await moves.entries()
    await deciding.actor.act(PARTITION, [*entries, *entries])
    await deciding.turn()
    assert (await moves.snapshots.job(job)).revision == 1
    assert deciding.publisher.ids == ["one:1"]


async def test_failures_that_may_pass_are_tried_again_as_often_as_the_policy_says(moves: Moves) -> None:
    deciding = Deciding(moves, step_attempts=2)
    ref = await running(deciding)
    await moves.attempts.fail(ref, BAD, COST)
    await deciding.turn()
    second = await published_again(deciding, ref)
    await moves.attempts.fail(second, BAD, COST)
    await deciding.turn()
    record = await moves.snapshots.step(ref.job, "one")
    assert record is not None
    assert (record.status, record.failure, record.attempt) == (StepStatus.FAILED, BAD, 2)
    assert (await failure(moves, ref.job)).code == "no_result"


async def test_a_failure_that_cannot_pass_is_not_tried_again(deciding: Deciding) -> None:
    ref = await running(deciding)
    await deciding.moves.attempts.fail(ref, OUT_OF_LUCK, COST)
    await deciding.turn()
    assert await deciding.moves.status(ref.job, "one") is StepStatus.FAILED
    assert deciding.publisher.ids == ["one:1"]


async def test_a_retry_waits_as_long_as_the_failure_asks_for(deciding: Deciding) -> None:
    ref = await running(deciding)
    limited = Failure(code="model_unavailable", message="slow down", retryable=True, retry_after_ms=60_000)
    await deciding.moves.attempts.fail(ref, limited, COST)
    await deciding.turn()
    seconds, micros = await deciding.moves.redis.time()
    due = (await deciding.moves.timers())[f"{ref.job}:one"]
    assert 50_000 < due - (seconds * 1000 + micros / 1000) <= 60_000


async def test_a_step_under_which_three_workers_died_is_poison(deciding: Deciding) -> None:
    moves, ref = deciding.moves, await running(deciding)
    for attempt in (1, 2, 3):
        await moves.make_due(ref.job, "one")
        await deciding.sweep()
        if attempt < 3:
            ref = await published_again(deciding, ref)
    record = await moves.snapshots.step(ref.job, "one")
    assert record is not None
    assert (record.status, record.losses, record.failures) == (StepStatus.FAILED, 3, 0)
    assert record.failure is not None
    assert record.failure.code == "poison"
    assert deciding.publisher.ids == ["one:1", "one:2", "one:3"]


async def test_handing_back_counts_for_nothing_and_is_followed_at_once(deciding: Deciding) -> None:
    ref = await running(deciding)
    for _ in range(5):
        await deciding.moves.attempts.hand_back(ref, "stopping", COST)
        await deciding.turn()
        ref = await published_again(deciding, ref)
    assert deciding.publisher.ids == [f"one:{number}" for number in range(1, 7)]


async def test_a_decision_that_is_read_twice_is_made_once(deciding: Deciding) -> None:
    moves, ref = deciding.moves, await running(deciding)
    await moves.attempts.fail(ref, BAD, COST)
    entries = await moves.entries()
    await deciding.actor.act(PARTITION, [*entries, *entries])
    assert (await moves.kinds(ref.job)).count("step_retrying") == 1


async def unclaimed(deciding: Deciding, ref: AttemptRef) -> None:
    await deciding.moves.make_due(ref.job, ref.step)
    await deciding.sweep()


async def test_a_step_that_nobody_works_for_fails_after_a_while(moves: Moves) -> None:
    deciding = Deciding(moves, no_worker_s=0.02)
    job = await deciding.submitted(a_job(plan=a_plan()))
    ref = AttemptRef(job, StepId("one"), 1)
    await unclaimed(deciding, ref)
    assert await moves.status(job, "one") is StepStatus.DISPATCHED

    async def failed() -> bool:
        if await moves.status(job, "one") is StepStatus.DISPATCHED:
            await unclaimed(deciding, ref)
        return await moves.status(job, "one") is StepStatus.FAILED

    await wait_until(failed, within=2)
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    assert record.failure is not None
    assert record.failure.code == "no_worker"
    assert "start one: troupe worker search" in record.failure.message


async def test_a_step_that_waits_for_a_busy_worker_survives_its_restart(moves: Moves) -> None:
    """It has waited for long, but nobody was missing for long."""
    deciding = Deciding(moves, no_worker_s=60)
    await moves.fleet.announce(a_worker("w1", ["search"]))
    job = await deciding.submitted(a_job(plan=a_plan()))
    await moves.redis.hset(f"{moves.store.keys.job(job)}:steps", "q:one", 1)
    ref = AttemptRef(job, StepId("one"), 1)
    await unclaimed(deciding, ref)
    await moves.fleet.leave(a_worker("w1", ["search"]))
    await unclaimed(deciding, ref)
    assert await moves.status(job, "one") is StepStatus.DISPATCHED


async def test_a_message_that_was_lost_is_published_again(deciding: Deciding) -> None:
    await deciding.moves.fleet.announce(a_worker("w1", ["search"]))
    job = await deciding.submitted(a_job(plan=a_plan()))
    await unclaimed(deciding, AttemptRef(job, StepId("one"), 1))
    assert deciding.publisher.ids == ["one:1", "one:1"]


async def test_a_message_that_still_waits_is_not_published_again(deciding: Deciding) -> None:
    deciding.publisher.depths["search"] = 1
    job = await deciding.submitted(a_job(plan=a_plan()))
    await unclaimed(deciding, AttemptRef(job, StepId("one"), 1))
    assert deciding.publisher.ids == ["one:1"]


async def test_an_attempt_that_was_claimed_meanwhile_is_not_published_again(deciding: Deciding) -> None:
    moves = deciding.moves
    job = await deciding.submitted(a_job(plan=a_plan()))
    ref = AttemptRef(job, StepId("one"), 1)
    await moves.make_due(job, "one")
    await moves.jobs.sweep(PARTITION)
    assert await moves.claim(ref) is not None
    await deciding.turn()
    assert deciding.publisher.ids == ["one:1"]


async def test_entries_whose_reader_died_are_taken_over(deciding: Deciding, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = deciding.moves
    job = await moves.submitted()
    assert await Outbox(moves.store, "dead").read(PARTITION, count=10, block=NO_WAIT)
    assert await deciding.take_over() == 0, "its reader may still be at it"
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 1
    assert deciding.publisher.ids == ["plan:1"]
    assert await moves.status(job, "plan") is StepStatus.DISPATCHED
    assert await deciding.take_over() == 0


async def test_a_message_whose_publisher_died_before_it_was_sent_is_sent(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = deciding.moves
    await moves.submitted()
    entries = await Outbox(moves.store, "dead").read(PARTITION, count=10, block=NO_WAIT)
    await moves.jobs.dispatch(PARTITION, [entry.ref for entry in entries])
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 1
    assert deciding.publisher.ids == ["plan:1"]


async def test_entries_stay_while_the_broker_is_away_and_are_published_later(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves, deciding.publisher.away = deciding.moves, True
    jobs = [await moves.submitted() for _ in range(3)]
    with pytest.raises(ExceptionGroup) as caught:
        await deciding.turn()
    assert caught.group_contains(BrokerUnavailable)
    assert await moves.outbox.waiting(PARTITION) == 3
    deciding.publisher.away = False
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 3
    assert {one.message.job for one in deciding.publisher.sent} == set(jobs)
    assert deciding.publisher.ids == ["plan:1"] * 3
    assert await moves.outbox.waiting(PARTITION) == 0


async def test_a_lost_message_is_looked_for_again_when_the_broker_is_back(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = deciding.moves
    await moves.fleet.announce(a_worker("w1", ["search"]))
    ref = AttemptRef(await deciding.submitted(a_job(plan=a_plan())), StepId("one"), 1)
    deciding.publisher.away = True
    with pytest.raises(ExceptionGroup) as caught:
        await unclaimed(deciding, ref)
    assert caught.group_contains(BrokerUnavailable)
    assert await moves.outbox.waiting(PARTITION) == 1
    deciding.publisher.away = False
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 1
    assert deciding.publisher.ids == ["one:1", "one:1"]
    assert await moves.outbox.waiting(PARTITION) == 0


async def test_a_job_that_cannot_be_dispatched_does_not_stop_its_neighbours(deciding: Deciding) -> None:
    moves = deciding.moves
    good, bad, other = [await moves.submitted() for _ in range(3)]
    await moves.redis.hset(f"{moves.store.keys.job(bad)}:specs", "plan", '{"shape": "unheard of"}')
    await deciding.turn()
    assert {one.message.job for one in deciding.publisher.sent} == {good, other}
    assert await moves.field(bad, "status") == "failed"
    assert '"internal_error"' in await moves.field(bad, "failure")
    assert await moves.outbox.waiting(PARTITION) == 0


async def test_a_defect_in_acting_on_one_entry_fails_that_job_only(deciding: Deciding) -> None:
    moves = deciding.moves
    good, bad = await moves.submitted(), await moves.submitted()
    await deciding.turn()
    for job in (good, bad):
        await moves.attempts.claim(AttemptRef(job, StepId("plan"), 1), a_worker().name)
        await moves.attempts.fail(AttemptRef(job, StepId("plan"), 1), OUT_OF_LUCK, COST)
    await moves.redis.hset(f"{moves.store.keys.job(bad)}:specs", "plan", "nonsense")
    await deciding.turn()
    assert await failure(moves, good) == OUT_OF_LUCK
    assert await moves.field(bad, "status") == "failed"
    assert '"internal_error"' in await moves.field(bad, "failure")
    assert await moves.outbox.waiting(PARTITION) == 0


async def test_an_entry_about_a_job_that_is_gone_is_dropped(deciding: Deciding) -> None:
    moves, ref = deciding.moves, await running(deciding)
    await moves.attempts.fail(ref, BAD, COST)
    keys = await moves.redis.keys(f"{moves.store.keys.job(ref.job)}*")
    await moves.redis.delete(*keys)
    await deciding.turn()
    assert await moves.outbox.waiting(PARTITION) == 0
    assert await moves.redis.keys(f"{moves.store.keys.job(ref.job)}*") == []


async def test_an_entry_of_a_later_release_stays_for_a_replica_of_that_release(deciding: Deciding) -> None:
    moves = deciding.moves
    fields = {"kind": "step_dreamt", "job": "j", "step": "", "attempt": "", "data": ""}
    await moves.redis.xadd(moves.store.keys.control(PARTITION), fields)
    await moves.submitted()
    await deciding.turn()
    assert deciding.publisher.ids == ["plan:1"]
    assert await moves.outbox.waiting(PARTITION) == 1


async def test_control_streams_that_were_lost_are_opened_again(deciding: Deciding) -> None:
    moves = deciding.moves
    await moves.redis.delete(moves.store.keys.control(PARTITION))
    assert await moves.entries() == []
    await deciding.submitted(a_job())
    assert deciding.publisher.ids == ["plan:1"]
    await moves.redis.delete(moves.store.keys.control(PARTITION))
    assert await deciding.take_over() == 0


async def test_names_of_dead_readers_are_dropped_once_they_have_left_nothing(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = deciding.moves
    await moves.submitted()
    await Outbox(moves.store, "busy").read(PARTITION, count=10, block=NO_WAIT)
    await Outbox(moves.store, "idle").read(PARTITION, count=10, block=NO_WAIT)
    assert await moves.outbox.tidy(PARTITION) == 0, "they may still be at it"
    assert await moves.outbox.tidy(PARTITION, NO_WAIT) >= 1
    control = moves.store.keys.control(PARTITION)
    assert [one["name"] for one in await moves.redis.xinfo_consumers(control, GROUP)] == ["busy"]
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 1


async def test_a_stream_that_is_not_there_has_no_dead_readers(deciding: Deciding) -> None:
    await deciding.moves.redis.delete(deciding.moves.store.keys.control(PARTITION))
    assert await deciding.moves.outbox.tidy(PARTITION) == 0


async def test_two_replicas_share_the_entries_without_doubling(moves_with: Callable[..., Moves], moves: Moves) -> None:
    replicas = [Deciding(moves), Deciding(moves_with())]
    replicas[1].moves.outbox.consumer = "other"
    for _ in range(20):
        await moves.submitted()
    for turn in range(20):
        replica = replicas[turn % 2]
        await replica.actor.act(PARTITION, await replica.moves.outbox.read(PARTITION, count=1, block=NO_WAIT))
    sent = [[one.message.job for one in replica.publisher.sent] for replica in replicas]
    assert [len(one) for one in sent] == [10, 10]
    assert len({*sent[0], *sent[1]}) == 20
    assert await moves.outbox.waiting(PARTITION) == 0


async def test_a_message_that_later_ones_have_overtaken_is_published_again(deciding: Deciding) -> None:
    moves, publisher = deciding.moves, deciding.publisher
    lost = await moves.submitted()
    await deciding.turn()
    publisher.depths["planner"] = 40
    later = await moves.submitted()
    await deciding.turn()
    await moves.redis.hincrby(f"{moves.store.keys.job(later)}:steps", "q:plan", 60_000)
    await moves.claim(AttemptRef(later, StepId("plan"), 1))
    await moves.make_due(lost, "plan")
    await moves.jobs.sweep(PARTITION)
    publisher.sent.clear()
    await deciding.turn()
    assert [dispatch.message.job for dispatch in publisher.sent] == [lost]


async def test_a_plan_may_name_an_agent_whose_announcement_has_ended_with_an_outage(deciding: Deciding) -> None:
    presence = a_worker(queues=("own",))
    await deciding.moves.fleet.announce(presence)
    deciding.actor.remember(await deciding.moves.fleet.workers())
    await deciding.moves.fleet.leave(presence)
    job = await deciding.submitted(a_job(plan=a_plan({"one": ()}, agent="own")))
    assert (await deciding.moves.snapshots.job(job)).status is TaskStatus.IN_PROGRESS


async def test_of_a_proposal_full_of_faults_the_first_are_told(deciding: Deciding) -> None:
    job = await deciding.submitted(a_job())
    await deciding.propose(job, {"steps": [{"id": "x" * 5_000, "depends_on": 3}] * 500})
    (rejected,) = [event for event in await deciding.moves.told(job) if isinstance(event, PlanRejected)]
    assert len(rejected.faults) == MAX_FAULTS + 1
    assert all(len(fault) <= MAX_FAULT_CHARS for fault in rejected.faults)
