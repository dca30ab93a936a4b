"""`troupe up --autoscale`: a burst brings workers, quiet sends them away, and no step is lost on the way."""

from orchestrator import Troupe
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import start_fleet
from tests.acceptance.stage import Stages, copy_actors, wait_until

STEPS = 20
"""More than one worker has done before the others have started."""


def test_workers_come_with_a_burst_and_go_when_it_is_quiet(stages: Stages) -> None:
    stage = stages.new(TROUPE_AGENTS="actors", NAPPER="crowd", NAPS="naps.txt")
    copy_actors(stage)
    up, url, _ = start_fleet(stage, "--autoscale", "1:3", "--concurrency", "2", flower=False)
    with Troupe(url) as troupe:

        def crowd() -> int:
            return sum("crowd" in worker.queues for worker in troupe.workers())

        assert crowd() == 1
        steps = [PlannedStep(id=f"s{at}", description="nap 4", agent="crowd") for at in range(STEPS)]
        job = troupe.submit("Sleep.", plan=Plan(steps=steps))
        wait_until(lambda: crowd() == 3, within=60)
        wait_until(lambda: crowd() == 1, within=60)
        result = job.wait(60)
    assert result.status is TaskStatus.COMPLETED
    assert [step.attempts for step in result.steps if step.kind == "work"] == [1] * STEPS
    up.process.terminate()
    assert up.wait(40).code == 0
    assert "crowd: 3 → 2 workers" in up.said
