"""kill -9 of every kind of process while jobs run."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import Troupe
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet, Once, start_fleet
from tests.acceptance.stage import Stage, Stages, copy_actors, wait_until

LEASE_S = 5.0
"""Of the shared stack."""


def test_the_step_of_a_killed_worker_runs_again(fleet: Fleet) -> None:
    job = fleet.nap("60 0.1")
    os.kill(fleet.napping(job), signal.SIGKILL)
    killed = time.monotonic()
    result = job.wait(60)
    assert result.status is TaskStatus.COMPLETED
    assert result.steps[0].attempts == 2
    assert time.monotonic() - killed < LEASE_S + 5


def test_a_job_survives_its_orchestrator(fleet: Fleet) -> None:
    job = fleet.nap("1", "0.1")
    fleet.napping(job)
    for one in fleet.troupe.orchestrators():
        if Path(f"/proc/{one.pid}").exists():
            os.kill(one.pid, signal.SIGKILL)
    result = job.wait(30)
    assert result.status is TaskStatus.COMPLETED
    assert [step.attempts for step in result.steps] == [1, 1, 1]


def redis_of(stage: Stage) -> list[int]:
    return [pid for pid, words in stage.processes().items() if re.match(r"\S*(redis|valkey)-server", words)]


def test_a_stack_survives_its_redis(stage: Stage) -> None:
    stage.variables |= {"TROUPE_AGENTS": "actors", "NAPS": str(stage.folder / "naps.txt"), "TROUPE_REPUBLISH_S": "1"}
    copy_actors(stage)
    up, url, _ = start_fleet(stage, flower=False)
    with Troupe(url) as troupe, ThreadPoolExecutor(1) as beside:
        steps = [PlannedStep(id="a", description="nap 2", agent="napper")]
        steps.append(PlannedStep(id="b", description="nap 0.1", agent="napper", depends_on=["a"]))
        job = troupe.submit("Sleep through it.", plan=Plan(steps=steps))
        wait_until(Path(stage.variables["NAPS"]).exists)
        waiting = beside.submit(job.wait, 60)
        time.sleep(0.5)  # it waits by now: who asks for the first time while the store is away is told so
        (before,) = redis_of(stage)
        os.kill(before, signal.SIGKILL)
        result = waiting.result(60)
    assert result.status is TaskStatus.COMPLETED
    assert redis_of(stage) not in ([], [before])
    assert up.process.poll() is None


def test_a_stack_whose_redis_cannot_be_kept_alive_ends_and_says_so(stage: Stage) -> None:
    up, _, _ = start_fleet(stage, flower=False)

    def killed() -> bool:
        for pid in redis_of(stage):
            os.kill(pid, signal.SIGKILL)
        return up.process.poll() is not None

    wait_until(killed, within=60)
    done = up.wait(30)
    assert done.code == 1
    assert "the embedded Redis does not start" in done.stderr.splitlines()[-1]
    assert stage.processes() == {}


@dataclass(frozen=True, slots=True)
class TwoStacks:
    """What became of a stack that was killed in the middle of a job, and of the next one on the same home."""

    left: list[str]
    """Processes and temporary files of the first, after a while."""
    job: str
    """The job's result from the second, as JSON."""
    code: int
    """Of the second, after SIGTERM."""
    stderr: str
    left_in_the_end: list[str]


def ended(stage: Stage, within_s: float = 15.0) -> list[str]:
    """What is left of a stage's processes and temporary files, after some time at the most."""
    end = time.monotonic() + within_s
    while (left := stage.leavings()) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.fixture(scope="module")
def two_stacks(once: Once, stages: Stages) -> TwoStacks:
    return TwoStacks(**once("two_stacks", lambda: kill_and_start_again(stages)))


def kill_and_start_again(stages: Stages) -> dict[str, Any]:
    stage = stages.new(TROUPE_AGENTS="actors", TROUPE_LEASE_S="3", TROUPE_DRAIN_S="1")
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    up, url, _ = start_fleet(stage, flower=True)
    plan = Plan(steps=[PlannedStep(id="nap", description="nap 60 0.1", agent="napper")])
    with Troupe(url) as troupe:
        job = troupe.submit("Sleep through it.", plan=plan)
        wait_until(Path(stage.variables["NAPS"]).exists)
        up.process.kill()
        up.process.wait()
    left = ended(stage)
    up, url, _ = start_fleet(stage, flower=True)
    with Troupe(url) as troupe:
        result = troupe.job(job.id).wait(60)
    up.process.terminate()
    done = up.wait(30)
    return {
        "left": left,
        "job": result.model_dump_json(),
        "code": done.code,
        "stderr": done.stderr,
        "left_in_the_end": stage.leavings(),
    }


def test_a_killed_stack_ends_with_all_its_processes(two_stacks: TwoStacks) -> None:
    assert two_stacks.left == []


def test_the_next_stack_goes_on_with_the_jobs_of_a_killed_one(two_stacks: TwoStacks) -> None:
    result = JobResult.model_validate_json(two_stacks.job)
    assert result.status is TaskStatus.COMPLETED
    assert result.steps[0].attempts == 2


def test_sigterm_ends_a_stack_in_order(two_stacks: TwoStacks) -> None:
    assert (two_stacks.code, two_stacks.stderr.splitlines()[-1]) == (0, "stopping")
    assert two_stacks.left_in_the_end == []
