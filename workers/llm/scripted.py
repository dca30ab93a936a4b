"""A model that says what a test tells it to, and complains about every call that was not expected."""

import copy
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

from pydantic import JsonValue

from tasks.usage import Usage
from workers.llm.base import Block, ModelReply, ModelRequest
from workers.llm.tokens import estimate_tokens

ANY_AGENT: Final = "*"


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call that the model asks for."""

    tool: str
    input: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    id: str | None = None
    """`toolu_scripted_<call>_<position>` unless given."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer in full. Text, calls and raw blocks may be mixed."""

    content: Sequence[str | Call | Block] = ()
    stop_reason: str | None = None
    """`tool_use` when the content has a call, else `end_turn`."""
    refusal: str | None = None
    usage: Usage | None = None
    """Estimated from lengths, at no cost, unless given."""
    container: str | None = None


Scripted = str | Call | Turn | ModelReply | Exception | Sequence[str | Call]
"""What a turn may be: text, tool calls, a whole answer, or an error to raise."""
Step = Scripted | Callable[[ModelRequest], Scripted | Awaitable[Scripted]]
"""Or a function of the request that gives one."""


class UnexpectedCall(AssertionError):
    """The script has no turn for this call."""


class ScriptedModel:
    """Plays its turns in order; with a mapping, each agent's turns in its own order, and `*` for all others."""

    def __init__(self, turns: Sequence[Step] | Mapping[str, Sequence[Step]] = (), *, name: str = "scripted") -> None:
        scripts = turns if isinstance(turns, Mapping) else {ANY_AGENT: turns}
        self._name = name
        self._scripts = {agent: list(script) for agent, script in scripts.items()}
        self._unexpected: list[str] = []
        self.requests: list[ModelRequest] = []
        """Every request, as it was when it came."""
        self.closed = False

    @property
    def name(self) -> str:
        """The name it was given."""
        return self._name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Play the next turn.

        Raises:
            UnexpectedCall: no turn is left; also remembered for `assert_consumed`, in case somebody swallows it.
        """
        self.requests.append(replace(request, messages=copy.deepcopy(list(request.messages))))
        number = len(self.requests)
        script = self._scripts.get(request.agent, self._scripts.get(ANY_AGENT, []))
        if not script:
            fault = f"call {number}, by agent {request.agent!r}, was not expected: no turn is left"
            self._unexpected.append(fault)
            raise UnexpectedCall(fault)
        step = script.pop(0)
        if callable(step):
            given = step(request)
            step = await given if inspect.isawaitable(given) else given
        if isinstance(step, Exception):
            raise step
        reply = step if isinstance(step, ModelReply) else _compose(step, request, number)
        reply.show(request.on_text)
        return reply

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def __enter__(self) -> Self:
        """As a context, it checks at the end that its script was played."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.assert_consumed()

    def assert_consumed(self) -> None:
        """Check that every turn was played and no call came unexpected.

        Raises:
            AssertionError: says what is left.
        """
        left = {agent: len(script) for agent, script in self._scripts.items() if script}
        if left or self._unexpected:
            rest = "; ".join(f"{count} unplayed turns for {agent!r}" for agent, count in sorted(left.items()))
            raise AssertionError("; ".join(filter(None, [*self._unexpected, rest])))


def _compose(step: str | Call | Turn | Sequence[str | Call], request: ModelRequest, number: int) -> ModelReply:
    turn = step if isinstance(step, Turn) else Turn([step] if isinstance(step, str | Call) else step)
    content = [_block(part, f"toolu_scripted_{number}_{at}") for at, part in enumerate(turn.content, start=1)]
    calls = any(block.get("type") == "tool_use" for block in content)
    return ModelReply(
        id=f"msg_scripted_{number}",
        model=request.model,
        content=content,
        stop_reason=turn.stop_reason or ("tool_use" if calls else "end_turn"),
        usage=turn.usage or _estimate(request, content),
        refusal=turn.refusal,
        container=turn.container,
    )


def _block(part: str | Call | Block, call_id: str) -> Block:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if isinstance(part, Call):
        return {"type": "tool_use", "id": part.id or call_id, "name": part.tool, "input": dict(part.input)}
    return part


def _estimate(request: ModelRequest, content: Sequence[Block]) -> Usage:
    prompt = estimate_tokens([request.system, list(request.messages)])
    return Usage(input_tokens=prompt, output_tokens=estimate_tokens(list(content)), requests=1)
