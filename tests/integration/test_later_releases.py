"""Records of a later release, and damaged ones: refused in words, left to who can read them, in nobody's way."""

import pytest

from orchestrator import AsyncTroupe
from tasks.errors import DamagedRecord, IncompatibleVersion
from tasks.ids import AttemptRef, JobId, StepId
from tasks.states import StepStatus, TaskStatus
from tests.support.builders import BAD, COST, OUT_OF_LUCK, PARTITION, a_job, a_plan, a_worker
from tests.support.deciding import Deciding
from tests.support.moves import NO_WAIT, Moves


@pytest.fixture
def deciding(moves: Moves) -> Deciding:
    return Deciding(moves)


async def grow(moves: Moves, job: JobId, part: str, field: str) -> None:
    """Let a later release have written a JSON object, with a field that is not known here."""
    key = moves.store.keys.job(job) + part
    text = await moves.redis.hget(key, field)
    await moves.redis.hset(key, field, text[:-1] + ',"mood":"new"}')


async def shrink(moves: Moves, job: JobId, part: str, field: str) -> None:
    """Take back what `grow` did."""
    key = moves.store.keys.job(job) + part
    await moves.redis.hset(key, field, (await moves.redis.hget(key, field)).replace(',"mood":"new"}', "}"))


async def test_a_step_of_a_later_release_waits_for_a_replica_that_can_read_it(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = deciding.moves
    good, later, other = [await moves.submitted() for _ in range(3)]
    await grow(moves, later, ":specs", "plan")
    await deciding.turn()
    assert {one.message.job for one in deciding.publisher.sent} == {good, other}
    assert await moves.outbox.waiting(PARTITION) == 1
    assert (await moves.field(later, "status"), await moves.status(later, "plan")) == ("pending", StepStatus.DISPATCHED)
    await shrink(moves, later, ":specs", "plan")
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    assert await deciding.take_over() == 1
    assert deciding.publisher.sent[-1].message.ref == AttemptRef(later, StepId("plan"), 1)
    assert await moves.outbox.waiting(PARTITION) == 0


async def test_a_decision_about_a_job_of_a_later_release_is_left_to_it(
    deciding: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = deciding.moves
    job = await moves.submitted()
    await deciding.turn()
    ref = AttemptRef(job, StepId("plan"), 1)
    await moves.attempts.claim(ref, a_worker().name)
    await moves.attempts.fail(ref, OUT_OF_LUCK, COST)
    await grow(moves, job, ":specs", "plan")
    await deciding.turn()
    assert await moves.status(job, "plan") is StepStatus.DELAYED
    assert await moves.outbox.waiting(PARTITION) == 1
    await shrink(moves, job, ":specs", "plan")
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    await deciding.take_over()
    assert await moves.status(job, "plan") is StepStatus.FAILED


async def test_a_plan_of_a_later_release_is_left_to_it(deciding: Deciding, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = deciding.moves
    job = await moves.jobs.submit(a_job(plan=a_plan()), None)
    await grow(moves, job, "", "plan")
    await deciding.turn()
    assert await moves.field(job, "status") == "pending"
    await shrink(moves, job, "", "plan")
    monkeypatch.setattr("tasks.store.outbox.TAKE_OVER", NO_WAIT)
    await deciding.take_over()
    assert await moves.field(job, "status") == "in_progress"


async def test_a_job_that_nobody_can_read_ends_with_its_deadline(deciding: Deciding) -> None:
    moves = deciding.moves
    job = await moves.submitted()
    await grow(moves, job, ":specs", "plan")
    await deciding.turn()
    await moves.make_due(job)
    await moves.jobs.sweep(PARTITION)
    assert await moves.field(job, "status") == "failed"
    assert '"deadline_passed"' in await moves.field(job, "failure")


async def test_a_job_of_a_later_release_is_refused_in_words_and_listed_all_the_same(moves: Moves) -> None:
    job = await moves.submitted(task="Find the old one.")
    await grow(moves, job, "", "spec")
    with pytest.raises(
        IncompatibleVersion, match=f"job {job} was written by a release that this one cannot read: mood"
    ):
        await moves.snapshots.job(job)
    (line,) = await moves.snapshots.jobs(10)
    assert (line.job_id, line.task, line.status) == (job, "Find the old one.", TaskStatus.PENDING)


async def test_what_a_list_cannot_show_does_not_hide_the_rest(moves: Moves) -> None:
    good, later, damaged = [await moves.submitted() for _ in range(3)]
    await moves.redis.hset(moves.store.keys.job(later), "status", "dreaming")
    await moves.redis.hset(moves.store.keys.job(damaged), "spec", "nonsense")
    assert [one.job_id for one in await moves.snapshots.jobs(10)] == [good]
    with pytest.raises(IncompatibleVersion, match="dreaming"):
        await moves.snapshots.status(later)
    with pytest.raises(DamagedRecord, match=damaged):
        await moves.snapshots.job(damaged)


async def test_a_dead_step_that_cannot_be_read_stays_on_the_list(moves: Moves) -> None:
    good, later = [await moves.planned({"one": []}) for _ in range(2)]
    for job in (good, later):
        await moves.jobs.give_up(await moves.faltered(job, "one"), BAD)
    await grow(moves, later, ":specs", "one")
    async with AsyncTroupe(settings=moves.store.settings) as troupe:
        assert [one.job_id for one in await troupe.dead.list()] == [good]
        await shrink(moves, later, ":specs", "one")
        assert {one.job_id for one in await troupe.dead.list()} == {good, later}


async def test_a_script_that_meets_a_record_of_another_shape_says_so(moves: Moves) -> None:
    job = await moves.submitted()
    ref = await moves.dispatched(job, "plan")
    key = f"{moves.store.keys.job(job)}:steps"
    await moves.redis.hdel(key, "q:plan")
    with pytest.raises(DamagedRecord, match="user_script"):
        await moves.claim(ref)
    await moves.redis.delete(key)
    await moves.redis.set(key, "no hash", px=60_000)
    with pytest.raises(DamagedRecord, match="WRONGTYPE"):
        await moves.claim(ref)


async def test_a_damaged_result_ends_the_claim_in_words(moves: Moves) -> None:
    job = await moves.planned({"one": [], "two": ["one"]})
    await moves.succeed(job, "one", "A finding in many words. " * 6_000)
    await moves.redis.hset(f"{moves.store.keys.job(job)}:big", "r:one", "AAAA")
    with pytest.raises(DamagedRecord, match="kept apart"):
        await moves.claim(await moves.dispatched(job, "two"))
