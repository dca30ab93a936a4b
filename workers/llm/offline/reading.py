"""What a request asks for, read back from its messages: the pieces of the first, then tool calls and their results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, cast

from pydantic import JsonValue

from workers.agents.envelope import unwrap
from workers.llm.base import Block, ChatMessage, ModelRequest

MAX_REQUEST: Final = 20_000
"""Longest task or step description that the rules read; more than that is quoted material, not the request."""


@dataclass(frozen=True, slots=True)
class AgentCard:
    """An agent that a plan may use."""

    name: str
    description: str = ""
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """Result of a step that this one depends on."""

    step: str
    agent: str
    status: str
    about: str
    text: str

    @property
    def succeeded(self) -> bool:
        """Whether there is a result."""
        return self.status == "succeeded"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One tool call of ours and what came back."""

    tool: str
    arguments: dict[str, JsonValue]
    output: str
    failed: bool

    @property
    def parsed(self) -> JsonValue:
        """The output as JSON; None when it failed or is none."""
        try:
            return None if self.failed else cast("JsonValue", json.loads(self.output))
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class Brief:
    """A request, understood."""

    task: str
    step: str
    """Description of the step; the task when the message has no step piece."""
    kind: str = "work"
    knowledge: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    """Names of the columns of all tables, as far as they are known."""
    agents: tuple[AgentCard, ...] = ()
    inputs: tuple[Input, ...] = ()
    faults: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict[str, str])
    """What may be chosen, and what it is for."""
    exchanges: tuple[Exchange, ...] = ()
    turns: int = 0
    """Replies of ours in the conversation, since the last request."""
    tools: frozenset[str] = field(default_factory=frozenset[str])

    @cached_property
    def called(self) -> frozenset[str]:
        """Names of the tools called so far."""
        return frozenset(exchange.tool for exchange in self.exchanges)

    def outcomes(self, tool: str) -> list[Exchange]:
        """What came back from one tool, in order."""
        return [exchange for exchange in self.exchanges if exchange.tool == tool]


def read(request: ModelRequest) -> Brief:
    """Understand a request. Never fails: what is not there stays empty."""
    opened = _last_request(request.messages)
    prompt = _text(request.messages[opened]) if request.messages else ""
    task = _first(prompt, "task")
    steps = unwrap(prompt, "step")
    attributes, step = steps[-1] if steps else ({}, task or prompt)
    return Brief(
        task=(task or step)[:MAX_REQUEST].strip(),
        step=step[:MAX_REQUEST].strip(),
        kind=attributes.get("kind", "work"),
        knowledge=_names(_first(prompt, "knowledge")),
        tables=_names(_first(prompt, "tables")),
        columns=_columns(_first(prompt, "tables")),
        agents=_cards(_first(prompt, "agents")),
        inputs=tuple(_input(found, text) for found, text in unwrap(prompt, "input")),
        faults=_names(_first(prompt, "faults")),
        options=_options(_first(prompt, "options")),
        exchanges=tuple(_exchanges(request.messages[opened:])),
        turns=sum(message["role"] == "assistant" for message in request.messages[opened:]),
        tools=frozenset(tool.name for tool in request.tools),
    )


def entries(value: JsonValue, key: str) -> list[dict[str, JsonValue]]:
    """The objects in the list under `key`; whatever else stands there is left out."""
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def string(entry: dict[str, JsonValue], key: str) -> str:
    """The text under `key`, or nothing."""
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _last_request(messages: Sequence[ChatMessage]) -> int:
    for index in range(len(messages) - 1, 0, -1):
        content = messages[index]["content"]
        if messages[index]["role"] == "user" and (isinstance(content, str) or not _results(content)):
            prompt = _text(messages[index])
            if unwrap(prompt, "step"):
                return index
    return 0


def _text(message: ChatMessage) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n\n".join(string(block, "text") for block in content if block.get("type") == "text")


def _results(content: str | list[Block]) -> list[Block]:
    return [] if isinstance(content, str) else [block for block in content if block.get("type") == "tool_result"]


def _exchanges(messages: Sequence[ChatMessage]) -> list[Exchange]:
    results: dict[str, Block] = {}
    for message in messages:
        for block in _results(message["content"]):
            results[string(block, "tool_use_id")] = block
    found: list[Exchange] = []
    for message in messages:
        content = message["content"]
        if message["role"] != "assistant" or isinstance(content, str):
            continue
        for block in content:
            result = results.get(string(block, "id"))
            if block.get("type") != "tool_use" or result is None:
                continue
            arguments = block.get("input")
            found.append(
                Exchange(
                    tool=string(block, "name"),
                    arguments=arguments if isinstance(arguments, dict) else {},
                    output=_output(result.get("content")),
                    failed=result.get("is_error") is True,
                )
            )
    return found


def _output(content: JsonValue) -> str:
    """What a tool said, out of its envelope."""
    if isinstance(content, str):
        return next((inside for _, inside in unwrap(content, "result")), content)
    if isinstance(content, list):
        return "\n".join(string(block, "text") for block in content if isinstance(block, dict))
    return ""


def _first(prompt: str, tag: str) -> str:
    found = unwrap(prompt, tag)
    return found[0][1] if found else ""


def _json(text: str) -> JsonValue:
    try:
        return cast("JsonValue", json.loads(text))
    except (ValueError, RecursionError):
        return None


def _options(text: str) -> dict[str, str]:
    try:
        value = cast("JsonValue", json.loads(text) if text else {})
    except (ValueError, RecursionError):
        return {}
    found = value if isinstance(value, dict) else {}
    return {name: about for name, about in found.items() if isinstance(about, str)}


def _names(text: str) -> tuple[str, ...]:
    """Names in a list, where each is a string or stands under `name` in an object."""
    found = _json(text)
    if isinstance(found, list):
        names = [string(item, "name") if isinstance(item, dict) else item for item in found]
        return tuple(name for name in names if isinstance(name, str) and name)
    return (text,) if text.strip() and found is None else ()


def _columns(text: str) -> tuple[str, ...]:
    listed = [entry.get("columns") for entry in entries({"tables": _json(text)}, "tables")]
    names = [name for columns in listed if isinstance(columns, list) for name in columns if isinstance(name, str)]
    return tuple(dict.fromkeys(names))


def _cards(text: str) -> tuple[AgentCard, ...]:
    found = _json(text)
    cards: list[AgentCard] = []
    for entry in entries({"agents": found}, "agents"):
        able = entry.get("capabilities")
        capabilities = tuple(one for one in able if isinstance(one, str)) if isinstance(able, list) else ()
        if name := string(entry, "name"):
            cards.append(AgentCard(name, string(entry, "description"), capabilities))
    return tuple(cards)


def _input(attributes: dict[str, str], text: str) -> Input:
    return Input(
        step=attributes.get("step", ""),
        agent=attributes.get("agent", ""),
        status=attributes.get("status", "succeeded"),
        about=attributes.get("about", ""),
        text=text,
    )
