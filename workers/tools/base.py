"""What a tool is: a typed function that an agent's model may call, with its limits."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, overload

from pydantic import AwareDatetime, BaseModel, JsonValue

from tasks.errors import InvalidTool
from tasks.ids import NAME
from workers.llm.base import JsonSchema

DEFAULT_TIMEOUT = timedelta(seconds=30)
MAX_OUTPUT_CHARS = 20_000
"""Longest output that goes back to a model; about 5,000 tokens."""


class ToolCall(BaseModel):
    """Record of one tool execution; also of one that never ran."""

    id: str
    """The model's id of the call (`toolu_…`)."""
    tool: str
    input: JsonValue
    output: str | None = None
    """Text that the model gets; None when the call failed."""
    duration_ms: float
    success: bool
    code: str | None = None
    """Error code: unknown_tool, invalid_input, timeout, raised, output_too_large."""
    error: str | None = None
    """What went wrong, in words that a model can act on."""
    timestamp: AwareDatetime
    """When it began."""
    attempt: int = 1
    """Attempt of the step."""


@dataclass(frozen=True)
class Tool:
    """A tool definition. The function takes keyword arguments and returns text, a model, or JSON-able data."""

    name: str
    description: str
    function: Callable[..., Any]
    timeout: timedelta = DEFAULT_TIMEOUT
    rate_limit: int | None = None
    """Calls a minute across the whole fleet; None: unlimited."""
    max_output_chars: int = MAX_OUTPUT_CHARS

    @cached_property
    def input_schema(self) -> JsonSchema:
        """JSON Schema of the arguments, from signature and docstring. First use loads the model SDK."""
        from workers.llm.schema import schema_of

        return schema_of(self.function)

    @cached_property
    def validated(self) -> Callable[..., Any]:
        """The function behind validation of its arguments; raises `pydantic.ValidationError`."""
        from pydantic import validate_call

        return validate_call(self.function)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function; a plain one runs in a thread."""
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[Any] | Any:
        """Call the function itself: a decorated function stays usable and testable."""
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
    rate_limit: int | None = None,
    max_output_chars: int = MAX_OUTPUT_CHARS,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
    rate_limit: int | None = None,
    max_output_chars: int = MAX_OUTPUT_CHARS,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool. Its docstring tells the model what it does; argument lines describe the arguments.

    Args:
        name: What the model calls it by; the function's name unless given.
        timeout: Longest run, in seconds or as a timedelta.
        rate_limit: Calls a minute, across the whole fleet.
        max_output_chars: Longest output that goes back to the model.

    Raises:
        InvalidTool: no docstring, a name that the API does not allow, or a limit that is not positive.
    """

    def decorate(target: Callable[..., Any]) -> Tool:
        label: str = name or getattr(target, "__name__", "")
        description = inspect.cleandoc(target.__doc__ or "").strip()
        limit = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
        if NAME.fullmatch(label) is None:
            raise InvalidTool(f"{label!r} cannot name a tool: lower-case letters, digits, - and _, a letter first")
        if not description:
            raise InvalidTool(f"tool {label!r} has no docstring: the model would not know what it does")
        if limit <= timedelta(0) or (rate_limit is not None and rate_limit < 1) or max_output_chars < 1:
            raise InvalidTool(f"tool {label!r}: timeout, rate_limit and max_output_chars must be positive")
        return Tool(
            name=label,
            description=description,
            function=target,
            timeout=limit,
            rate_limit=rate_limit,
            max_output_chars=max_output_chars,
        )

    return decorate if function is None else decorate(function)
