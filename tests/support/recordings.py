"""Recorded exchanges with the Messages API, and chains of them, in two files of a folder.

`anthropic_exchanges.jsonl`: id, endpoint, request, status, response_headers, and response (JSON) or sse (raw text).
`anthropic_chains.jsonl`: chain, exchange_ids, stream. A folder of your own: RECORDED_CASES=… pytest tests/integration.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from workers.agents.envelope import unwrap
from workers.llm.base import Block, ChatMessage
from workers.llm.stream import MessageAssembly

Json = dict[str, Any]

FOLDER = Path(os.environ.get("RECORDED_CASES") or Path(__file__).parent.parent / "integration" / "recorded")
"""Read here, before the environment is sealed."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer."""

    id: str
    endpoint: str
    request: Json
    status: int
    headers: Mapping[str, str]
    response: Json | None
    sse: str | None

    @property
    def streamed(self) -> bool:
        return self.sse is not None

    @property
    def body(self) -> str:
        """The answer's body, as it came."""
        return self.sse if self.sse is not None else json.dumps(self.response)

    @property
    def message(self) -> Json:
        """The answer as one message."""
        if self.sse is None:
            return cast(Json, self.response)
        assembly = MessageAssembly("recorded")
        for line in self.sse.splitlines():
            if line.startswith("data:"):
                assembly.add(json.loads(line.removeprefix("data:")))
        return assembly.finish()

    @property
    def messages(self) -> list[ChatMessage]:
        return cast("list[ChatMessage]", self.request.get("messages") or [])

    @property
    def opening(self) -> str:
        """The text of the first message."""
        first = blocks(self.messages[0]["content"]) if self.messages else []
        return str(first[0].get("text", "")) if first else ""


@dataclass(frozen=True)
class Chain:
    """Exchanges of one conversation, in order."""

    name: str
    exchanges: Sequence[Exchange]

    @property
    def results(self) -> dict[str, Block]:
        """The recorded result of each call."""
        last = self.exchanges[-1].messages
        found = [block for one in last for block in blocks(one["content"]) if block.get("type") == "tool_result"]
        return {str(block["tool_use_id"]): block for block in found}

    @property
    def begins(self) -> list[int]:
        """Exchanges that do not go on from the one before: their client had put turns of its own in between."""
        found = [0]
        for at in range(1, len(self.exchanges)):
            before, now = self.exchanges[at - 1], self.exchanges[at]
            said: ChatMessage = {"role": "assistant", "content": before.message["content"]}
            expected = [*comparable(before.messages), *comparable([said])]
            if comparable(now.messages[:-1]) != expected:
                found.append(at)
        return found


def _lines(name: str) -> list[Json]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def read_exchanges() -> list[Exchange]:
    """All exchanges of the folder."""
    return [
        Exchange(
            one["id"],
            one["endpoint"],
            one["request"] or {},
            one["status"],
            one.get("response_headers") or {},
            one.get("response"),
            one.get("sse"),
        )
        for one in _lines("anthropic_exchanges.jsonl")
    ]


def read_chains() -> list[Chain]:
    """All chains of the folder."""
    known = {one.id: one for one in read_exchanges()}
    return [Chain(one["chain"], [known[at] for at in one["exchange_ids"]]) for one in _lines("anthropic_chains.jsonl")]


def blocks(content: str | Sequence[Block]) -> list[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def result_text(block: Block) -> str:
    """What a result says: its text, else its blocks as JSON, as a tool of ours would give them."""
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    parts = [cast(Json, part) for part in cast("list[Any]", content)]
    if all(part.get("type") == "text" for part in parts):
        return "".join(str(part["text"]) for part in parts)
    return json.dumps(parts, sort_keys=True)


def comparable(messages: Sequence[ChatMessage]) -> list[Json]:
    """Messages without what clients write differently and the API takes as the same.

    Left out: cache breakpoints, nulls, and `caller`, which some clients drop. Text stands for its one block.
    """
    return [{"role": one["role"], "content": [_plain(block) for block in blocks(one["content"])]} for one in messages]


def _plain(block: Block) -> Json:
    if block.get("type") == "tool_result":
        failed = bool(block.get("is_error"))
        said = result_text(block)  # ours stands in an envelope, that of other clients does not
        said = next((inside for _, inside in unwrap(said, "result")), said)
        return {"result_of": block.get("tool_use_id"), "said": said, "failed": failed}
    return {
        name: value for name, value in block.items() if value is not None and name not in ("cache_control", "caller")
    }
