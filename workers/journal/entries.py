"""The forms of a journal's entries. They are stored: a change is a new kind, never a new meaning."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Literal

from pydantic import Field, JsonValue

from tasks.models import Source
from tasks.usage import Usage
from tasks.wire import Wire
from workers.llm.base import Block, ChatMessage, ModelReply, ModelRequest
from workers.tools.base import ToolCall


class Fingerprint(Wire):
    """What a request was, as far as it takes to see whether another one is the same: short hashes of its parts."""

    model: str
    system: str
    tools: str
    options: str
    messages: tuple[str, ...]

    @classmethod
    def of(cls, request: ModelRequest) -> "Fingerprint":
        """The fingerprint of a request. How long the answer may be is no part of it: that depends on what is left."""
        tools = [(tool.name, tool.description, tool.input_schema) for tool in request.tools]
        output = request.output.model_json_schema() if request.output else None
        options = (output, request.tool_choice, request.thinking, request.effort)
        return cls(
            model=request.model,
            system=_hash(request.system),
            tools=_hash([tools, list(request.server_tools)]),
            options=_hash(options),
            messages=tuple(_hash(message) for message in request.messages),
        )

    def difference(self, other: "Fingerprint", but: Collection[str] = ()) -> str | None:
        """Where another request first departs from this one, in words; None: nowhere.

        Args:
            but: Parts that are not looked at.
        """
        for part in ("model", "system", "tools", "options"):
            if part not in but and getattr(self, part) != getattr(other, part):
                return "the model" if part == "model" else "the system prompt" if part == "system" else f"its {part}"
        for at, (mine, theirs) in enumerate(zip(self.messages, other.messages, strict=False)):
            if mine != theirs:
                return f"message {at + 1} of {len(other.messages)}"
        if len(self.messages) != len(other.messages):
            return f"the number of messages, {len(other.messages)} in place of {len(self.messages)}"
        return None


class Opening(Wire):
    """How a step's conversation began."""

    kind: Literal["opening"] = "opening"
    text: str


class Heard(Wire):
    """One answer of a model."""

    kind: Literal["heard"] = "heard"
    asked: Fingerprint
    id: str
    model: str
    content: list[dict[str, JsonValue]]
    stop_reason: str
    usage: Usage
    refusal: str | None = None
    container: str | None = None
    server_tools: dict[str, int] = Field(default_factory=dict[str, int])

    @classmethod
    def of(cls, asked: Fingerprint, reply: ModelReply) -> "Heard":
        """The entry of a reply."""
        return cls(
            asked=asked,
            id=reply.id,
            model=reply.model,
            content=reply.content,
            stop_reason=reply.stop_reason,
            usage=reply.usage,
            refusal=reply.refusal,
            container=reply.container,
            server_tools=dict(reply.server_tools),
        )

    @property
    def reply(self) -> ModelReply:
        """The answer as the loop gets it again: it costs nothing a second time."""
        return ModelReply(
            id=self.id,
            model=self.model,
            content=self.content,
            stop_reason=self.stop_reason,
            usage=Usage(),
            refusal=self.refusal,
            container=self.container,
            server_tools=self.server_tools,
        )


class TooLong(Wire):
    """The provider refused a prompt as too long; it would again."""

    kind: Literal["too_long"] = "too_long"
    asked: Fingerprint
    message: str


class Unpaid(Wire):
    """What was left of a budget did not suffice for going on."""

    kind: Literal["unpaid"] = "unpaid"
    reason: str


class Done(Wire):
    """One tool call that has ended, whatever came of it, with the sources that were first shown with it."""

    kind: Literal["done"] = "done"
    call: ToolCall
    sources: tuple[Source, ...] = ()


def _hash(value: "JsonValue | ChatMessage | list[Block] | Mapping[str, JsonValue] | object") -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
