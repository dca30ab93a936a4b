"""The Model protocol, in the vocabulary of the Messages API.

Content blocks are plain dictionaries, exactly as the provider sent them: thinking blocks and kinds that this
release has never heard of are echoed byte for byte, which the API demands
(https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypedDict

from pydantic import BaseModel, JsonValue

from tasks.usage import Usage

Block = dict[str, JsonValue]
"""One content block: text, tool_use, tool_result, thinking …"""

JsonSchema = dict[str, JsonValue]


TextSink = Callable[[str], None]
"""Takes pieces of an answer's text as they come, on the event loop. It must not block and not raise."""

Thinking = Literal["adaptive", "between_tools", "enabled", "disabled"]
"""How a model thinks: as much as it sees fit; only briefly, between tool calls; within a budget; not at all."""
Effort = Literal["low", "medium", "high", "xhigh", "max"]


class ChatMessage(TypedDict):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: str | list[Block]


class ToolSpec(Protocol):
    """What a model gets to know of a tool."""

    @property
    def name(self) -> str:
        """What the model calls it by."""
        ...

    @property
    def description(self) -> str:
        """What it does and when to use it."""
        ...

    @property
    def input_schema(self) -> JsonSchema:
        """JSON Schema of its arguments."""
        ...


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One model call."""

    model: str
    """Model id, as the provider knows it."""
    agent: str
    """Agent on whose behalf the call is made."""
    system: str
    messages: Sequence[ChatMessage]
    tools: Sequence[ToolSpec] = ()
    max_tokens: int = 8192
    output: type[BaseModel] | None = None
    """Ask for text that parses as this model; the caller validates it."""
    server_tools: Sequence[JsonSchema] = ()
    """Tools that the provider runs itself, as it defines them: `{"type": "web_search_20250305", "name": …}`."""
    tool_choice: str | None = None
    """Name of the tool that it must call now, or `any`; None: as it sees fit."""
    thinking: Thinking | None = None
    """None: the model's own default."""
    effort: Effort | None = None
    """None: the model's own default."""
    container: str | None = None
    """Where earlier turns of this conversation ran code at the provider's."""
    cache: bool = True
    """False: nothing of the prompt is kept in the provider's cache, whatever the settings say."""
    shared_chars: int = 0
    """Length of the beginning of the first message that other conversations of the same agent begin with too; it is
    kept in the provider's cache for them. The same in every request of a conversation."""
    on_text: TextSink | None = field(default=None, compare=False, repr=False)
    """Gets the answer's text while it is written; a model that cannot stream gives it the whole text at the end.
    Nothing is taken back: also text of a call that then fails was given."""
    on_begin: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    """Told, on the event loop, when the answer begins, so that it is streamed where that can be. A model that cannot
    tell does not; one that is asked anew after a broken answer may tell again."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What a model answered."""

    id: str
    model: str
    content: list[Block]
    stop_reason: str
    """end_turn, tool_use, max_tokens, stop_sequence, pause_turn, refusal … or one that is newer than this release."""
    usage: Usage
    """Of this call; `requests` is 1 and the cost is filled in."""
    refusal: str | None = None
    """Category, when the model refused and said why."""
    container: str | None = None
    """Where it ran code at the provider's; the next request of the conversation names it."""
    server_tools: Mapping[str, int] = field(default_factory=dict[str, int])
    """Uses of the provider's own tools, as it counts them: `web_search_requests` …; in `usage` they are tool calls."""

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(str(block.get("text", "")) for block in self.content if block.get("type") == "text")

    def show(self, on_text: TextSink | None) -> None:
        """Give the whole text to a sink, if there is one: for models that do not stream."""
        if on_text is not None and self.text:
            on_text(self.text)

    @property
    def tool_uses(self) -> list[Block]:
        """The tool calls that it asks for, in order."""
        return [block for block in self.content if block.get("type") == "tool_use"]


class Model(Protocol):
    """Something that answers conversations."""

    @property
    def name(self) -> str:
        """Model id: `claude-sonnet-5-5`, `offline` …"""
        ...

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer once. Cancelling the coroutine aborts the call.

        Raises:
            ModelUnavailable: overloaded, limited or unreachable; carries retry_after where given.
            UnknownModel: the provider does not know the model, or the key may not use it.
            ModelNonsense: the provider's answer could not be understood.
            ContractError: the request was refused as malformed.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
