"""A small fleet behind the page: agents that ask people, and a model that writes slowly enough to be watched."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, cast

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from orchestrator.local.redis_server import RedisServer
from tasks.models import Plan, PlannedStep
from tests.acceptance.conftest import CLAUDE
from tests.acceptance.stage import START_WITHIN_S, Stage, wait_until
from tests.acceptance.web_scene import Site, site
from workers.agents.envelope import unwrap
from workers.testing import FakeMessages, Say
from workers.testing.responder import RuleResponder

AGENTS: Final = '''
from workers import Agent, StepContext, tool


@tool(requires_approval=True)
async def refund(order: str, amount: int) -> str:
    """Pay an order's price back."""
    return f"paid {amount} back for {order}"


async def asking(context: StepContext) -> str:
    return f"The year is {await context.ask('Which year is meant?', ['2024', '2025'])}."


async def telling(context: StepContext) -> str:
    return f"I was told: {context.claim.step.description}"


clerk = Agent(name="clerk", description="Pays orders back.", tools=[refund])
careful = Agent(
    name="careful", description="Waits for a yes.", queue="clerk", requires_approval=True, run=telling
)
asker = Agent(name="asker", description="Asks.", queue="clerk", run=asking)
'''
QUEUES: Final = ("planner", "search", "summary", "clerk")
PACE_S: Final = 0.05
"""Between the pieces of a streamed answer."""


async def answer(body: dict[str, Any]) -> Say:
    """Pay back once, then say what came of it; all else as the offline rules say, and slowly where it is streamed."""
    if "refund" not in [one["name"] for one in body.get("tools", [])]:
        said = await RuleResponder()(body)
        return said.model_copy(update={"pace_s": PACE_S if body.get("stream") else 0.0})
    blocks = [block for one in body["messages"] for block in cast("list[dict[str, Any]] | str", one["content"])]
    results = [block for block in blocks if not isinstance(block, str) and block.get("type") == "tool_result"]
    if results:
        ((_, text),) = unwrap(str(results[-1]["content"]), "result")
        return Say(content=f"Done: {text}")
    arguments = {"order": "A-1001", "amount": 90}
    call: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "refund", "input": arguments}
    return Say(content=[call], stop_reason="tool_use")


@contextmanager
def staffed(stage: Stage) -> Generator[Site]:
    """An orchestrator, a worker for all agents, and the API with its page, on one home."""
    with ExitStack() as ending:
        fake = ending.enter_context(FakeMessages(answer))
        server = RedisServer.start(stage.folder / "redis")
        ending.callback(server.stop)
        stage.variables.update(
            TROUPE_REDIS_URL=server.url,
            TROUPE_AGENTS="clerks",
            TROUPE_MODEL=CLAUDE,
            ANTHROPIC_API_KEY="sk-ant-test",
            ANTHROPIC_BASE_URL=fake.url,
        )
        (stage.work / "clerks.py").write_text(AGENTS)
        commands = [stage.start("orchestrator"), stage.start("worker", *QUEUES, "--concurrency", "8")]
        made = ending.enter_context(site(stage, server.url))

        def ready() -> bool:
            for command in commands:
                assert command.process.poll() is None, command.said
            return _ready(made.troupe)

        wait_until(ready, within=START_WITHIN_S)
        try:
            yield made
        finally:
            for command in commands:
                command.process.terminate()
            for command in commands:
                command.wait()


def _ready(troupe: Troupe) -> bool:
    return bool(troupe.orchestrators()) and {one.name for one in troupe.agents()} >= {"clerk", "summary"}


def ask(scene: Site, agent: str, description: str = "Do it.") -> JobHandle:
    """A job of one step that asks somebody; it is given once it does."""
    plan = Plan(steps=[PlannedStep(id="one", description=description, agent=agent)])
    job = scene.troupe.submit(description, plan=plan)
    wait_until(lambda: job.id in {one.job_id for one in scene.troupe.people.list()})
    return job
