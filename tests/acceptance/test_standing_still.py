"""A job of many steps is cancelled, or paused and resumed, on all workers: what stops, how soon, and what goes on."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
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
from workers.testing import FakeMessages, Hang, Say

AGENTS: Final = '''
from tasks.models import PlannedStep
from workers import Agent, StepContext, tool


@tool(requires_approval=True)
async def sign(name: str) -> str:
    """Sign for somebody."""
    return f"signed {name}"


async def split(context: StepContext) -> str:
    parts = [PlannedStep(id=f"p{at}", description=f"Part {at}.", agent="helper") for at in range(2)]
    return " ".join(item.result.text for item in await context.delegate_all(parts) if item.result)


async def ask(context: StepContext) -> str:
    return f"The year is {await context.ask('Which year?')}."


thinker = Agent(name="thinker", description="Thinks.")
helper = Agent(name="helper", description="Helps.", queue="others")
signer = Agent(name="signer", description="Signs.", queue="others", tools=[sign])
boss = Agent(name="boss", description="Splits.", queue="others", run=split, sub_agents=["helper"])
asker = Agent(name="asker", description="Asks.", queue="others", run=ask)
'''
RUNNING: Final = 50
"""Slots of the thinkers' worker: so many of their steps run."""
WAITING: Final = 50
"""Thinkers' steps that wait for a slot."""
BOSSES: Final = 5
IN_FLIGHT: Final = RUNNING + 2 * BOSSES
"""Model calls that hang: of the thinkers, and of the helpers of parked bosses."""
NEEDED: Final = RUNNING + WAITING + 2 * BOSSES + 2 + 1
"""Model calls of the job: one a thinker and a helper, two of the signer, one for the answer."""
OTHER: Final = "Another task."
"""Of jobs that are not looked at."""
NO_CALL_AFTER_S: Final = 1.0
ABORTED_WITHIN_S: Final = 2.0


@dataclass
class Provider:
    """What the fake Messages API says, and when it was asked."""

    hanging: bool = True
    came: list[float] = field(default_factory=list[float])
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def __call__(self, body: dict[str, Any]) -> Say | Hang:
        """Let thinkers and helpers wait for ever; the signer asks to sign, then is done."""
        tools, text = [one["name"] for one in body.get("tools", [])], str(body["messages"])
        if OTHER in text:
            return Say(content="Well thought.")
        with self.lock:
            self.came.append(time.monotonic())
        if "sign" in tools and "tool_result" not in text:
            call: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "sign", "input": {"name": "Ann"}}
            return Say(content=[call], stop_reason="tool_use")
        thinks = "sign" not in tools and ("Think " in text or "Part " in text)
        return Hang() if thinks and self.hanging else Say(content="Well thought.")

    def after(self, moment: float) -> int:
        """Calls that came later than that."""
        with self.lock:
            return sum(one > moment for one in self.came)


@dataclass
class Scene:
    """Two workers, what they call, and a client."""

    stage: Stage
    fake: FakeMessages
    provider: Provider
    troupe: Troupe
    url: str

    def begin(self) -> JobHandle:
        """Submit the job; gives it when all that can run hangs, and all that waits for others is parked."""
        self.provider.hanging = True
        self.provider.came.clear()
        steps = [PlannedStep(id=f"boss-{at}", description="Split it.", agent="boss") for at in range(BOSSES)]
        steps += [PlannedStep(id="signer", description="Sign it.", agent="signer")]
        steps += [PlannedStep(id="asker", description="Ask.", agent="asker")]
        steps += [
            PlannedStep(id=f"t-{at}", description=f"Think {at}.", agent="thinker") for at in range(RUNNING + WAITING)
        ]
        job = self.troupe.submit("Think about it.", plan=Plan(steps=steps), model=CLAUDE)
        standing = {"running": IN_FLIGHT, "parked": BOSSES + 2, "waiting": WAITING, "blocked": 1}
        wait_until(lambda: self.statuses(job) == standing and len(self.provider.came) == IN_FLIGHT + 1)
        return job

    def statuses(self, job: JobHandle) -> Counter[str]:
        """How many of its steps stand where; those that wait for a slot, or for a worker with their message, as one."""
        found = Counter(step.status.value for step in job.snapshot().steps)
        waiting = found.pop("ready", 0) + found.pop("dispatched", 0)
        return found + Counter(waiting=waiting)

    def stopped(self, begun: float, aborted: int) -> float:
        """Wait until all calls that hung were broken off; gives how long that took."""
        wait_until(lambda: self.fake.aborted - aborted >= IN_FLIGHT)
        return time.monotonic() - begun

    def outlive(self, moment: float) -> None:
        """Run other jobs to their ends until well after that: the fleet lives, and could begin what it should not."""
        plan = Plan(steps=[PlannedStep(id="one", description="Think.", agent="thinker")])
        while True:
            assert self.troupe.submit(OTHER, plan=plan, model=CLAUDE).wait(60).status is TaskStatus.COMPLETED
            if time.monotonic() > moment + NO_CALL_AFTER_S:
                return


