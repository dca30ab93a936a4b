"""What a tool is: a typed function that an agent's model may call, with its limits."""

import contextlib
import functools
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, cast, overload

import structlog
from pydantic import AwareDatetime, BaseModel, JsonValue, PrivateAttr, validate_call
from pydantic.errors import PydanticUserError

from tasks.errors import ContractError, InvalidTool
from tasks.ids import NAME
from tasks.redaction import redact, redact_text
from workers.llm.base import JsonSchema
from workers.tools.signature import check_parameters, describe, input_model_of

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")

DEFAULT_TIMEOUT = timedelta(seconds=30)
MAX_RETRIES = 10
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
    """Record of one tool execution; also of one that never ran.

    `output` and `error` are what the model gets, in full; show a person `shown()`, which is also what `repr` gives.
    """

    id: str
    """The model's id of the call (`toolu_…`)."""
    tool: str
    input: JsonValue
    """Without secrets: fields of `Tool.redact` and what looks like one are masked."""
    output: str | None = None
    """Text that the model gets; None when the call failed."""
    duration_ms: float
    """From the first try to the end of the last one, waiting for a turn included."""
    success: bool
    code: str | None = None
    """One of `codes.Code`, or a ToolError's own. A successful call has one only if its output was cut:
    output_too_large."""
    error: str | None = None
    """What went wrong, in words that a model can act on."""
    timestamp: AwareDatetime
    """When it began."""
    attempt: int = 1
    """Attempt of the step."""
    tries: int = 1
    """How often the tool was run; 0 when it never was."""
    _fields: frozenset[str] = PrivateAttr(default=frozenset())
    _secrets: frozenset[str] = PrivateAttr(default=frozenset())

    def hide(self, fields: frozenset[str], secrets: frozenset[str]) -> "ToolCall":
        """Remember which fields and texts nobody may be shown, and mask them in the input."""
        hidden = self.model_copy(update={"input": redact(self.input, fields, secrets)})
        hidden._fields, hidden._secrets = fields, secrets
        return hidden

    def shown(self) -> "ToolCall":
        """A copy for people, logs and events: no secrets in output and error either."""
        return self.model_copy(update={"output": self._safe(self.output), "error": self._safe(self.error)})

    def _safe(self, text: str | None) -> str | None:
        if text is None:
            return None
        if self._fields and text[:1] in ("{", "["):
            with contextlib.suppress(ValueError, RecursionError):
                return json.dumps(redact(json.loads(text), self._fields, self._secrets), ensure_ascii=False)
        return redact_text(text, self._secrets)

    def __repr__(self) -> str:
        """As `shown`: tracebacks and debug logs print values."""
        return f"ToolCall({self.shown().model_dump()!r})"

    __str__ = __repr__


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
    retries: int = 0
    """Further tries after one that raised or ran out of time; a ToolError is the model's matter and not tried again."""
    max_uses: int | None = None
    """Runs in one step, all its attempts together; None: unlimited."""
    concurrency: int | None = None
    """Runs at the same time in one process; None: unlimited."""
    idempotent: bool = False
    """Whether the function passes `current_call().key` on, so that doing it twice does it once."""
    requires_approval: bool | Callable[[dict[str, Any]], bool] = False
    """Whether a person must say yes before it runs; or what says so of the arguments of one call."""
    approval_expires: timedelta | None = None
    """How long their yes is waited for; None: as the worker's settings say."""
    redact: frozenset[str] = frozenset()
    """Fields of input and output that nobody is shown."""
    tags: frozenset[str] = frozenset()
    given_schema: JsonSchema | None = None
    """Schema of a tool whose arguments somebody else defines and checks (MCP); its function takes them as one dict."""
    in_envelopes: bool = False
    """Whether what it returns is made of envelopes (`workers.agents.envelope`) already: only for tools of our own."""
    own_name: str | None = None
    """Name at its origin, where that is not one that the API takes."""

    @cached_property
    def input_model(self) -> type[BaseModel] | None:
        """The Pydantic model, where it is the function's only parameter: its fields are then the tool's arguments."""
        return None if self.given_schema is not None else input_model_of(self.function)

    @property
    def input_schema(self) -> JsonSchema:
        """JSON Schema of the arguments, from signature and docstring. First use loads the model SDK.

        Raises:
            InvalidTool: a parameter's type has no JSON Schema.
        """
        return self._schema

    @cached_property
    def _schema(self) -> JsonSchema:
        if self.given_schema is not None:
            return self.given_schema
        from workers.llm.schema import schema_of

        return schema_of(self.function, self.input_model)

    def needs_approval(self, arguments: dict[str, JsonValue]) -> bool:
        """Whether a person must say yes to a call with these. A rule that raises cannot say, and means yes."""
        if isinstance(self.requires_approval, bool):
            return self.requires_approval
        try:
            return self.requires_approval(arguments)
        except Exception:  # the rule is the tool author's code: it may raise anything
            log.exception("approval_rule_raised", tool=self.name)
            return True

    def bind(self, arguments: dict[str, JsonValue]) -> Callable[[], Any]:
        """Validate the arguments; what comes back calls the function with them.

        Raises:
            pydantic.ValidationError: they do not fit; the function was not called.
            InvalidTool: the signature cannot be validated.
        """
        if self.given_schema is not None:
            return functools.partial(self.function, arguments)
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


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
    rate_limit: int | None = None,
    retries: int = 0,
    max_uses: int | None = None,
    concurrency: int | None = None,
    idempotent: bool = False,
    requires_approval: bool | Callable[[dict[str, Any]], bool] = False,
    approval_expires: float | timedelta | None = None,
    redact: Collection[str] = (),
    tags: Collection[str] = (),
    max_output_chars: int = MAX_OUTPUT_CHARS,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout: float | timedelta = DEFAULT_TIMEOUT,
    rate_limit: int | None = None,
    retries: int = 0,
    max_uses: int | None = None,
    concurrency: int | None = None,
    idempotent: bool = False,
    requires_approval: bool | Callable[[dict[str, Any]], bool] = False,
    approval_expires: float | timedelta | None = None,
    redact: Collection[str] = (),
    tags: Collection[str] = (),
    max_output_chars: int = MAX_OUTPUT_CHARS,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool. Its docstring tells the model what it does; argument lines describe the arguments.

    Args:
        name: What the model calls it by; the function's name unless given.
        timeout: Longest run, in seconds or as a timedelta.
        rate_limit: Calls a minute, across the whole fleet; a call over it waits a little, then is refused.
        retries: Further tries, with growing pauses, when it raises or runs out of time.
        max_uses: Runs in one step.
        concurrency: Runs at the same time in one process.
        idempotent: The function passes `current_call().key` on to what it changes.
        requires_approval: A person must say yes to every call; or a function of the arguments that says to which.
        approval_expires: How long their yes is waited for; TROUPE_APPROVAL_EXPIRES_S unless given.
        redact: Fields of input and output that are masked in logs, events and records.
        tags: Words to find it by in a registry.
        max_output_chars: Longest output that goes back to the model.

    Raises:
        InvalidTool: no docstring, a bad name, parameters that cannot be given by name, or a limit below 1.
    """

    def decorate(target: Callable[..., Any]) -> Tool:
        made = Tool(
            name=name or getattr(target, "__name__", ""),
            description=describe(target),
            function=target,
            timeout=_duration(timeout),
            rate_limit=rate_limit,
            max_output_chars=max_output_chars,
            retries=retries,
            max_uses=max_uses,
            concurrency=concurrency,
            idempotent=idempotent,
            requires_approval=requires_approval,
            approval_expires=None if approval_expires is None else _duration(approval_expires),
            redact=_words("redact", redact),
            tags=_words("tags", tags),
        )
        _check(made)
        check_parameters(made.name, target)
        return made

    return decorate if function is None else decorate(function)


def _duration(timeout: float | timedelta) -> timedelta:
    if isinstance(timeout, timedelta):
        return timeout
    if not math.isfinite(timeout):
        raise InvalidTool("a tool's timeout must be finite: a hung tool would hold its step for ever")
    return timedelta(seconds=timeout)


def _words(what: str, words: Collection[str]) -> frozenset[str]:
    if isinstance(words, str):  # would be taken for a collection of letters
        raise InvalidTool(f"{what} must be a list of names, not {words!r}")
    return frozenset(words)


def _check(made: Tool) -> None:
    label = made.name
    if NAME.fullmatch(label) is None:
        raise InvalidTool(f"{label!r} cannot name a tool: lower-case letters, digits, - and _, a letter first")
    if not made.description:
        raise InvalidTool(f"tool {label!r} has no docstring: the model would not know what it does")
    limits = (made.rate_limit, made.max_uses, made.concurrency, made.max_output_chars)
    if made.approval_expires is not None and made.approval_expires <= timedelta(0):
        raise InvalidTool(f"tool {label!r}: approval_expires must be positive")
    if made.timeout <= timedelta(0) or any(limit is not None and limit < 1 for limit in limits):
        raise InvalidTool(
            f"tool {label!r}: timeout, rate_limit, max_uses, concurrency and max_output_chars must be positive"
        )
    if not 0 <= made.retries <= MAX_RETRIES:
        raise InvalidTool(f"tool {label!r}: retries must be from 0 to {MAX_RETRIES}")
