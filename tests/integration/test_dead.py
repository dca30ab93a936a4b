"""Steps that were given up: listed, shown, dropped, and retried by hand, also after the end of their job."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.blocking import Troupe
from orchestrator.cli import call
from orchestrator.client import AsyncTroupe
from orchestrator.report import report
from tasks.errors import FleetFull, NotDead, UnknownJob
from tasks.events import JobReopened
from tasks.ids import SYNTHESIS_STEP, AttemptRef, JobId, StepId, new_job_id
from tasks.models import Failure, Join, StepResult
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tasks.store import Refusal
from tests.support.builders import BAD, COST, DIAMOND, OUT_OF_LUCK, PARTITION, RESULT, WORKER, a_graph, a_job
from tests.support.moves import Moves

S = StepStatus
PAIR = {"a": (), "b": ()}
TAIL = {"a": (), "b": (), "c": ("a", "b")}


async def statuses(moves: Moves, job: JobId) -> dict[str, str]:
    return {one.step.id: one.status.value for one in (await moves.snapshots.job(job)).steps}


async def counters(moves: Moves, job: JobId) -> tuple[int, int, int]:
    values = await moves.redis.hmget(moves.store.keys.job(job), "open", "done", "won")
    return int(values[0]), int(values[1]), int(values[2])


async def load(moves: Moves) -> dict[str, int]:
    found = await moves.redis.hgetall(f"{moves.store.keys.jobs(PARTITION)}load")
    return {name: int(value) for name, value in found.items() if name[1:2] in {":", "o"} and name[0] in "FNTJj"}


async def run(moves: Moves, job: JobId, step: str) -> None:
    """Run a ready step's next attempt to its result."""
    record = await moves.snapshots.step(job, step)
    assert record is not None
    ref = await moves.running(job, step, record.attempt + 1)
    assert await moves.attempts.succeed(ref, RESULT, COST) is None


async def without_a(moves: Moves) -> JobId:
    """A job that completed without step `a`."""
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    await moves.succeed(job, "b")
    await moves.succeed(job, SYNTHESIS_STEP)
    assert (await moves.snapshots.status(job))[0] is TaskStatus.COMPLETED
    return job


async def test_a_completed_job_goes_on_with_the_step_that_was_missing(moves: Moves) -> None:
    job = await without_a(moves)
    assert [one.step for one in report(await moves.snapshots.job(job)).missing] == ["a"]
    await moves.reopen(job, "a")
    assert await statuses(moves, job) == {"a": "ready", "b": "succeeded", SYNTHESIS_STEP: "blocked"}
    assert (await moves.snapshots.status(job))[0] is TaskStatus.IN_PROGRESS
    assert await counters(moves, job) == (2, 1, 1)
    await run(moves, job, "a")
    await run(moves, job, SYNTHESIS_STEP)
    outcome = report(await moves.snapshots.job(job))
    assert (outcome.status, outcome.missing, outcome.error) == (TaskStatus.COMPLETED, (), None)
    assert outcome.answer == "found"
    assert {one.id: one.attempts for one in outcome.steps} == {"a": 2, "b": 1, SYNTHESIS_STEP: 2}


