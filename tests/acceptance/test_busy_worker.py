"""A worker with more to do than threads: it takes the next step as soon as one has ended."""

from datetime import datetime
from itertools import pairwise
from typing import Final

from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import Fleet
from tests.acceptance.stage import START_WITHIN_S, wait_until

STEPS: Final = 40
LONG_S: Final = 0.7
"""Without a nudge the consumer looks for a message once a second."""


def test_a_busy_worker_does_not_wait_between_steps(fleet: Fleet) -> None:
    worker = fleet.stage.start(
        "worker", "busy", "--concurrency", "4", TROUPE_REDIS_URL=fleet.url, TROUPE_AGENTS="actors", NAPPER="busy"
    )
    try:
        wait_until(lambda: worker.pid in {one.pid for one in fleet.troupe.workers()}, within=START_WITHIN_S)
        steps = [PlannedStep(id=f"nap-{at}", description="nap 0.05", agent="busy") for at in range(STEPS)]
        result = fleet.troupe.submit("Sleep in turns.", plan=Plan(steps=steps)).wait(90)
    finally:
        worker.process.terminate()
        worker.wait()
    assert result.status is TaskStatus.COMPLETED
    starts: list[datetime] = sorted(one.started_at for one in result.steps if one.agent == "busy" and one.started_at)
    gaps = [(after - before).total_seconds() for before, after in pairwise(starts)]
    assert len(gaps) == STEPS - 1
    assert len([gap for gap in gaps if gap > LONG_S]) <= 2, gaps
