"""The provider's answer, as parsed JSON, as a `ModelReply`. Blocks are taken as they came, known to us or not."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tasks.errors import ModelNonsense
from tasks.usage import Usage
from workers.llm.base import Block, ModelReply
from workers.llm.pricing import Pricing

UNFINISHED: Final = frozenset({"max_tokens", "model_context_window_exceeded", "refusal"})
"""Stop reasons under which a tool call may have been cut off; nobody may run it then."""

MOST_TOKENS: Final = 10**9
"""Of one call. What is above it is nonsense, and sums of it would be numbers that the store does not take."""


class _Read(BaseModel):
    """What is read of a message; further fields are the provider's business."""

    model_config = ConfigDict(strict=True)


class _CacheCreation(_Read):
    ephemeral_1h_input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS)


class _ServerToolUse(_Read):
    model_config = ConfigDict(extra="allow")  # uses of tools that came after this release are kept too


class _Usage(_Read):
    input_tokens: int = Field(ge=0, le=MOST_TOKENS)
    output_tokens: int = Field(ge=0, le=MOST_TOKENS)
    cache_read_input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS)
    cache_creation_input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS)
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerToolUse | None = None
    service_tier: str | None = None


class _Container(_Read):
    id: str


class _StopDetails(_Read):
    category: str | None = None


class _Message(_Read):
    id: str
    model: str
    content: list[dict[str, JsonValue]]
    stop_reason: str
    stop_details: _StopDetails | None = None
    container: _Container | None = None
    usage: _Usage


def parse_json(text: str | bytes) -> Any:
    """JSON from a provider.

    Raises:
        ModelNonsense: it is none.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ModelNonsense(f"the model's answer is not JSON: {error}") from error


def read_reply(message: object, *, asked: str, pricing: Pricing) -> ModelReply:
    """Check the form of a message and add up what it cost.

    Args:
        asked: The model that was asked for; prices go by it.

    Raises:
        ModelNonsense: not a message of the Messages API, or text that is no Unicode; with its usage if that is known.
        UnknownModel: `asked` has no price.
    """
    try:
        read = _Message.model_validate(message)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"])) or "message"
        raise ModelNonsense(f"the model's answer is not a message: {where}: {fault['msg']}") from error
    uses = _server_tools(read.usage)
    usage = _usage(read.usage, uses, asked, pricing)
    try:
        for block in read.content:
            _check_block(block, finished=read.stop_reason not in UNFINISHED)
    except ModelNonsense as error:
        error.usage = usage
        raise
    return ModelReply(
        id=read.id,
        model=read.model,
        content=read.content,
        stop_reason=read.stop_reason,
        usage=usage,
        refusal=read.stop_details.category if read.stop_details and read.stop_reason == "refusal" else None,
        container=read.container.id if read.container else None,
        server_tools=uses,
    )


def _server_tools(usage: _Usage) -> dict[str, int]:
    counts = (usage.server_tool_use.model_extra if usage.server_tool_use else None) or {}
    return {name: count for name, count in sorted(counts.items()) if type(count) is int and 0 < count <= MOST_TOKENS}


def _check_block(block: Block, *, finished: bool) -> None:
    if not isinstance(block.get("type"), str):
        raise ModelNonsense("the model's answer has a content block without a type")
    if block["type"] == "tool_use":
        usable = isinstance(block.get("id"), str) and isinstance(block.get("name"), str)
        if not usable or (finished and not isinstance(block.get("input"), Mapping)):
            raise ModelNonsense("the model's answer has a tool call without id, name or an object as input")
    try:
        json.dumps(block, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # half a surrogate pair: it could neither be stored nor sent back
        raise ModelNonsense("the model's answer has text that is no Unicode") from error


def _usage(usage: _Usage, uses: Mapping[str, int], asked: str, pricing: Pricing) -> Usage:
    written = usage.cache_creation_input_tokens or 0
    for_an_hour = min((usage.cache_creation and usage.cache_creation.ephemeral_1h_input_tokens) or 0, written)
    read = usage.cache_read_input_tokens or 0
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        requests=1,
        tool_calls=sum(uses.values()),
        cost_microusd=pricing.cost_microusd(
            asked,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=read,
            cache_write_5m_tokens=written - for_an_hour,
            cache_write_1h_tokens=for_an_hour,
            web_searches=uses.get("web_search_requests", 0),
            batch=usage.service_tier == "batch",
        ),
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
