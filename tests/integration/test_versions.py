"""A job keeps to the versions of agents that it was planned with, while workers have them."""

import pytest

from tasks.ids import AttemptRef, StepId
from tasks.models import Plan, PlannedStep
from tasks.states import StepStatus
from tests.support.builders import PARTITION, a_job, a_worker
from tests.support.deciding import Deciding
from tests.support.doing import Doing
from tests.support.moves import Moves
from workers.agents.base import Agent
from workers.context import StepContext

PLAN = Plan(
    steps=[
        PlannedStep(id="zero", description="Begin.", agent="worker"),
        PlannedStep(id="one", description="Do it.", agent="worker", depends_on=["zero"]),
    ]
)
OLD, NEW = a_worker("old", version="1"), a_worker("new", version="2")


@pytest.fixture
def deciding(moves: Moves) -> Deciding:
    return Deciding(moves)


@pytest.fixture
async def planned(deciding: Deciding) -> AttemptRef:
    """A step that was planned when there was only the old version, and waits for another one."""
    await deciding.moves.fleet.announce(OLD)
    job = await deciding.submitted(a_job(plan=PLAN))
    record = await deciding.moves.snapshots.step(job, "one")
    assert record is not None
    assert record.step.version == "1"
    return AttemptRef(job, StepId("one"), 1)


def queues(deciding: Deciding) -> list[str]:
    return [one.queue for one in deciding.publisher.sent if one.message.step == "one"]


async def go_on(deciding: Deciding, planned: AttemptRef) -> None:
    """Let what it waits for be done, and its message be published."""
    deciding.actor.remember(await deciding.moves.fleet.workers())
    await deciding.settle(AttemptRef(planned.job, StepId("zero"), 1))


async def test_with_one_version_messages_go_to_the_agents_queue(deciding: Deciding, planned: AttemptRef) -> None:
    await go_on(deciding, planned)
    assert queues(deciding) == ["worker"]


async def test_with_two_versions_they_go_to_workers_of_the_one_it_was_planned_with(
    deciding: Deciding, planned: AttemptRef
) -> None:
    await deciding.moves.fleet.announce(NEW)
    await go_on(deciding, planned)
    assert queues(deciding) == ["worker@1"]
    await deciding.submitted(a_job(plan=PLAN))
    assert deciding.publisher.sent[-1].queue == "worker@2", "a new job is planned with the new version"


async def test_a_message_to_a_version_that_has_left_is_published_to_those_who_are_there(
    deciding: Deciding, planned: AttemptRef
) -> None:
    moves = deciding.moves
    await moves.fleet.announce(NEW)
    await go_on(deciding, planned)
    await moves.fleet.leave(OLD)
    deciding.actor.remember(await moves.fleet.workers())
    await moves.make_due(planned.job, "one")
    await moves.jobs.sweep(PARTITION)
    await deciding.turn()
    assert queues(deciding) == ["worker@1", "worker"]


async def say_version(_: StepContext) -> str:
    return "by the new version"


async def test_a_worker_of_another_version_leaves_the_step_to_those_who_have_its_own(
    deciding: Deciding, planned: AttemptRef
) -> None:
    doing = Doing(deciding.moves, [Agent(name="worker", description="x", version="2", run=say_version)])
    await go_on(deciding, planned)
    assert await doing.runner.run(planned) == "stopped: the step is for another version of its agent"
    assert await deciding.moves.status(planned.job, "one") is StepStatus.DELAYED
    await deciding.moves.fleet.announce(NEW)
    await deciding.turn()
    assert queues(deciding) == ["worker", "worker@1"]
    record = await deciding.moves.snapshots.step(planned.job, "one")
    assert record is not None
    assert (record.failures, record.losses) == (0, 0)


async def test_when_nobody_has_its_version_any_more_another_does_it(deciding: Deciding, planned: AttemptRef) -> None:
    doing = Doing(deciding.moves, [Agent(name="worker", description="x", version="2", run=say_version)])
    await go_on(deciding, planned)
    await deciding.moves.fleet.leave(OLD)
    assert await doing.runner.run(planned) == "succeeded"
