"""A worker process: what it does with messages while it works and while it stops."""

from collections.abc import Iterator
from typing import cast

import pytest

from tasks.ids import AttemptRef
from tasks.settings import StoreSettings
from tests.unit.attempts import REF
from workers.agents.registry import AgentRegistry
from workers.llm.settings import ModelSettings
from workers.process import WorkerProcess
from workers.runner import Runner
from workers.settings import WorkerSettings


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