async def test_a_failed_job_goes_on_and_what_was_skipped_waits_again(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.fail(job, "a")
    assert (await moves.snapshots.status(job))[0] is TaskStatus.FAILED
    await moves.reopen(job, "a")
    waiting = dict.fromkeys(["b", "c", "d", SYNTHESIS_STEP], "blocked")
    assert await statuses(moves, job) == {"a": "ready", **waiting}
    outcome = report(await moves.snapshots.job(job))
    assert (outcome.error, outcome.missing, outcome.finished_at) == (None, (), None)
    for step in (*DIAMOND, SYNTHESIS_STEP):
        await run(moves, job, step)
    assert (await moves.snapshots.status(job))[0] is TaskStatus.COMPLETED
    assert await moves.timers() == {}


async def test_the_retried_step_has_fresh_counts_and_stale_attempts_stay_stale(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    ref = await moves.faltered(job, "a")
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK)
    await moves.reopen(job, "a")
    record = await moves.snapshots.step(job, "a")
    assert record is not None
    assert (record.attempt, record.failures, record.failure) == (2, 0, None)
    before = await moves.everything(job)
    assert await moves.jobs.give_up(ref, OUT_OF_LUCK) is False
    assert await moves.attempts.claim(ref, WORKER) is None
    assert await moves.attempts.succeed(ref, RESULT, COST) is Refusal.SUPERSEDED
    assert await moves.everything(job) == before


async def test_a_second_retry_is_refused_and_changes_nothing(moves: Moves) -> None:
    job = await moves.planned(DIAMOND)
    await moves.fail(job, "a")
    record = await moves.snapshots.job(job)
    await moves.reopen(job, "a")
    before = await moves.everything(job)
    with pytest.raises(NotDead, match="'a'"):
        await moves.dead.reopen(record, record.steps[:1])
    assert await moves.everything(job) == before


async def test_steps_that_were_cancelled_with_their_job_run_again(moves: Moves) -> None:
    job = await moves.planned({**PAIR, "c": ("b",)})
    await moves.fail(job, "a")
    late = await moves.running(job, "b")
    await moves.make_due(job)
    await moves.jobs.sweep(PARTITION)
    assert await statuses(moves, job) == {"a": "failed", **dict.fromkeys(["b", "c", SYNTHESIS_STEP], "cancelled")}
    await moves.reopen(job, "a")
    assert await statuses(moves, job) == {"a": "ready", "b": "ready", "c": "blocked", SYNTHESIS_STEP: "blocked"}
    assert await moves.attempts.succeed(late, RESULT, COST) is Refusal.SUPERSEDED
    for step in ("a", "b", "c", SYNTHESIS_STEP):
        await run(moves, job, step)
    assert (await moves.snapshots.status(job))[0] is TaskStatus.COMPLETED


async def test_another_failed_step_stays_failed(moves: Moves) -> None:
    job = await moves.planned({**PAIR, "c": ()})
    for step in ("a", "b"):
        await moves.fail(job, step)
    await moves.succeed(job, "c")
    await moves.succeed(job, SYNTHESIS_STEP)
    await moves.reopen(job, "a")
    assert await statuses(moves, job) == {
        "a": "ready", "b": "failed", "c": "succeeded", SYNTHESIS_STEP: "blocked"
    }  # fmt: skip


async def test_a_retry_that_could_change_nothing_is_refused_with_what_it_needs(moves: Moves) -> None:
    job = await moves.planned({**TAIL, "d": ()})
    await moves.succeed(job, "d")
    for step in ("a", "b"):
        await moves.fail(job, step)
    await moves.succeed(job, SYNTHESIS_STEP)
    before = await moves.everything(job)
    with pytest.raises(NotDead, match="retry both"):
        await moves.reopen(job, "a")
    assert await moves.everything(job) == before
    await moves.reopen(job, "a", "b")
    assert await statuses(moves, job) == {
        "a": "ready", "b": "ready", "d": "succeeded", "c": "blocked", SYNTHESIS_STEP: "blocked"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("join", "after"), [(Join.BEST_EFFORT, S.BLOCKED), (Join.ANY, S.SUCCEEDED)], ids=lambda one: str(one)
)
async def test_what_was_done_without_the_step_is_done_again_unless_any_was_enough(
    moves: Moves, join: Join, after: StepStatus
) -> None:
    job = await moves.planned({**TAIL, "d": ("a",)}, joins={"c": join, "d": Join.BEST_EFFORT})
    await moves.fail(job, "a")
    for step in ("b", "c", SYNTHESIS_STEP):
        await moves.succeed(job, step)
    await moves.reopen(job, "a")
    assert await moves.status(job, "c") is after
    record = await moves.snapshots.step(job, "c")
    assert record is not None
    assert (record.result is not None) is (after is S.SUCCEEDED)
    opened = 3 + (after is S.BLOCKED)
    assert await counters(moves, job) == (opened, 5 - opened, 1 + (after is S.SUCCEEDED))


async def test_a_synthesis_that_was_given_up_is_written_again(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    for step in PAIR:
        await moves.succeed(job, step)
    await moves.fail(job, SYNTHESIS_STEP)
    await moves.reopen(job, SYNTHESIS_STEP)
    assert await statuses(moves, job) == {"a": "succeeded", "b": "succeeded", SYNTHESIS_STEP: "ready"}
    await run(moves, job, SYNTHESIS_STEP)
    assert (await moves.snapshots.status(job))[0] is TaskStatus.COMPLETED


async def test_step_and_synthesis_that_were_given_up_are_retried_together(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    await moves.succeed(job, "b")
    await moves.fail(job, SYNTHESIS_STEP)
    await moves.reopen(job, "a", SYNTHESIS_STEP)
    assert await statuses(moves, job) == {"a": "ready", "b": "succeeded", SYNTHESIS_STEP: "blocked"}


async def test_a_planning_step_is_retried_in_a_pending_job(moves: Moves) -> None:
    job = await moves.submitted()
    await moves.fail(job, "plan")
    assert (await moves.snapshots.status(job))[0] is TaskStatus.FAILED
    await moves.reopen(job, "plan")
    assert (await moves.snapshots.status(job))[0] is TaskStatus.PENDING
    await run(moves, job, "plan")
    assert await moves.status(job, "plan") is S.SUCCEEDED


async def test_while_the_answer_is_written_nothing_is_retried(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    await moves.succeed(job, "b")
    await moves.running(job, SYNTHESIS_STEP)
    with pytest.raises(NotDead, match="writing its answer"):
        await moves.reopen(job, "a")


async def test_an_open_job_keeps_its_deadline_and_its_place(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    deadline, counts = await moves.field(job, "deadline"), await load(moves)
    await moves.reopen(job, "a")
    assert await moves.field(job, "deadline") == deadline
    assert await load(moves) == {**counts, "F:worker": 2, "T:default": 2}
    assert await counters(moves, job) == (3, 0, 0)


async def test_a_cancelled_job_is_not_reopened(moves: Moves) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    await moves.jobs.end_job(job, TaskStatus.CANCELLED, OUT_OF_LUCK)
    with pytest.raises(NotDead, match="was cancelled"):
        await moves.reopen(job, "a")


async def test_keys_live_on_and_counters_are_as_before_the_end(moves: Moves) -> None:
    job = await moves.planned(PAIR, timeout_ms=1_000_000, idempotency_key="again")
    counts = await load(moves)
    key = moves.store.keys.job(job)
    await moves.fail(job, "a")
    await moves.fail(job, "b")
    ended = await moves.redis.pttl(key)
    await moves.redis.delete(f"{moves.store.keys.jobs(PARTITION)}index")
    await moves.reopen(job, "a", "b")
    assert await load(moves) == counts
    kept = int(moves.store.settings.retention_s * 1000) + 1_000_000
    idempotency = moves.store.keys.idempotency(PARTITION, "again")
    for part in (key, *(f"{key}:{name}" for name in ("steps", "specs", "results", "events")), idempotency):
        assert kept >= await moves.redis.pttl(part) > kept - 60_000 > ended - 1_000_000
    assert [one.job_id for one in await moves.snapshots.jobs(5)] == [job]
    assert job in await moves.timers()


async def test_readers_of_events_go_on_after_a_retry(moves: Moves, store_settings: StoreSettings) -> None:
    job = await without_a(moves)
    await moves.reopen(job, "a")
    await run(moves, job, "a")
    await run(moves, job, SYNTHESIS_STEP)
    async with AsyncTroupe(settings=store_settings) as troupe:
        kinds = [event.type async for event in troupe.job(job).events()]
        reopened = [event async for event in troupe.job(job).events() if isinstance(event, JobReopened)]
    assert kinds.count("job_finished") == 2
    assert kinds[-1] == "job_finished"
    assert [(one.status, one.steps) for one in reopened] == [(TaskStatus.IN_PROGRESS, ("a",))]


async def test_the_list_has_what_was_given_up_newest_first(moves: Moves, store_settings: StoreSettings) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    other = await moves.jobs.submit(a_job("Another?", partition=1), None)
    await moves.redis.zadd(moves.store.keys.dead(1), {f"{other}:gone": 1})
    async with AsyncTroupe(settings=store_settings) as troupe:
        (one,) = await troupe.dead.list()
        assert (one.job_id, one.step, one.agent, one.attempts) == (job, "a", "worker", 1)
        assert (one.error.code, one.history[0].failure, one.job_status) == ("bad", BAD, TaskStatus.IN_PROGRESS)
        assert await troupe.dead.show(job, "a") == one
    assert await moves.redis.zcard(moves.store.keys.dead(1)) == 0, "what is dead no more is taken off"


async def test_steps_are_retried_and_dropped_through_the_client(moves: Moves, store_settings: StoreSettings) -> None:
    job = await moves.planned({**PAIR, "c": ()})
    for step in ("a", "b"):
        await moves.fail(job, step)
    async with AsyncTroupe(settings=store_settings) as troupe:
        await troupe.dead.retry(job, "a")
        assert await moves.status(job, "a") is S.READY
        await troupe.dead.drop(job, "b")
        assert await troupe.dead.list() == []
        assert await moves.status(job, "b") is S.FAILED
        for call in (troupe.dead.drop(job, "b"), troupe.dead.show(job, "b"), troupe.dead.retry(job, "a")):
            with pytest.raises(NotDead):
                await call
        with pytest.raises(NotDead, match="no step 'nothing'"):
            await troupe.dead.retry(job, "nothing")
        with pytest.raises(UnknownJob):
            await troupe.dead.retry(new_job_id(0), "a")


async def test_the_blocking_client_has_the_list_too(moves: Moves, store_settings: StoreSettings) -> None:
    job = await moves.planned(PAIR)
    for step in PAIR:
        await moves.fail(job, step)

    def use() -> list[str]:
        with Troupe(settings=store_settings) as troupe:
            assert troupe.dead.show(job, "a").step == "a"
            troupe.dead.drop(job, "b")
            found = [one.step for one in troupe.dead.list(5)]
            with pytest.raises(NotDead):
                troupe.dead.retry(job, "missing")
            troupe.dead.retry(job, "a")
            return found

    assert await asyncio.to_thread(use) == ["a"]


@pytest.fixture
def command(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `troupe dead …`: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_REDIS_URL", store_settings.redis_url.get_secret_value())
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, ["dead", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def test_the_command_line_lists_and_shows_what_was_given_up(moves: Moves, command: Any) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    code, listed, _ = await command("list")
    assert code == 0
    assert all(word in listed for word in (job, "worker", "bad: no hope", "in_progress"))
    found = json.loads((await command("list", "--json", "--limit", "1"))[1])
    assert [(one["job_id"], one["step"]) for one in found] == [(job, "a")]
    code, shown, _ = await command("show", job, "a")
    assert code == 0
    assert "bad: no hope" in shown
    assert "attempt 1 failed on worker" in shown
    assert json.loads((await command("show", job, "a", "--json"))[1]) == found[0]


async def test_the_command_line_retries_and_drops(moves: Moves, command: Any) -> None:
    job = await moves.planned({**PAIR, "c": ()})
    for step in PAIR:
        await moves.fail(job, step)
    assert (await command("retry", job, "a"))[:2] == (0, f"job {job} goes on: a\n")
    assert await moves.status(job, "a") is S.READY
    assert (await command("drop", job, "b"))[:2] == (0, f"b of job {job} dropped\n")
    for words in (("retry", job, "a"), ("drop", job, "b"), ("show", job, "b")):
        code, _, complaint = await command(*words)
        assert (code, complaint.count("\n")) == (2, 1)
        assert complaint.startswith("troupe: step ")


@pytest.mark.parametrize("words", [(), ("JOB",), ("JOB", "a", "--all")])
async def test_a_retry_that_says_too_little_or_too_much_is_bad_usage(words: tuple[str, ...], command: Any) -> None:
    code, _, complaint = await command("retry", *words)
    assert code == 2
    assert "--all" in complaint


async def test_all_of_the_list_are_retried_job_by_job_and_refusals_are_said(moves: Moves, command: Any) -> None:
    one, other, third = [await moves.planned({**TAIL, "d": ()}) for _ in range(3)]
    for job in (one, other, third):
        await moves.succeed(job, "d")
        await moves.fail(job, "a")
        await moves.fail(job, "b")
    for job in (one, third):
        await moves.succeed(job, SYNTHESIS_STEP)
    await moves.jobs.end_job(other, TaskStatus.CANCELLED, OUT_OF_LUCK)
    assert (await command("retry", third, "--all"))[:2] == (0, f"job {third} goes on: b, a\n")
    code, said, complaint = await command("retry", "--all")
    assert (code, said) == (1, f"job {one} goes on: b, a\n")
    assert f"job {other} was cancelled" in complaint
    assert "1 jobs could not be retried" in complaint
    assert await moves.status(one, "c") is S.BLOCKED


async def test_old_entries_of_the_list_go_with_the_next_one(moves_with: Callable[..., Moves]) -> None:
    moves = moves_with(retention_s=60)
    job = await moves.planned(PAIR)
    await moves.redis.zadd(moves.store.keys.dead(PARTITION), {"jold:a": 1})
    await moves.fail(job, "a")
    assert await moves.redis.zrange(moves.store.keys.dead(PARTITION), 0, -1) == [f"{job}:a"]


async def test_a_step_that_waits_for_a_slot_after_its_retry_takes_one_slot(moves: Moves) -> None:
    await moves.jobs.sweep(PARTITION, {"worker": 1})
    job = await moves.jobs.submit(a_job(), None)
    assert await moves.extend(job, a_graph(PAIR))
    assert await moves.jobs.give_up(AttemptRef(job, StepId("b"), 0), OUT_OF_LUCK)
    await moves.reopen(job, "b")
    await moves.succeed(job, "a")
    assert (await load(moves))["F:worker"] == 1
    await run(moves, job, "b")
    assert (await load(moves))["F:worker"] == 1, "the answer's"


@pytest.mark.parametrize(
    ("limits", "named"), [({"max_open_jobs": 1}, "the fleet"), ({"max_open_jobs_of_tenant": 1}, "tenant 'default'")]
)
async def test_a_retry_that_would_open_one_job_too_many_is_refused_as_a_submit_is(
    moves: Moves, moves_with: Callable[..., Moves], limits: dict[str, int], named: str
) -> None:
    job = await without_a(moves)
    other = await moves.planned(PAIR)
    before = await moves.everything(job)
    with pytest.raises(FleetFull, match=f"{named} has as many open jobs") as refused:
        await moves_with(**limits).reopen(job, "a")
    assert refused.value.retry_after.total_seconds() > 0
    assert await moves.everything(job) == before
    await moves.jobs.end_job(other, TaskStatus.CANCELLED, OUT_OF_LUCK)
    await moves_with(**limits).reopen(job, "a")
    assert await moves.status(job, "a") is S.READY


async def test_a_retry_in_an_open_job_opens_none_and_is_never_too_many(
    moves: Moves, moves_with: Callable[..., Moves]
) -> None:
    job = await moves.planned(PAIR)
    await moves.fail(job, "a")
    await moves_with(max_open_jobs=1, max_open_jobs_of_tenant=1).reopen(job, "a")
    assert await moves.status(job, "a") is S.READY


@pytest.mark.parametrize(("code", "answered"), [("budget_spent", True), ("bad", False)])
async def test_what_a_step_found_before_its_budget_was_spent_is_answered_from(
    moves: Moves, code: str, answered: bool
) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    failure = Failure(code=code, message="no more")
    assert await moves.attempts.fail(ref, failure, COST, found=StepResult(text="half of it")) is None
    assert await moves.jobs.give_up(ref, failure)
    assert (await statuses(moves, job))[SYNTHESIS_STEP] == ("ready" if answered else "skipped")
    if answered:
        claim = await moves.claim(await moves.dispatched(job, SYNTHESIS_STEP))
        assert claim is not None
        assert [one.result.text for one in claim.inputs if one.result] == ["half of it"]


async def test_what_a_retried_step_had_found_counts_no_more(moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    ref = await moves.running(job, "a")
    failure = Failure(code="budget_spent", message="no more")
    await moves.attempts.fail(ref, failure, COST, found=StepResult(text="half of it"))
    await moves.jobs.give_up(ref, failure)
    await moves.succeed(job, SYNTHESIS_STEP)
    await moves.reopen(job, "a")
    assert await counters(moves, job) == (2, 0, 0)
    again = await moves.running(job, "a", 3)
    await moves.attempts.fail(again, OUT_OF_LUCK, COST)
    await moves.jobs.give_up(again, OUT_OF_LUCK)
    assert (await moves.snapshots.status(job))[0] is TaskStatus.FAILED
