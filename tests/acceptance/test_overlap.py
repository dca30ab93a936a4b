"""Steps that may run at the same time do, on several workers."""

from orchestrator.local.redis_server import RedisServer
from tasks.events import JobFinished, PlanAccepted
from tasks.models import Plan, PlannedStep
from tests.acceptance.hand_made import hand_made
from tests.acceptance.stage import Stages, wait_until

WIDTH = 4
NAP_S = 0.2
LONGEST_S = 2.0
"""From plan to end, on a machine that does much else. Alone it takes some 0.3 s; one by one it would take 0.8 s."""


def test_four_steps_on_two_workers_take_little_longer_than_one(stages: Stages, redis_server: RedisServer) -> None:
    steps = [PlannedStep(id=f"nap-{at}", description=f"nap {NAP_S}", agent="napper") for at in range(WIDTH)]
    took: list[float] = []
    with hand_made(stages.new(), redis_server.url) as fleet:
        fleet.add_worker()
        wait_until(lambda: len(fleet.troupe.workers()) == 2, within=60)
        for _ in range(5):
            job = fleet.troupe.submit("Sleep well.", plan=Plan(steps=steps))
            at = {type(event): event.at for event in job.events()}
            took.append((at[JobFinished] - at[PlanAccepted]).total_seconds())
    assert NAP_S <= min(took) < LONGEST_S, took
