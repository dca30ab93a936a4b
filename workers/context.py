"""The step that the running code works on: what tools and agents may ask of their surroundings."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

from pydantic import JsonValue

from tasks.errors import ContractError
from tasks.models import AgentDefinition, Claim, Source, Usage

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
    usage: Usage = field(default_factory=Usage)
    """Consumed so far."""
    emit: Emit = _silent
    """Writes an event (type, data) to the job's stream; costs no wait, and may be called from any thread."""

    @property
    def knowledge(self) -> tuple[str, ...]:
        """Names of the knowledge bases that this job may search; empty: the default one."""
        return self.claim.job.knowledge

    def cite(self, source: Source) -> str:
        """Remember a source that the model is being shown, and return the id to show with it."""
        self.found.setdefault(source.id, source)
        return source.id

    def spend(self, usage: Usage) -> None:
        """Add to what the attempt consumed."""
        self.usage = self.usage + usage

    def progress(self, message: str) -> None:
        """Show people one line of progress."""
        self.emit("step_progress", {"message": message[:500]})


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


def enter_step(context: StepContext) -> None:
    """Make `context` current for this asyncio task and the threads it starts."""
    _current.set(context)
