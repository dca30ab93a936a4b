"""The step that the running code works on: what tools and agents may ask of their surroundings."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from pydantic import JsonValue

from tasks.errors import ContractError
from tasks.models import AgentDefinition, Claim, Source
from tasks.redaction import Secrets, excerpt, hide_here
from tasks.usage import Usage

Emit = Callable[[str, dict[str, JsonValue]], None]


def _silent(_kind: str, _data: dict[str, JsonValue]) -> None: ...


@dataclass(slots=True)
class StepContext:
    """One attempt, seen from inside."""

    claim: Claim
    agents: tuple[AgentDefinition, ...] = ()
    """Living agents that a plan may use; filled for the planner only."""
    found: dict[str, Source] = field(default_factory=dict[str, Source])
    """Every source that a tool has shown to the model in this attempt, by id; only these can be cited."""
    kept: set[str] = field(default_factory=set[str])
    """Ids of those of them that the journal has."""
    usage: Usage = field(default_factory=Usage)
    """Consumed so far."""
    booked: Usage = field(default_factory=Usage)
    """As much of it as the ledger has."""
    broken_off: bool = False
    """Its conversation was broken off by a call that came to nothing: the next attempt goes on there."""
    grew: bool = False
    """Its conversation has come further than those of earlier attempts."""
    said: list[str] = field(default_factory=list[str])
    """What its model has written so far, turn by turn: all that there is if it ends without a result."""
    emit: Emit = _silent
    """Writes an event (type, data) to the job's stream; costs no wait, and may be called from any thread."""
    begun: float = field(default_factory=time.monotonic)
    """When the claim came, by `time.monotonic`."""
    last_sign: float = field(default_factory=time.monotonic)
    """Last sign of life, by `time.monotonic`."""
    secrets: Secrets = field(default_factory=Secrets)
    """What its tools' inputs and outputs have shown to be secret: masked in logs, events and failures."""
    unseen: int = 0
    """Waits going on whose progress nobody can see."""

    def sign(self) -> None:
        """Give a sign of life: the attempt is not idle. Events, usage, and tool calls are signs by themselves."""
        self.last_sign = time.monotonic()

    @contextmanager
    def waiting(self, *, seen: bool = False) -> Generator[None]:
        """A wait that is not idle although it gives no sign, as for a model's whole answer.

        Args:
            seen: Within such a wait: one that gives signs after all, as for the pieces of an answer.
        """
        step = -1 if seen else 1
        self.unseen += step
        self.sign()
        try:
            yield
        finally:
            self.unseen -= step
            self.sign()

    @property
    def left_s(self) -> float:
        """Seconds that the attempt still has; below nothing when it is over."""
        return self.claim.deadline_ms / 1000 - (time.monotonic() - self.begun)

    @property
    def knowledge(self) -> tuple[str, ...]:
        """Names of the knowledge bases that this job may search; empty: the default one."""
        return self.claim.job.knowledge

    def cite(self, source: Source) -> str:
        """Remember a source that the model is being shown, and return the id to show with it."""
        self.sign()
        self.found.setdefault(source.id, source)
        return source.id

    def spend(self, usage: Usage) -> None:
        """Add to what the attempt consumed."""
        self.sign()
        self.usage = self.usage + usage

    def progress(self, message: str) -> None:
        """Show people one line of progress."""
        self.sign()
        self.emit("step_progress", {"message": excerpt(message, 500)})


_current: ContextVar[StepContext] = ContextVar("troupe_step")


def current_step() -> StepContext:
    """The step that this code runs for.

    Raises:
        ContractError: called outside a step.
    """
    try:
        return _current.get()
    except LookupError:
        raise ContractError("no step is running here: current_step() is for code inside agents and tools") from None


def running_step() -> StepContext | None:
    """The step that this code runs for; None outside one."""
    return _current.get(None)


def enter_step(context: StepContext) -> None:
    """Make `context` current for this asyncio task and the threads it starts."""
    hide_here(context.secrets)
    _current.set(context)
