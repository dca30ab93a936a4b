"""What an agent is: instructions and tools for a model, or plain code, under a name that plans can use."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from tasks.errors import ContractError, InvalidTool
from tasks.models import AgentDefinition, RetryPolicy
from workers.context import StepContext
from workers.tools.base import Tool, tool

MAX_TURNS = 16
"""Model calls of one attempt."""


@dataclass(frozen=True, slots=True)
class AgentReply:
    """What an agent found out."""

    text: str
    data: JsonValue = None
    model: str | None = None
    """Model that wrote it; None when code did."""


Run = Callable[[StepContext], Awaitable[AgentReply | str]]


@dataclass(frozen=True)
class Agent:
    """An agent: a model with instructions and tools, unless `run` says that it is plain code.

    Raises:
        ContractError: a name, version or queue that is not one, or capabilities that are no list.
        InvalidTool: two tools of one name, or something that is no tool.
    """

    name: str
    description: str
    """What it is for: the planner chooses by it."""
    capabilities: Sequence[str] = ()
    tools: Sequence[Tool | Callable[..., Any]] = ()
    """Tools, or typed functions with a docstring, which become tools."""
    mcp: Sequence[str] = ()
    """MCP servers, by their names in TROUPE_MCP, whose tools it may use too."""
    instructions: str | None = None
    """System prompt; made from the description unless given."""
    queue: str | None = None
    """Queue that feeds it; the agent's name unless given."""
    version: str = "1"
    model: str | None = None
    """Model of its own; else the job's, else the worker's."""
    output: type[BaseModel] | None = None
    """Structured result; validated, repaired within bounds, kept as `data`."""
    max_turns: int = MAX_TURNS
    plannable: bool = True
    """Whether the planner may give it steps."""
    run: Run | None = None
    """Plain code in place of a model."""
    retry: RetryPolicy | None = None
    """How its steps are tried again; `TROUPE_STEP_ATTEMPTS` is the most tries."""
    fallback: str | None = None
    """Agent that takes a step over when this one would give it up."""
    timeout: float | None = None
    """Seconds of one attempt. Limits may only shorten what the settings say."""
    total_timeout: float | None = None
    """Seconds of a whole step, from when it first is ready, over all attempts and fallbacks."""
    queue_timeout: float | None = None
    """Seconds from ready until a worker takes an attempt."""
    idle_timeout: float | None = None
    """Seconds without a sign of life: an event, usage, a tool call, a piece of a streamed answer. A model call that is
    not streamed is no silence."""

    def __post_init__(self) -> None:
        if isinstance(self.capabilities, str):  # would be taken for a sequence of letters
            raise ContractError(f"agent {self.name!r}: capabilities must be a list, not {self.capabilities!r}")
        if isinstance(self.mcp, str):
            raise ContractError(f"agent {self.name!r}: mcp must be a list of servers, not {self.mcp!r}")
        object.__setattr__(self, "tools", tuple(one if isinstance(one, Tool) else tool(one) for one in self.tools))
        names = [one.name for one in self.toolbox]
        if len(set(names)) < len(names):
            raise InvalidTool(f"agent {self.name!r} has two tools of one name: {', '.join(sorted(names))}")
        if self.fallback == self.name:
            raise ContractError(f"agent {self.name!r} cannot be its own fallback")
        for limit in ("timeout", "total_timeout", "queue_timeout", "idle_timeout"):
            seconds: float | None = getattr(self, limit)
            if seconds is not None and not 0.001 <= seconds < math.inf:
                raise ContractError(f"agent {self.name!r}: {limit} must be a number of seconds above 0")
        if self.max_turns < 1:
            raise ContractError(f"agent {self.name!r}: max_turns must be at least 1")
        try:
            self.definition()
        except ValidationError as error:
            faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
            raise ContractError(f"agent {self.name!r} cannot be: {faults}") from error

    @property
    def toolbox(self) -> tuple[Tool, ...]:
        """Its tools, sorted by name: the prompt prefix is the same in every process."""
        return tuple(sorted((one for one in self.tools if isinstance(one, Tool)), key=lambda one: one.name))

    def definition(self) -> AgentDefinition:
        """What workers announce of it."""
        return AgentDefinition(
            name=self.name,
            description=self.description,
            capabilities=tuple(self.capabilities),
            version=self.version,
            queue=self.queue or self.name,
            tools=tuple(one.name for one in self.toolbox),
            plannable=self.plannable,
            retry=self.retry,
            fallback=self.fallback,
            timeout_ms=_ms(self.timeout),
            total_ms=_ms(self.total_timeout),
            queue_ms=_ms(self.queue_timeout),
            idle_ms=_ms(self.idle_timeout),
        )


def _ms(seconds: float | None) -> int:
    return 0 if seconds is None else int(seconds * 1000)
