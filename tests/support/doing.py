"""The doing side in a test's hand: a runner with the real store, agents that are code, and a model that is a script."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tasks.ids import AttemptRef, JobId, StepId
from tasks.store import Store
from tests.support.builders import WORKER
from tests.support.moves import Moves
from workers.agents.base import Agent, Run
from workers.agents.registry import AgentRegistry
from workers.answering import Answering
from workers.lease import Leases
from workers.llm.base import Model
from workers.llm.settings import ModelSettings
from workers.runner import Outcome, Runner
from workers.spans import Observer


def code_agent(run: Run, name: str = "worker", **fields: Any) -> Agent:
    """An agent that is plain code; steps of `a_step` go to it."""
    return Agent(name=name, description="Does as told.", run=run, **fields)


class ForbiddenModelError(AssertionError):
    """A model was asked where none may be."""


class ScriptedAnswering(Answering):
    """Lets one model answer for all."""

    def __init__(self, model: Model | None, store: Store | None = None, *, others: bool = True) -> None:
        """Make it.

        Args:
            store: For budgets and journals.
            others: Whether the offline model answers where there is no script.
        """
        super().__init__(ModelSettings(model="offline"), store)
        self.scripted = model
        self.others = others

    def model(self, name: str | None) -> Model:
        """The script, whatever is asked for."""
        if self.scripted is None and not self.others:
            raise ForbiddenModelError(f"model {name!r} was asked for")
        return self.scripted or super().model(name)


def a_runner(
    moves: Moves,
    leases: Leases,
    agents: Sequence[Agent],
    answering: Answering,
    settle_within: float = 10.0,
    **more: Any,
) -> Runner:
    """The inside of one worker, on the real store."""
    return Runner(
        worker=WORKER,
        attempts=moves.attempts,
        fleet=moves.fleet,
        leases=leases,
        agents=AgentRegistry(agents),
        answering=answering,
        settle_within=timedelta(seconds=settle_within),
        **more,
    )


class Doing:
    """One worker's inside."""

    def __init__(
        self,
        moves: Moves,
        agents: Sequence[Agent],
        *,
        model: Model | None = None,
        settle_within: float = 10.0,
        keeps_accounts: bool = False,
        observers: Sequence[Observer] = (),
    ) -> None:
        """Make it.

        Args:
            keeps_accounts: With budgets, ledger and journal.
        """
        self.moves = moves
        self.leases = Leases(moves.attempts, 0.02)
        answering = ScriptedAnswering(model, moves.store if keeps_accounts else None)
        self.runner = a_runner(moves, self.leases, agents, answering, settle_within, observers=observers)

    def start(self, ref: AttemptRef) -> "asyncio.Task[Outcome]":
        """Begin an attempt."""
        return asyncio.create_task(self.runner.run(ref))

    async def one(self, job: JobId, step: str = "one") -> Outcome:
        """Dispatch a ready step and run its first attempt."""
        return await self.start(await self.moves.dispatched(job, step))

    async def renewing(self) -> None:
        """Send heartbeats for ever."""
        await self.leases.keep()


def ref_to(job: JobId, step: str = "one", attempt: int = 1) -> AttemptRef:
    """An attempt."""
    return AttemptRef(job, StepId(step), attempt)
