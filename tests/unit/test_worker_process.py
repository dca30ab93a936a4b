"""A worker process: what it does with messages while it works and while it stops."""

from collections.abc import Iterator
from typing import cast

import pytest

from tasks.ids import AttemptRef
from tasks.settings import StoreSettings
from tests.support.builders import a_worker
from tests.unit.attempts import REF
from workers.agents.base import Agent
from workers.agents.registry import AgentRegistry
from workers.answering import Answering
from workers.llm.settings import ModelSettings
from workers.process import WorkerProcess
from workers.runner import Runner
from workers.settings import WorkerSettings
from workers.tools.base import Tool, tool


class FakeRunner:
    """Says what it was asked for."""

    async def run(self, ref: AttemptRef) -> str:
        return f"ran {ref.step}"

    async def decline(self, ref: AttemptRef) -> str:
        return f"declined {ref.step}"


@pytest.fixture
def process() -> Iterator[WorkerProcess]:
    """A process whose loop runs, with a runner of our own."""
    process = WorkerProcess(StoreSettings(), WorkerSettings(), ModelSettings(model="offline"), AgentRegistry([]))
    process.runner = cast(Runner, FakeRunner())
    process.loop.start()
    yield process
    process.loop.stop()


def test_a_working_process_runs_what_comes(process: WorkerProcess) -> None:
    assert process.run(REF) == f"ran {REF.step}"


def test_a_stopping_process_declines_what_still_comes(process: WorkerProcess) -> None:
    process.stopping = True
    assert process.run(REF) == f"declined {REF.step}"


@tool(timeout=7, rate_limit=60, tags=["money"])
async def quote(ticker: str) -> str:
    """Latest price of one share."""
    return ticker


def given(name: str) -> Tool:
    return Tool(name=name, description="word " * 300, function=quote.function, given_schema={"type": "object"})


def test_a_process_announces_the_tools_of_its_agents_and_those_that_servers_gave_them() -> None:
    agents = [Agent(name="finance", description="Shares.", tools=[quote]), Agent(name="other", description="Other.")]
    process = WorkerProcess(StoreSettings(), WorkerSettings(), ModelSettings(model="offline"), AgentRegistry(agents))
    process.presence = a_worker("w1", ["finance"])
    process.answering = Answering(ModelSettings(model="offline"))
    process.answering.given = {"finance": (given("files_read"),), "other": (given("files_write"),)}
    announced = {one.name: one for one in process.offered_tools().tools}
    assert set(announced) == {"quote", "files_read"}
    first = announced["quote"]
    assert (first.agents, first.timeout_s, first.rate_limit, first.tags) == (("finance",), 7, 60, ("money",))
    assert len(announced["files_read"].description) == 500
