"""`troupe retry`: the failed part of a job, and nothing else; and the commands `fork` and `diff`."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AsyncTroupe
from orchestrator.cli import call
from tasks.errors import NotDead, UnknownJob
from tasks.ids import SYNTHESIS_STEP, JobId, new_job_id
from tasks.models import Failure
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tasks.store import NewStep
from tests.support.builders import BAD, COST, DIAMOND, a_job, a_step
from tests.support.moves import Moves

SIDES = {"a": (), "b": (), "c": ("a",)}


@pytest.fixture
async def troupe(store_settings: StoreSettings) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=store_settings) as troupe:
        yield troupe


@pytest.fixture
def command(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `troupe …`: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_REDIS_URL", store_settings.redis_url.get_secret_value())
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def statuses(moves: Moves, job: JobId) -> dict[str, str]:
    return {one.step.id: one.status.value for one in (await moves.snapshots.job(job)).steps}


async def failed(moves: Moves) -> JobId:
    """A job whose every branch was given up."""
    job = await moves.planned(SIDES)
    await moves.fail(job, "a")
    await moves.fail(job, "b")
    assert (await moves.snapshots.status(job))[0] is TaskStatus.FAILED
    return job


async def completed(moves: Moves) -> JobId:
    job = await moves.planned(DIAMOND)
    for step in (*DIAMOND, SYNTHESIS_STEP):
        await moves.succeed(job, step, f"{step} of the first")
    return job


async def test_all_that_failed_is_tried_again_with_what_was_skipped_behind_it(
    troupe: AsyncTroupe, moves: Moves
) -> None:
    job = await failed(moves)
    assert await troupe.job(job).retry() == ("a", "b")
    assert await statuses(moves, job) == {"a": "ready", "b": "ready", "c": "blocked", SYNTHESIS_STEP: "blocked"}
    assert (await troupe.job(job).status()) is TaskStatus.IN_PROGRESS


async def test_what_succeeded_is_not_done_again(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await moves.planned(SIDES)
    await moves.fail(job, "a")
    await moves.succeed(job, "b")
    await moves.succeed(job, SYNTHESIS_STEP)
    assert await troupe.job(job).retry() == ("a",)
    assert (await statuses(moves, job))["b"] == "succeeded"


async def test_a_running_job_s_failed_step_is_tried_again_beside_the_others(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await moves.planned(SIDES)
    await moves.running(job, "b")
    await moves.fail(job, "a")
    assert await troupe.job(job).retry() == ("a",)
    assert await statuses(moves, job) == {"a": "ready", "b": "running", "c": "blocked", SYNTHESIS_STEP: "blocked"}


async def test_an_answer_that_failed_alone_is_written_again(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await moves.planned({"a": ()})
    await moves.succeed(job, "a")
    await moves.fail(job, SYNTHESIS_STEP)
    assert await troupe.job(job).retry() == (SYNTHESIS_STEP,)
    assert await statuses(moves, job) == {"a": "succeeded", SYNTHESIS_STEP: "ready"}


async def test_a_child_is_not_retried_for_itself(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await moves.planned({"a": (), "b": ()})
    assert await moves.extend(job, [NewStep(a_step("a_1", parent="a"))], revision=1)
    await moves.fail(job, "a_1")
    with pytest.raises(NotDead, match="no step of it has failed"):
        await troupe.job(job).retry()
    await moves.fail(job, "a")
    assert await troupe.job(job).retry() == ("a",)


async def test_a_second_retry_is_refused_while_the_first_goes_on(troupe: AsyncTroupe, moves: Moves) -> None:
    job = await failed(moves)
    handle = troupe.job(job)
    done = await asyncio.gather(*(handle.retry() for _ in range(4)), return_exceptions=True)
    assert [one for one in done if not isinstance(one, NotDead)] == [("a", "b")]
    with pytest.raises(NotDead, match="is in_progress and no step of it has failed; there is nothing to retry yet"):
        await handle.retry()


async def test_what_cannot_be_retried_is_told_what_else_to_do(troupe: AsyncTroupe, moves: Moves) -> None:
    done = await completed(moves)
    with pytest.raises(NotDead, match="has completed and no step of it failed; there is nothing to retry"):
        await troupe.job(done).retry()
    cancelled = await moves.planned(SIDES)
    await moves.succeed(cancelled, "b")
    await troupe.job(cancelled).cancel()
    with pytest.raises(NotDead, match=f"was cancelled, and stays so; go on .* `troupe fork {cancelled} --from a`"):
        await troupe.job(cancelled).retry()
    late = await moves.planned(SIDES)
    await moves.make_due(late)
    await moves.jobs.sweep(0)
    with pytest.raises(NotDead, match=rf"failed \(deadline_passed\), but no step of it did; .*fork {late} --from a"):
        await troupe.job(late).retry()
    unplanned = await moves.submitted()
    await moves.jobs.end_job(unplanned, TaskStatus.FAILED, BAD)
    with pytest.raises(NotDead, match=f"fork {unplanned} --from plan"):
        await troupe.job(unplanned).retry()
    empty = await moves.jobs.submit(a_job(), None)
    await moves.jobs.end_job(empty, TaskStatus.FAILED, Failure(code="invalid_plan", message="no"))
    with pytest.raises(NotDead, match="submit it anew"):
        await troupe.job(empty).retry()
    with pytest.raises(UnknownJob):
        await troupe.job(new_job_id(0)).retry()


async def test_the_command_says_what_is_retried(moves: Moves, command: Any) -> None:
    job = await failed(moves)
    assert await command("retry", job) == (0, f"job {job} goes on: a, b\n", "")
    code, said, complaint = await command("retry", job)
    assert (code, said) == (2, "")
    assert complaint.startswith(f"troupe: job {job} is in_progress and no step of it has failed")


async def test_the_command_waits_and_prints_the_outcome(moves: Moves, command: Any) -> None:
    job = await failed(moves)
    code, said, told = await command("retry", job, "--json")
    assert (code, json.loads(said)["status"], told) == (0, "in_progress", f"job {job} goes on: a, b\n")
    for step in ("a", "b"):
        ref = await moves.running(job, step, 3)
        assert await moves.attempts.fail(ref, BAD, COST) is None
        assert await moves.jobs.give_up(ref, BAD)
    code, said, told = await command("retry", job, "--wait", "0.01")
    assert (code, said) == (1, "")
    assert f"job {job} is still in_progress after 0.01 s; it goes on" in told


async def test_the_command_forks_and_prints_the_new_job(moves: Moves, command: Any, tmp_path: Path) -> None:
    job = await completed(moves)
    edit = tmp_path / "edit.json"
    edit.write_text('{"steps": {"d": {"description": "In one line."}}}')
    code, said, told = await command(
        "fork", job, "--from", "d", "--edit", str(edit), "--budget-usd", "1", "--timeout", "5"
    )
    fork = JobId(said.strip())
    assert (code, told) == (0, f"job {fork}: a, b, c reused from {job}\n")
    spec = (await moves.snapshots.job(fork)).spec
    assert (spec.budget_microusd, spec.timeout_ms) == (1_000_000, 5000)
    assert spec.plan is not None
    assert [one.description for one in spec.plan.steps] == ["Do a.", "Do b.", "Do c.", "In one line."]
    code, shown, _ = await command("show", fork)
    assert (code, f"forked from {job} at d; reused: a, b, c" in shown) == (0, True)
    assert shown.count("reused") == 4
    assert json.loads((await command("show", fork, "--json"))[1])["forked_from"] == {"job_id": job, "step": "d"}


async def test_changes_come_on_stdin_too(moves: Moves, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await completed(moves)
    monkeypatch.setattr("sys.stdin", io.StringIO('task = "In one word."'))
    code, said, _ = await command("fork", job, "--from", "synthesis", "--edit", "-", "--json")
    assert (code, json.loads(said)["task"]) == (0, "In one word.")
    code, _, complaint = await command("fork", job, "--from", "d", "--edit", "no-such-file.json")
    assert (code, complaint) == (2, "troupe: no-such-file.json cannot be read: No such file or directory\n")


async def test_a_file_that_is_no_text_is_refused(moves: Moves, command: Any, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    code, _, complaint = await command(
        "fork", await completed(moves), "--from", "d", "--edit", str(tmp_path / "x.json")
    )
    assert (code, "cannot be read: it is no text" in complaint) == (2, True)


async def test_the_difference_of_a_fork_is_a_table(moves: Moves, command: Any, troupe: AsyncTroupe) -> None:
    job = await completed(moves)
    fork = await troupe.job(job).fork("d", edit={"steps": {"d": {"description": "In one line."}}})
    code, said, _ = await command("diff", job, fork.id)
    rows = {line.split()[0]: line for line in said.splitlines() if line.strip()}
    assert code == 0
    assert "succeeded → reused" in rows["a"]
    assert "total" in rows
    assert (await command("diff", job, fork.id, "--exit-code"))[0] == 1
    assert (await command("diff", job, job, "--exit-code"))[0] == 0
    told = json.loads((await command("diff", job, fork.id, "--json"))[1])
    assert (told["before"]["job_id"], told["after"]["job_id"], told["differs"]) == (job, fork.id, True)
    assert (await command("diff", job, new_job_id(0)))[0] == 2
