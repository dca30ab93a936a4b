"""What an agent is: instructions and tools for a model, or plain code, under a name that plans can use."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from tasks.errors import ContractError, InvalidTool
from tasks.models import AgentDefinition, RetryPolicy
from tasks.usage import Budget
from workers.context import StepContext
from workers.llm.base import Effort, JsonSchema, Thinking
from workers.llm.server_tools import server_tool
from workers.tools.base import Tool, tool
from workers.tools.delegate import delegate_tool
from workers.tools.hand_off import hand_off_tool
from workers.tools.messages import post_message, read_messages
from workers.tools.people import ask_user

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
    server_tools: Sequence[str | Mapping[str, JsonValue]] = ()
    """Tools that the provider runs itself: `web_search`, `web_fetch`, `code_execution`, or their definitions. Models
    without them, as the offline one, do without."""
    tool_choice: str | None = None
    """A tool that it must call first, or `any`; not all models can be told so."""
    instructions: str | None = None
    """System prompt; made from the description unless given."""
    queue: str | None = None
    """Queue that feeds it; the agent's name unless given."""
    version: str = "1"
    model: str | None = None
    """Model of its own; else the job's, else the worker's."""
    thinking: Thinking | None = None
    """How its model thinks; the model's own default unless given."""
    effort: Effort | None = None
    """How hard its model tries; the model's own default unless given."""
    stream: bool = False
    """Whether what its model writes is shown while it writes, as `text_delta` events."""
    output: type[BaseModel] | None = None
    """Structured result; validated, repaired within bounds, kept as `data`."""
    max_turns: int = MAX_TURNS
    budget: Budget | None = None
    """The most that all its steps of one job may consume together; the job's own budget holds beside it."""
    sub_agents: Sequence[str] = ()
    """Agents that it may delegate to, by name: its model gets the tool `delegate`, its code `context.delegate`."""
    hand_offs: Sequence[str] = ()
    """Agents that it may hand its conversation over to, by name: its model gets the tool `hand_off`."""
    asks: bool = False
    """Whether its model may ask people: it gets the tool `ask_user`."""
    messages: bool = False
    """Whether its model may talk to the other agents of a job: it gets the tools `post_message` and `read_messages`."""
    requires_approval: bool = False
    """Whether a person must let each of its steps begin."""
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
    not streamed is no silence, and neither is a tool that runs: its own timeout ends it."""
    prompt_cache: bool = True
    """Whether its prompts may be kept in the provider's cache; TROUPE_PROMPT_CACHE switches it off for all."""

    def __post_init__(self) -> None:
        if isinstance(self.capabilities, str):  # would be taken for a sequence of letters
            raise ContractError(f"agent {self.name!r}: capabilities must be a list, not {self.capabilities!r}")
        if isinstance(self.sub_agents, str):
            raise ContractError(f"agent {self.name!r}: sub_agents must be a list, not {self.sub_agents!r}")
        if isinstance(self.hand_offs, str):
            raise ContractError(f"agent {self.name!r}: hand_offs must be a list, not {self.hand_offs!r}")
        if self.name in self.hand_offs:
            raise ContractError(f"agent {self.name!r} cannot hand over to itself")
        if self.name in self.sub_agents:
            raise ContractError(f"agent {self.name!r} cannot delegate to itself")
        if isinstance(self.mcp, str):
            raise ContractError(f"agent {self.name!r}: mcp must be a list of servers, not {self.mcp!r}")
        object.__setattr__(self, "tools", tuple(one if isinstance(one, Tool) else tool(one) for one in self.tools))
        if isinstance(self.server_tools, str):
            raise ContractError(f"agent {self.name!r}: server_tools must be a list, not {self.server_tools!r}")
        names = [one.name for one in self.toolbox] + [str(one["name"]) for one in self.server_toolbox]
        if len(set(names)) < len(names):
            raise InvalidTool(f"agent {self.name!r} has two tools of one name: {', '.join(sorted(names))}")
        if self.fallback == self.name:
            raise ContractError(f"agent {self.name!r} cannot be its own fallback")
        for limit in ("timeout", "total_timeout", "queue_timeout", "idle_timeout"):
            seconds: float | None = getattr(self, limit)
            if seconds is not None and not 0.001 <= seconds < math.inf:
                raise ContractError(f"agent {self.name!r}: {limit} must be a number of seconds above 0")
        if self.tool_choice not in (None, "any", *(one.name for one in self.toolbox)) and not self.mcp:
            raise ContractError(f"agent {self.name!r}: tool_choice {self.tool_choice!r} is none of its tools")
        if self.tool_choice == "any" and not names and not self.mcp:
            raise ContractError(f"agent {self.name!r}: tool_choice 'any', and it has no tools")
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
        own = [one for one in self.tools if isinstance(one, Tool)]
        if self.sub_agents:
            own.append(delegate_tool(self.sub_agents))
        if self.hand_offs:
            own.append(hand_off_tool(self.hand_offs))
        if self.asks:
            own.append(ask_user)
        if self.messages:
            own += [post_message, read_messages]
        return tuple(sorted(own, key=lambda one: one.name))

    @property
    def server_toolbox(self) -> tuple[JsonSchema, ...]:
        """Definitions of the provider's tools that it may use, sorted by name.

        Raises:
            InvalidTool: one is none.
        """
        return tuple(sorted(map(server_tool, self.server_tools), key=lambda one: str(one["name"])))

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
            sub_agents=tuple(self.sub_agents),
            hand_offs=tuple(self.hand_offs),
            budget=self.budget,
        )


def _ms(seconds: float | None) -> int:
    return 0 if seconds is None else int(seconds * 1000)
