"""A fork on a real fleet: what is reused is asked of nobody a second time, and costs nothing."""

import json
from pathlib import Path

from orchestrator import JobHandle
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import CLAUDE, Fleet
from tests.unit.pages import others
from workers.testing import FakeMessages

PLAN = Plan(
    steps=[
        PlannedStep(id="first", description="XAVER: tell of refunds.", agent="summary"),
        PlannedStep(id="find-2", description="YOLANDE: tell of returns.", agent="summary"),
        PlannedStep(id="both", description="ZENO: compare them.", agent="summary", depends_on=["first", "find-2"]),
    ]
)


def asked(fake: FakeMessages, word: str, without: str = "\0") -> int:
    """How many requests the provider got with the one word in them, and not the other."""
    bodies = [json.dumps(one.body, ensure_ascii=False) for one in list(fake.requests)]
    return sum(word in body and without not in body for body in bodies)


def a_job(fleet: Fleet) -> JobHandle:
    job = fleet.troupe.submit("Compare refunds and returns.", plan=PLAN, model=CLAUDE)
    assert job.wait(60).status is TaskStatus.COMPLETED
    return job


def test_a_fork_asks_only_for_what_is_done_anew_and_pays_for_that_alone(fleet: Fleet, fake: FakeMessages) -> None:
    job = a_job(fleet)
    before = asked(fake, "XAVER", "WILMA")
    changes = 'task = "Compare them for WILMA."\n[steps.both]\ndescription = "WILMA: compare them in one line."\n'
    (fleet.stage.work / "edit.toml").write_text(changes)
    done = fleet.stage.troupe("fork", job.id, "--from", "both", "--edit", "edit.toml", "--wait", "60", "--json")
    assert done.code == 0, done.stderr
    fork = JobResult.model_validate_json(done.stdout)
    assert (fork.status, done.stderr) == (
        TaskStatus.COMPLETED, f"job {fork.job_id}: first, find-2 reused from {job.id}\n"
    )  # fmt: skip
    steps = {step.id: step for step in fork.steps}
    assert {name: step.usage.requests for name, step in steps.items()} == {
        "first": 0, "find-2": 0, "both": 1, "synthesis": 1
    }  # fmt: skip
    assert {name for name, step in steps.items() if step.reused_from == job.id} == {"first", "find-2"}
    assert asked(fake, "WILMA") == fork.usage.requests == 2
    assert asked(fake, "XAVER", "WILMA") == before
    assert fork.usage.cost_usd == round(steps["both"].usage.cost_usd + steps["synthesis"].usage.cost_usd, 6) > 0
    assert steps["first"].result == next(step.result for step in job.snapshot().steps if step.id == "first")


def test_two_jobs_are_laid_side_by_side(fleet: Fleet) -> None:
    job = a_job(fleet)
    fork = job.fork("both", edit={"steps": {"both": {"description": "VERA: compare them in one line."}}})
    assert fork.wait(60).status is TaskStatus.COMPLETED
    shown = fleet.stage.troupe("diff", job.id, fork.id)
    assert shown.code == 0, shown.stderr
    assert f"- job {job.id}" in shown.stdout
    assert "+ description: VERA: compare them in one line." in shown.stdout
    assert "succeeded → reused" in shown.stdout
    told = json.loads(fleet.stage.troupe("diff", job.id, fork.id, "--json").stdout)
    assert (told["differs"], told["after"]["figures"]["requests"]) == (True, 2)
    assert fleet.stage.troupe("diff", job.id, fork.id, "--exit-code").code == 1
    assert fleet.stage.troupe("diff", job.id, job.id, "--exit-code").code == 0


def test_what_cannot_be_done_is_said_in_one_line(fleet: Fleet, tmp_path: Path) -> None:
    job = a_job(fleet)
    for words, said in [
        (["fork", job.id, "--from", "nowhere"], "has no step 'nowhere' to fork from; there are: first, find-2, both"),
        (["fork", job.id, "--from", "both", "--edit", str(tmp_path)], "cannot be read"),
        (["fork", "j0123456789abcdefgh3", "--from", "both"], "there is no job"),
        (["retry", job.id], "no step of it failed; there is nothing to retry"),
        (["diff", job.id, "x"], "'x'"),
    ]:
        done = fleet.stage.troupe(*words)
        assert (done.code, said in done.complaint) == (2, True), done


def test_the_example_of_the_page_forks(fleet: Fleet) -> None:
    (block,) = others("docs/time-travel.md")
    names: dict[str, object] = {"troupe": fleet.troupe, "job_id": a_job(fleet).id}
    exec(compile(block.text, block.place, "exec"), names)  # noqa: S102 - it is our own page
    fork = names["fork"]
    assert isinstance(fork, JobHandle)
    assert fork.snapshot().status is TaskStatus.COMPLETED
