"""kill -9 of every kind of process while jobs run."""

import os
import signal
import time
from pathlib import Path

import pytest

from orchestrator import Troupe
from tasks.models import Plan, PlannedStep
from tasks.states import StepStatus, TaskStatus
from tests.acceptance.conftest import Fleet, start_fleet
from tests.acceptance.stage import Stages, copy_actors, wait_until

LEASE_S = 5.0
"""Of the shared stack."""
NAP_S = 2.0


def test_the_step_of_a_killed_worker_runs_again(fleet: Fleet) -> None:
    job = fleet.nap(NAP_S)
    os.kill(fleet.napping(job), signal.SIGKILL)
    killed = time.monotonic()
    result = job.wait(60)
    assert result.status is TaskStatus.COMPLETED
    assert result.steps[0].attempts == 2
    assert time.monotonic() - killed < LEASE_S + 5 + NAP_S


def test_a_job_survives_its_orchestrator(fleet: Fleet) -> None:
    job = fleet.nap(1.0, 0.1)
    fleet.napping(job)
    for one in fleet.troupe.orchestrators():
        if Path(f"/proc/{one.pid}").exists():
            os.kill(one.pid, signal.SIGKILL)
    result = job.wait(30)
    assert result.status is TaskStatus.COMPLETED
    assert [step.attempts for step in result.steps] == [1, 1, 1]


@pytest.mark.timeout(120)
def test_a_killed_stack_ends_with_all_its_processes_and_the_next_one_goes_on(stages: Stages) -> None:
    stage = stages.new(TROUPE_AGENTS="actors", TROUPE_LEASE_S="3", TROUPE_DRAIN_S="1")
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    up, url, _ = start_fleet(stage, flower=True)
    plan = Plan(steps=[PlannedStep(id="nap", description="nap 6", agent="napper")])
    with Troupe(url) as troupe:
        job = troupe.submit("Sleep through it.", plan=plan)
        wait_until(Path(stage.variables["NAPS"]).exists)
        up.process.kill()
        up.process.wait()
    wait_until(lambda: not stage.processes(), within=15)
    assert list(stage.temporary.iterdir()) == []

    up, url, _ = start_fleet(stage, flower=False)
    with Troupe(url) as troupe:
        result = troupe.job(job.id).wait(60)
    assert result.status is TaskStatus.COMPLETED
    assert (result.steps[0].status, result.steps[0].attempts) == (StepStatus.SUCCEEDED, 2)
    up.process.terminate()
    assert up.wait(30).code == 0
