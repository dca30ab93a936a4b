"""Steps that have other steps done for them, on one worker that does one thing at a time."""

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from orchestrator.local.stack import LocalStack
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult, StepReport
from tasks.states import StepStatus, TaskStatus
from tests.acceptance.conftest import CLAUDE
from tests.acceptance.stage import Stage, Stages, wait_until
from workers.testing import FakeMessages, Say

WITHIN_S: Final = 60.0
CIRCLE: Final = """
from workers import Agent

hen = Agent(name="hen", description="Lays.", sub_agents=["egg"])
egg = Agent(name="egg", description="Hatches.", sub_agents=["hen"])
"""


async def answer(body: dict[str, Any]) -> Say:
    """Whoever may delegate has two things done at once, and says what came of them."""
    tool = next((one for one in body.get("tools", []) if one["name"] == "delegate"), None)
    text = str(body["messages"])
    if tool is None or "tool_result" in text:
        return Say(
            content="Answered." if tool is None else f"Heard {text.count('Answered.') or text.count('Heard')} times."
        )
    below = tool["input_schema"]["properties"]["agent"]["enum"][0]
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": f"toolu_{at}", "name": "delegate", "input": {"agent": below, "task": f"Part {at}."}}
        for at in range(2)
    ]
    return Say(content=calls, stop_reason="tool_use")


@dataclass
class Scene:
    """A fleet of one slot, and a client."""

    stage: Stage
    fake: FakeMessages
    troupe: Troupe

    def submit(self, agent: str, **options: Any) -> JobHandle:
        """A job of one step."""
        plan = Plan(steps=[PlannedStep(id="top", description="Do it.", agent=agent)])
        return self.troupe.submit("Do it.", plan=plan, **options)

    def sleeper(self) -> int:
        """Wait until the sleeping one sleeps; gives the process that runs it."""
        naps = self.naps
        pid = int(wait_until(lambda: naps.exists() and naps.read_text(), within=WITHIN_S))
        naps.unlink()
        return pid

    @property
    def naps(self) -> Path:
        """Where it says so."""
        return Path(self.stage.variables["NAPS"])


@pytest.fixture(scope="module")
def scene(stages: Stages) -> Iterator[Scene]:
    with FakeMessages(answer) as fake:
        stage = stages.new(
            TROUPE_AGENTS="splitters",
            TROUPE_LEASE_S="3",
            TROUPE_REPUBLISH_S="1",
            TROUPE_MODEL="offline",
            TROUPE_RATE_LIMITS="requests=100000,input_tokens=100000000,output_tokens=100000000",
            ANTHROPIC_API_KEY="sk-ant-test",
            ANTHROPIC_BASE_URL=fake.url,
        )
        stage.variables |= {"NAPS": str(stage.folder / "naps"), "PYTHONPATH": str(stage.work)}
        shutil.copy(Path(__file__).with_name("splitters.py"), stage.work)
        with LocalStack(stage.home, [["levels", "summary"]], concurrency=1, environment=stage.environment()) as stack:
            stack.wait_until_ready()
            with Troupe(stack.url) as troupe:
                yield Scene(stage, fake, troupe)


def step_of(result: JobResult, agent: str) -> StepReport:
    """The step of an agent."""
    return next(step for step in result.steps if step.agent == agent)


def text_of(result: JobResult) -> str:
    """What the plan's only step says."""
    assert result.status is TaskStatus.COMPLETED, result.error
    assert result.steps[0].result is not None, result.steps[0].error
    return result.steps[0].result.text


@pytest.mark.parametrize("depth", range(1, 6))
def test_as_deep_as_steps_may_delegate_one_slot_is_enough(scene: Scene, depth: int) -> None:
    result = scene.submit(f"chain{depth}").wait(WITHIN_S)
    assert text_of(result) == f"leaf top{'_1' * depth}"
    assert [step.attempts for step in result.steps if step.agent.startswith("chain")] == [2] * depth + [1]


def test_deeper_than_they_may_is_refused_and_the_fault_names_the_way_down(scene: Scene) -> None:
    result = scene.submit("chain6").wait(WITHIN_S)
    way = " → ".join(f"chain{at}" for at in range(6, 0, -1))
    assert f"{way} is as deep as delegation may go (5)" in text_of(result)
    assert "chain0" not in {step.agent for step in result.steps}
    assert step_of(result, "chain1").status is StepStatus.FAILED


def test_a_wide_and_deep_tree_needs_no_more_than_one_slot(scene: Scene) -> None:
    result = scene.submit("tree4").wait(WITHIN_S)
    assert text_of(result).count("leaf") == 16
    work = [step for step in result.steps if step.agent.startswith("tree")]
    assert (len(work), sum(step.attempts for step in work)) == (31, 15 * 2 + 16)


def test_models_delegate_by_a_tool_and_no_answer_is_bought_twice(scene: Scene) -> None:
    calls = scene.fake.calls
    result = scene.submit("model4", model=CLAUDE).wait(WITHIN_S)
    assert text_of(result) == "Heard 2 times."
    assert [step.status for step in result.steps if step.status is not StepStatus.SUCCEEDED] == []
    assert scene.fake.calls - calls == 15 * 2 + 16 + 1
    assert scene.fake.violations == []


def test_a_worker_that_dies_in_the_middle_of_a_tree_loses_nothing(scene: Scene) -> None:
    job = scene.submit("restless1")
    os.kill(scene.sleeper(), signal.SIGKILL)
    result = job.wait(WITHIN_S)
    assert text_of(result) == "awake"
    assert [step.attempts for step in result.steps if step.agent != "summary"] == [2, 2, 2]


def test_a_parent_is_told_of_a_child_that_failed_and_goes_on(scene: Scene) -> None:
    result = scene.submit("caring").wait(WITHIN_S)
    assert text_of(result) == "(there is no such year) + leaf top_2"
    assert step_of(result, "failing").status is StepStatus.FAILED


def test_children_have_no_more_time_than_their_parent_and_end_with_it(scene: Scene) -> None:
    job = scene.submit("hasty")
    scene.sleeper()
    result = job.wait(WITHIN_S)
    child, parent = step_of(result, "sleeping"), step_of(result, "hasty")
    assert (child.result, child.attempts) == (None, 1)
    # Both end at the same moment: the parent is given up, or has just heard that its child was.
    if parent.status is StepStatus.FAILED:
        assert parent.error is not None
        assert parent.error.code == "deadline_passed"
    else:
        assert "no result within" in text_of(result)
    assert scene.submit("chain1").wait(WITHIN_S).status is TaskStatus.COMPLETED, "its slot is free again"


def test_a_step_that_is_cancelled_takes_its_children_along(scene: Scene) -> None:
    job = scene.submit("restless1")
    scene.sleeper()
    job.cancel()
    assert {step.status for step in job.wait(WITHIN_S).steps} == {StepStatus.CANCELLED}
    assert scene.submit("chain1").wait(WITHIN_S).status is TaskStatus.COMPLETED, "its slot is free again"


def test_agents_in_a_circle_are_refused_when_their_worker_starts(stage: Stage) -> None:
    (stage.work / "circle.py").write_text(CIRCLE)
    done = stage.troupe("worker", "hen", TROUPE_AGENTS="circle", TROUPE_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.code == 2
    assert "egg → hen → egg" in done.complaint or "hen → egg → hen" in done.complaint