@pytest.fixture(scope="module")
def scene(stages: Stages) -> Iterator[Scene]:
    provider = Provider()
    with FakeMessages(provider) as fake:
        stage = stages.new(
            TROUPE_AGENTS="thinkers",
            TROUPE_MAX_STEPS="200",
            TROUPE_MODEL="offline",
            ANTHROPIC_API_KEY="sk-ant-test",
            ANTHROPIC_BASE_URL=fake.url,
            TROUPE_RATE_LIMITS="requests=100000,input_tokens=100000000,output_tokens=100000000",
            PYTHONPATH=str(stages.folder / "agents"),
        )
        (stages.folder / "agents").mkdir()
        (stages.folder / "agents" / "thinkers.py").write_text(AGENTS)
        queues = [["thinker"], ["others", "summary"]]
        with LocalStack(stage.home, queues, concurrency=RUNNING, environment=stage.environment()) as stack:
            stack.wait_until_ready()
            with Troupe(stack.url) as troupe:
                yield Scene(stage, fake, provider, troupe, stack.url)


def test_a_cancelled_job_stops_on_all_workers_and_each_node_says_why(scene: Scene) -> None:
    job, aborted = scene.begin(), scene.fake.aborted
    begun = time.monotonic()
    assert job.cancel() is TaskStatus.CANCELLED
    took = scene.stopped(begun, aborted)
    scene.outlive(begun + NO_CALL_AFTER_S)
    late = scene.provider.after(begun)
    print(f"cancelled: {IN_FLIGHT} calls aborted within {took:.2f} s; new calls after it: {late}")
    assert took <= ABORTED_WITHIN_S
    assert scene.provider.after(begun + NO_CALL_AFTER_S) == 0
    result = job.wait(10)
    assert result.status is TaskStatus.CANCELLED
    assert {step.status for step in result.steps} == {StepStatus.CANCELLED}
    assert all("cancelled on request" in why(step) for step in result.steps), [why(step) for step in result.steps]
    assert [one for one in scene.troupe.people.list() if one.job_id == job.id] == []


def test_a_paused_job_stands_still_and_is_resumed_without_loss(scene: Scene) -> None:
    job, aborted = scene.begin(), scene.fake.aborted
    begun = time.monotonic()
    assert job.pause() is TaskStatus.IN_PROGRESS
    took = scene.stopped(begun, aborted)
    scene.stage.troupe("approve", job.id, "signer", TROUPE_REDIS_URL=scene.url)
    scene.stage.troupe("answer", job.id, "asker", "2025", TROUPE_REDIS_URL=scene.url)
    scene.outlive(begun + NO_CALL_AFTER_S)
    late = scene.provider.after(begun)
    assert took <= ABORTED_WITHIN_S
    assert scene.provider.after(begun + NO_CALL_AFTER_S) == 0, "also when what it waited for has come"
    assert job.snapshot().paused
    assert scene.statuses(job) == {"waiting": IN_FLIGHT + WAITING + 2, "parked": BOSSES, "blocked": 1}
    scene.provider.hanging = False
    assert job.resume() is TaskStatus.IN_PROGRESS
    result = job.wait(90)
    bought = len(scene.provider.came) - NEEDED
    print(f"paused: {IN_FLIGHT} calls aborted within {took:.2f} s; new calls after it: {late}; {bought} bought twice")
    assert (result.status, result.error) == (TaskStatus.COMPLETED, None)
    assert unfinished(result) == []
    assert 0 <= bought <= IN_FLIGHT


def why(step: StepReport) -> str:
    """What a step says of its end."""
    return step.error.message if step.error else ""


def unfinished(result: JobResult) -> list[str]:
    """Steps that have no result."""
    return [step.id for step in result.steps if step.status is not StepStatus.SUCCEEDED]
