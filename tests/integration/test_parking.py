"""Steps that wait for other steps or for people hold no worker, and go on when what they wait for has come."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from tasks.ids import AttemptRef, JobId, StepId
from tasks.models import Step
from tasks.states import StepStatus, TaskStatus
from tasks.store import Notice, Refusal
from tasks.store.waits import Recorded, Wait, WaitKind, WaitStore, Wanted
from tasks.usage import Usage
from tests.support.builders import BAD, COST, PARTITION, RESULT
from tests.support.moves import Moves
from tests.support.waiting import wait_until

ASK = Wanted("k1", WaitKind.QUESTION, '{"question":"Which year?"}')
HELP = Wanted("c1", WaitKind.CHILDREN, '{"steps":[]}')
YES: dict[str, JsonValue] = {"kind": "answer", "text": "2025"}


class Parking:
    """A job with one step that runs, and the doors to what it waits for."""

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        self.waits = WaitStore(moves.store)

    async def begin(self, **fields: Any) -> AttemptRef:
        job = await self.moves.planned({"one": ()}, **fields)
        await self.moves.entries()
        return await self.moves.running(job, "one")

    async def status(self, ref: AttemptRef) -> StepStatus:
        return await self.moves.status(ref.job, ref.step)

    async def adopt(self, job: JobId, key: str = "c1", *names: str, parent: str = "one") -> bool | None:
        steps = [(child(name), ()) for name in names or ("one_1",)]
        return await self.waits.adopt(job, StepId(parent), key, steps, '{"steps":[]}')

    async def wait(self, ref: AttemptRef, key: str) -> Wait:
        return next(one for one in await self.waits.of_step(ref.job, ref.step) if one.key == key)

    async def asked(self) -> list[str]:
        return [key for _, _, key in await self.waits.asked()]


def child(name: str) -> Step:
    return Step(id=StepId(name), description="Help.", agent="search", queue="search")


@pytest.fixture
def parking(moves: Moves) -> Parking:
    return Parking(moves)


async def test_a_parked_step_holds_no_slot_and_no_lease(parking: Parking) -> None:
    ref = await parking.begin()
    assert await parking.moves.attempts.park(ref, [ASK], COST) is None
    assert await parking.status(ref) is StepStatus.PARKED
    assert set(await parking.moves.timers()) == {ref.job}
    assert await parking.moves.attempts.heartbeat(PARTITION, [ref]) == {ref: Refusal.OVER}
    assert await parking.asked() == ["k1"]
    (step,) = [one for one in (await parking.moves.snapshots.job(ref.job)).steps if one.step.id == "one"]
    assert [(one.outcome.value, one.usage) for one in step.attempts] == [("parked", COST)]


async def test_an_answer_lets_it_go_on_with_the_next_attempt(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK], Usage())
    assert await parking.waits.outcome(ref.job, ref.step, "k1", YES) is Recorded.DONE
    assert await parking.status(ref) is StepStatus.READY
    assert await parking.asked() == []
    again = await parking.moves.running(ref.job, "one", 2)
    assert (await parking.wait(again, "k1")).outcome == YES
    assert await parking.moves.attempts.succeed(again, RESULT, COST) is None


async def test_the_first_outcome_counts(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK], Usage())
    assert await parking.waits.outcome(ref.job, ref.step, "k1", YES) is Recorded.DONE
    assert await parking.waits.outcome(ref.job, ref.step, "k1", {"kind": "no"}) is Recorded.TOO_LATE
    assert (await parking.wait(ref, "k1")).outcome == YES
    assert await parking.waits.outcome(ref.job, ref.step, "k9", YES) is Recorded.UNKNOWN


async def test_it_waits_for_all_that_it_asked_for(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK, ASK._replace(key="k2")], Usage())
    await parking.waits.outcome(ref.job, ref.step, "k2", YES)
    assert await parking.status(ref) is StepStatus.PARKED
    await parking.waits.outcome(ref.job, ref.step, "k1", YES)
    assert await parking.status(ref) is StepStatus.READY


async def test_what_has_come_already_is_not_waited_for(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK], Usage())
    await parking.waits.outcome(ref.job, ref.step, "k1", YES)
    again = await parking.moves.running(ref.job, "one", 2)
    await parking.moves.attempts.park(again, [ASK], Usage())
    assert await parking.status(ref) is StepStatus.READY
    assert await parking.asked() == [], "nobody is asked twice"


async def test_a_step_that_waits_again_keeps_what_came_before(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK], Usage())
    await parking.waits.outcome(ref.job, ref.step, "k1", YES)
    again = await parking.moves.running(ref.job, "one", 2)
    await parking.moves.attempts.park(again, [ASK._replace(key="k2")], Usage())
    assert {one.key: one.outcome for one in await parking.waits.of_step(ref.job, ref.step)} == {"k1": YES, "k2": None}


async def test_a_stale_attempt_parks_nothing(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK], Usage())
    assert await parking.moves.attempts.park(ref, [ASK._replace(key="k2")], Usage()) is Refusal.OVER
    assert [one.key for one in await parking.waits.of_job(ref.job)] == ["k1"]
    await parking.waits.outcome(ref.job, ref.step, "k1", YES)
    await parking.moves.running(ref.job, "one", 2)
    assert await parking.moves.attempts.park(ref, [ASK], Usage()) is Refusal.SUPERSEDED


async def test_what_nobody_answers_in_time_has_expired(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK._replace(expires=timedelta(milliseconds=1))], Usage())

    async def swept() -> bool:
        await parking.moves.jobs.sweep(PARTITION)
        return await parking.status(ref) is StepStatus.READY

    await wait_until(swept, within=5)
    assert (await parking.wait(ref, "k1")).outcome == {"kind": "expired"}


async def test_children_are_asked_for_checked_and_written_once(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [HELP], Usage())
    (entry,) = [one for one in await parking.moves.entries() if one.notice is Notice.CHILDREN_WANTED]
    assert (entry.ref, entry.data) == (ref, "c1")
    assert await parking.adopt(ref.job, "c1", "one_1", "one_2")
    assert await parking.adopt(ref.job, "c1", "one_3") is False
    record = await parking.moves.snapshots.job(ref.job)
    assert [one.step.id for one in record.steps] == ["one", "synthesis", "one_1", "one_2"]
    assert [one.status.value for one in record.steps[2:]] == ["ready", "ready"]


async def test_a_parent_goes_on_with_the_results_of_all_its_children(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [HELP], Usage())
    await parking.adopt(ref.job, "c1", "one_1", "one_2")
    first, second = [await parking.moves.running(ref.job, name) for name in ("one_1", "one_2")]
    await parking.moves.attempts.succeed(first, RESULT, COST)
    assert await parking.status(ref) is StepStatus.PARKED
    await parking.moves.attempts.fail(second, BAD, COST)
    await parking.moves.jobs.give_up(second, BAD)
    assert await parking.status(ref) is StepStatus.READY
    again = await parking.moves.dispatched(ref.job, "one", 2)
    claim = await parking.moves.claim(again)
    assert claim is not None
    assert [(one.step, one.status.value) for one in claim.inputs] == [("one_1", "succeeded"), ("one_2", "failed")]


async def test_children_of_a_refused_wait_are_not_written(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [HELP, ASK], Usage())
    await parking.waits.outcome(ref.job, ref.step, "c1", {"kind": "refused"})
    assert await parking.status(ref) is StepStatus.PARKED
    assert await parking.adopt(ref.job) is False


async def test_children_of_a_step_that_has_ended_are_not_written(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [HELP], Usage())
    await parking.moves.jobs.give_up(ref, BAD)
    assert await parking.adopt(ref.job) is False


async def test_a_conversation_is_handed_over_once_and_by_a_parked_step_only(parking: Parking) -> None:
    async def hand_over(ref: AttemptRef) -> bool:
        return await parking.waits.hand_over(ref.job, ref.step, "h1", {"kind": "handed_over"}, child("one"), "{}")

    wish = [Wanted("h1", WaitKind.HAND_OFF, "{}"), ASK]
    ref, other = await parking.begin(), await parking.begin()
    await parking.moves.attempts.park(ref, wish, Usage())
    assert [await hand_over(ref), await hand_over(ref)] == [True, False]
    await parking.moves.attempts.park(other, wish, Usage())
    await parking.moves.jobs.give_up(other, BAD)
    assert await hand_over(other) is False


async def test_children_of_a_step_that_is_given_up_end_while_the_job_goes_on(parking: Parking) -> None:
    job = await parking.moves.planned({"one": (), "two": ()})
    ref = await parking.moves.running(job, "one")
    await parking.moves.attempts.park(ref, [HELP], Usage())
    await parking.adopt(job, "c1", "one_1")
    await parking.moves.jobs.give_up(ref, BAD)
    assert await parking.moves.status(job, "one_1") is StepStatus.CANCELLED
    assert await parking.moves.status(job, "two") is StepStatus.READY


async def test_a_child_with_a_name_that_is_taken_is_refused(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [HELP], Usage())
    assert await parking.adopt(ref.job, "c1", "synthesis") is None


async def test_children_of_a_step_that_is_given_up_are_cancelled(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [HELP], Usage())
    await parking.adopt(ref.job, "c1", "one_1", "one_2")
    running = await parking.moves.running(ref.job, "one_1")
    await parking.moves.attempts.park(running, [HELP], Usage())
    await parking.adopt(ref.job, "c1", "one_1_1", parent="one_1")
    assert await parking.moves.jobs.give_up(ref, BAD)
    record = await parking.moves.snapshots.job(ref.job)
    statuses = {str(one.step.id): one.status.value for one in record.steps}
    assert statuses["one"] == "failed"
    assert {statuses[name] for name in ("one_1", "one_2", "one_1_1")} == {"cancelled"}


async def test_the_end_of_the_job_ends_what_is_parked(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK, HELP], Usage())
    await parking.adopt(ref.job, "c1", "one_1")
    await parking.moves.jobs.end_job(ref.job, TaskStatus.CANCELLED, BAD)
    assert await parking.asked() == []
    assert await parking.waits.outcome(ref.job, ref.step, "k1", YES) is Recorded.UNKNOWN
    record = await parking.moves.snapshots.job(ref.job)
    assert {one.status.value for one in record.steps} == {"cancelled"}


async def test_a_step_that_begins_anew_asks_anew(parking: Parking) -> None:
    ref = await parking.begin()
    await parking.moves.attempts.park(ref, [ASK], Usage())
    await parking.moves.jobs.fall_back(ref, child("one"), "{}")
    assert await parking.waits.of_step(ref.job, ref.step) == []
    assert await parking.asked() == []
