"""What a tool is: a typed function that an agent's model may call, with its limits."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, cast, get_type_hints, overload

from pydantic import AwareDatetime, BaseModel, JsonValue, validate_call
from pydantic.errors import PydanticUserError

from tasks.errors import ContractError, InvalidTool
from tasks.ids import NAME
from workers.llm.base import JsonSchema

DEFAULT_TIMEOUT = timedelta(seconds=30)
MAX_OUTPUT_CHARS = 20_000
"""Longest output that goes back to a model; about 5,000 tokens."""


class ToolError(ContractError):
    """What a tool raises to tell the model what was wrong with its call, and what to do instead.

    Args:
        code: Stable and machine-readable: `unknown_table`, `bad_sql` …
        message: One or two sentences for the model.
    """

    code = "tool_error"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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
    """Error code: unknown_tool, invalid_input, timeout, raised, or a ToolError's own. A successful call has one only if
    its output was cut: output_too_large."""
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
    """Docstring without its Args section: the schema has those."""
    function: Callable[..., Any]
    timeout: timedelta = DEFAULT_TIMEOUT
    rate_limit: int | None = None
    """Calls a minute across the whole fleet; None: unlimited."""
    max_output_chars: int = MAX_OUTPUT_CHARS

    @cached_property
    def input_model(self) -> type[BaseModel] | None:
        """The Pydantic model, where it is the function's only parameter: its fields are then the tool's arguments."""
        return input_model_of(self.function)

    @property
    def input_schema(self) -> JsonSchema:
        """JSON Schema of the arguments, from signature and docstring. First use loads the model SDK.

        Raises:
            InvalidTool: a parameter's type has no JSON Schema.
        """
        return self._schema

    @cached_property
    def _schema(self) -> JsonSchema:
        from workers.llm.schema import schema_of

        return schema_of(self.function, self.input_model)

    def bind(self, arguments: dict[str, JsonValue]) -> Callable[[], Any]:
        """Validate the arguments; what comes back calls the function with them.

        Raises:
            pydantic.ValidationError: they do not fit; the function was not called.
            InvalidTool: the signature cannot be validated.
        """
        if self.input_model is not None:
            return functools.partial(self.function, self.input_model.model_validate(arguments))
        return cast("Callable[[], Any]", self._binder(**arguments))

    @cached_property
    def _binder(self) -> Callable[..., Any]:
        @functools.wraps(self.function)
        def capture(*args: Any, **kwargs: Any) -> Callable[[], Any]:
            return functools.partial(self.function, *args, **kwargs)

        try:
            return validate_call(capture)
        except (PydanticUserError, NameError) as exc:
            raise InvalidTool(f"tool {self.name!r}: its signature cannot be validated: {exc}") from exc

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function; a plain one runs in a thread."""
        return inspect.iscoroutinefunction(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Awaitable[Any] | Any:
        """Call the function itself: a decorated function stays usable and testable."""
        return self.function(*args, **kwargs)


def input_model_of(function: Callable[..., Any]) -> type[BaseModel] | None:
    """The model that is the function's one and only parameter; None: it takes arguments of its own."""
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 1:
        return None
    try:
        annotation = get_type_hints(function).get(parameters[0].name)
    except (NameError, TypeError):
        return None  # Said better when the schema is made.
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def describe(function: Callable[..., Any]) -> str:
    """The docstring as the model gets it: summary and explanation, without Args, Returns and Raises."""
    import docstring_parser

    parsed = docstring_parser.parse(function.__doc__ or "")
    return "\n\n".join(part for part in (parsed.short_description, parsed.long_description) if part)


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
        rate_limit: Calls a minute, across the whole fleet; carried with the tool, not enforced yet.
        max_output_chars: Longest output that goes back to the model.

    Raises:
        InvalidTool: no docstring, a name that the API does not allow, parameters that cannot be given by name, or a
            limit that is not positive.
    """

    def decorate(target: Callable[..., Any]) -> Tool:
        label: str = name or getattr(target, "__name__", "")
        description = describe(target)
        limit = timeout if isinstance(timeout, timedelta) else timedelta(seconds=timeout)
        if NAME.fullmatch(label) is None:
            raise InvalidTool(f"{label!r} cannot name a tool: lower-case letters, digits, - and _, a letter first")
        if not description:
            raise InvalidTool(f"tool {label!r} has no docstring: the model would not know what it does")
        if limit <= timedelta(0) or (rate_limit is not None and rate_limit < 1) or max_output_chars < 1:
            raise InvalidTool(f"tool {label!r}: timeout, rate_limit and max_output_chars must be positive")
        _check_parameters(label, target)
        return Tool(
            name=label,
            description=description,
            function=target,
            timeout=limit,
            rate_limit=rate_limit,
            max_output_chars=max_output_chars,
        )

    return decorate if function is None else decorate(function)


def _check_parameters(label: str, target: Callable[..., Any]) -> None:
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidTool(f"tool {label!r}: parameter {str(parameter)!r} cannot be given by name, as a model does")
