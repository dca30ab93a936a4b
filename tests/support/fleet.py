"""A whole fleet in the test's own loop: the orchestrator's decisions, a worker for all agents, a model in script."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tasks.ids import AttemptRef, JobId
from tasks.presence import WorkerPresence
from tasks.states import FINAL_JOB
from tasks.store import BoardStore
from tasks.store.waits import WaitStore
from tests.support.builders import a_worker
from tests.support.deciding import Deciding
from tests.support.doing import ScriptedAnswering, a_runner
from tests.support.moves import Moves
from workers.agents.base import Agent
from workers.lease import Leases
from workers.llm.base import Model


class Fleet:
    """Runs jobs of one partition to their end."""

    def __init__(self, moves: Moves, agents: Sequence[Agent], model: Model | None = None, **settings: Any) -> None:
        self.moves = moves
        self.agents = agents
        self.announced = [agent.definition() for agent in agents]
        self.deciding = Deciding(moves, **settings)
        self.leases = Leases(moves.attempts, 0.02)
        answering = ScriptedAnswering(model, moves.store, others=False)
        waits, board = WaitStore(moves.store), BoardStore(moves.store)
        self.runner = a_runner(moves, self.leases, agents, answering, waits=waits, board=board)

    @property
    def presence(self) -> WorkerPresence:
        """What its worker says of itself."""
        return a_worker().model_copy(update={"agents": tuple(self.announced)})

    async def run(self, *jobs: JobId) -> None:
        """Bring jobs to their end; steps that may run at the same time do."""
        await self.moves.fleet.announce(self.presence)
        renewing = asyncio.create_task(self.leases.keep())
        running: set[asyncio.Task[str]] = set()
        try:
            while not await self._over(jobs):
                await self.deciding.sweep()
                running |= {asyncio.create_task(self.runner.run(ref)) for ref in self._taken()}
                if running:
                    done, running = await asyncio.wait(running, timeout=0.02)
                    _ = [one.result() for one in done]
            await asyncio.gather(*running)
        finally:
            renewing.cancel()

    def _taken(self) -> list[AttemptRef]:
        sent, self.deciding.publisher.sent = self.deciding.publisher.sent, []
        return [AttemptRef(one.message.job, one.message.step, one.message.attempt) for one in sent]

    async def _over(self, jobs: Sequence[JobId]) -> bool:
        return all([(await self.moves.snapshots.status(job))[0] in FINAL_JOB for job in jobs])
