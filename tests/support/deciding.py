"""The deciding side in a test's hand: an actor, a publisher that only remembers, and workers that are played."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestrator.scheduling.acting import Actor
from orchestrator.scheduling.dispatch import Publisher
from orchestrator.settings import OrchestratorSettings
from tasks.errors import BrokerUnavailable
from tasks.ids import AttemptRef, JobId
from tasks.messages import Dispatch
from tasks.models import JobSpec, Plan, StepResult
from tasks.store import Outbox
from tests.support.builders import COST, PARTITION, RESULT, a_planning_step
from tests.support.moves import Moves


class RememberingPublisher(Publisher):
    """Keeps what it was to publish."""

    def __init__(self) -> None:
        self.sent: list[Dispatch] = []
        self.away = False
        self.depths: dict[str, int] = {}
        self.on_publish: Callable[[Sequence[Dispatch]], Awaitable[None]] | None = None
        self.closed = False

    async def publish(self, dispatches: Sequence[Dispatch]) -> None:
        """Remember them."""
        if self.away:
            raise BrokerUnavailable("the broker is away")
        self.sent += dispatches
        if self.on_publish is not None:
            await self.on_publish(dispatches)

    async def depth(self, name: str) -> int:
        """What the test says."""
        if self.away:
            raise BrokerUnavailable("the broker is away")
        return self.depths.get(name, 0)

    async def close(self) -> None:
        """Remember it."""
        self.closed = True

    @property
    def ids(self) -> list[str]:
        """`step:attempt` of everything published, in order."""
        return [f"{one.message.step}:{one.message.attempt}" for one in self.sent]


class Deciding:
    """One actor over the test's store."""

    def __init__(self, moves: Moves, **settings: Any) -> None:
        self.moves = moves
        self.publisher = RememberingPublisher()
        self.actor = Actor(moves.store, self.publisher, moves.outbox, OrchestratorSettings(**settings))

    async def turn(self) -> None:
        """Act on new entries until there are none."""
        while entries := await self.moves.entries():
            await self.actor.act(PARTITION, entries)

    async def sweep(self) -> None:
        """Act on due timers, and on what follows."""
        await self.moves.jobs.sweep(PARTITION)
        await self.turn()

    async def take_over(self, consumer: str = "heir") -> int:
        """Act on entries that another reader left; how many there were."""
        left = await Outbox(self.moves.store, consumer).take_over(PARTITION, count=100)
        await self.actor.act(PARTITION, left)
        return len(left)

    async def submitted(self, spec: JobSpec) -> JobId:
        """A job whose first message was published."""
        job = await self.moves.jobs.submit(spec, None if spec.plan is not None else a_planning_step())
        await self.turn()
        return job

    async def propose(self, job: JobId, proposal: Plan | dict[str, Any] | None, step: str = "plan") -> None:
        """Let the planner answer."""
        data: Any = proposal.model_dump(mode="json") if isinstance(proposal, Plan) else proposal
        await self.settle(AttemptRef.parse(f"{job}:{step}:1"), StepResult(text="plan", data=data))

    async def settle(self, ref: AttemptRef, result: StepResult = RESULT) -> None:
        """Let a worker run a published attempt to its result."""
        assert await self.moves.claim(ref) is not None
        assert await self.moves.attempts.succeed(ref, result, COST) is None
        await self.turn()
