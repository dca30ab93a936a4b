"""What a running attempt does, as observers see it: the attempt itself, its model and tool calls.

A span stands for something that really happened in this process: what the journal answers makes none.
"""

import asyncio
import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, cast

import structlog
from pydantic import JsonValue

from tasks.errors import TroupeError, message_of
from tasks.ids import AttemptRef
from tasks.models import Claim, Failure
from tasks.redaction import excerpt, redact
from tasks.trace import UNANSWERED, SpanKind
from tasks.usage import Usage

if TYPE_CHECKING:
    from workers.llm.base import Block, ModelReply, ModelRequest
    from workers.tools.base import ToolCall

log = structlog.get_logger("worker")

MAX_TEXT_CHARS: Final = 1000
"""Kept of the input, and of the output, of one call."""
MAX_ATTRIBUTES_CHARS: Final = 1000
MAX_NAME_CHARS: Final = 200


@dataclass(slots=True)
class CallSpan:
    """One call. What is None is not known yet, or not at all."""

    claim: Claim
    kind: SpanKind
    name: str
    """The model, the tool, or what the code has called it."""
    id: str
    """Tells it from others of its attempt."""
    begun: float = field(default_factory=time.monotonic)
    duration_ms: float | None = None
    """None until it has ended; a tool call whose step was parked in it never does: it is made again."""
    request: "ModelRequest | None" = None
    reply: "ModelReply | None" = None
    tool_call: "ToolCall | None" = None
    input: str | None = None
    output: str | None = None
    usage: Usage | None = None
    code: str | None = None
    error: str | None = None
    attributes: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def ref(self) -> AttemptRef:
        """The attempt that it belongs to."""
        return AttemptRef(self.claim.job.id, self.claim.step.id, self.claim.attempt)

    def end(self) -> None:
        """Note how long it took; a second time changes nothing."""
        if self.duration_ms is None:
            self.duration_ms = round((time.monotonic() - self.begun) * 1000, 3)

    def failed(self, error: BaseException) -> None:
        """Note what it came to. A model call that was cancelled may have been answered all the same."""
        if isinstance(error, asyncio.CancelledError):
            self.code = UNANSWERED if self.kind is SpanKind.MODEL_CALL else "cancelled"
        else:
            self.code = error.code if isinstance(error, TroupeError) else "raised"
        self.error = message_of(error) or type(error).__name__

    def answered(self, reply: "ModelReply") -> None:
        """Note a model's answer."""
        self.reply, self.usage = reply, reply.usage
        self.attributes |= {"stop_reason": reply.stop_reason, "response_id": reply.id}
        if reply.refusal is not None:
            self.attributes["refusal"] = reply.refusal

    def of(self, call: "ToolCall") -> "CallSpan":
        """Note a tool call that has ended."""
        self.tool_call, self.duration_ms = call, call.duration_ms
        self.code, self.error, self.usage = call.code, call.error, Usage(tool_calls=1)
        self.attributes = {"tries": call.tries}
        return self

    def record(self) -> str:
        """What is kept of it with the job, as JSON."""
        return json.dumps(self.fields(), ensure_ascii=False).encode("utf-8", "replace").decode()  # no lone surrogates

    def fields(self) -> dict[str, JsonValue]:
        """The fields of `CallRecord` that the store does not know, bounded and without secrets."""
        asked, said = self._texts()
        # A model may ask for a tool of any name.
        data: dict[str, JsonValue] = {
            "kind": self.kind.value,
            "name": excerpt(self.name, MAX_NAME_CHARS),
            "id": self.id[:MAX_NAME_CHARS],
        }
        if self.duration_ms is not None:
            data["duration_ms"] = self.duration_ms
        for name, text in (("input", asked), ("output", said), ("error", self.error)):
            if text:
                data[name] = excerpt(str(text), MAX_TEXT_CHARS)
        if self.code is not None:
            data["code"] = self.code
        if self.usage is not None and self.usage != Usage():
            data["usage"] = self.usage.model_dump(exclude_defaults=True)
        if attributes := self._attributes():
            data["attributes"] = attributes
        return data

    def _attributes(self) -> JsonValue:
        """None: there are none, or too many. What JSON does not know is written as text: what an agent's code names is
        not to cost the work."""
        if not self.attributes:
            return None
        text = json.dumps(redact(self.attributes), default=str, skipkeys=True)
        return cast(JsonValue, json.loads(text)) if len(text) <= MAX_ATTRIBUTES_CHARS else None

    def _texts(self) -> tuple[str | None, str | None]:
        if self.tool_call is not None:
            return json.dumps(self.tool_call.input, ensure_ascii=False), self.tool_call.output
        asked = _newest(self.request) if self.request is not None else self.input
        return asked, _told(self.reply.content) if self.reply is not None else self.output


@dataclass(slots=True)
class AttemptSpan:
    """One attempt, from its claim to its settling."""

    claim: Claim
    begun: float = field(default_factory=time.monotonic)
    outcome: str = "raised"
    """What the handler tells Celery: succeeded, `failed: <code>: …`, `stopped: …`, `parked: …`, `refused: …`,
    `deferred: …`; raised: nobody could settle it."""
    failure: Failure | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def ref(self) -> AttemptRef:
        """The attempt."""
        return AttemptRef(self.claim.job.id, self.claim.step.id, self.claim.attempt)


class Observer(Protocol):
    """Is told of spans. What it raises at their begin or end is logged and lost; it must not block."""

    def attempt(self, span: AttemptSpan) -> AbstractContextManager[object]:
        """Around an attempt; the span is complete at its end."""
        ...

    def call(self, span: CallSpan) -> AbstractContextManager[object]:
        """Around a model call or a tool call, in its task; the span is complete at its end."""
        ...


@contextmanager
def observed(observers: Sequence[Observer], span: "AttemptSpan | CallSpan") -> Generator[None]:
    """Let observers be around something."""
    with ExitStack() as stack:
        for one in observers:
            try:
                around = one.attempt(span) if isinstance(span, AttemptSpan) else one.call(span)
                stack.enter_context(_Harmless(around))
            except Exception:  # what only looks on must not cost the work
                log.exception("observer_failed")
        yield


class _Harmless(AbstractContextManager[None]):
    """An observer's context, whose end raises nothing and hides nothing."""

    def __init__(self, around: AbstractContextManager[object]) -> None:
        self._around = around

    def __enter__(self) -> None:
        self._around.__enter__()

    def __exit__(self, *exc: object) -> None:
        try:
            self._around.__exit__(None, None, None)
        except Exception:  # as above
            log.exception("observer_failed")


def _newest(request: "ModelRequest") -> str:
    """What a request tells the model beyond the one before it."""
    if not request.messages:
        return ""
    content = request.messages[-1]["content"]
    return content if isinstance(content, str) else _told(content)


def _told(blocks: "Sequence[Block]") -> str:
    """Text, tool calls and results of a message, as people read them. Reads no more than what may be kept of it."""
    parts: list[str] = []
    for block in blocks:
        parts.append(_shown(block))
        if sum(map(len, parts)) > MAX_TEXT_CHARS * 5:
            break
    return "\n".join(part for part in parts if part)


def _shown(block: "Mapping[str, JsonValue]") -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text"))
        case "tool_use" | "server_tool_use":
            return f"{block.get('name')}({json.dumps(block.get('input'), ensure_ascii=False)})"
        case "tool_result":
            content = block.get("content")
            return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        case "thinking" | "redacted_thinking":
            return ""
        case other:
            return f"({other})"
