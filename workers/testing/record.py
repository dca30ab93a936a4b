"""What the fake Messages API remembers: requests, answers, broken rules, tokens. Safe to use from many threads."""

import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.llm.pricing import ModelFacts, Pricing
from workers.testing.behaviours import Break, Fault, Hang, Say
from workers.testing.binding import THINKING, bindings, blocks_of, signature_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request to /v1/messages."""

    number: int
    """From 1, in order of arrival."""
    body: Json
    headers: Mapping[str, str]
    """Names in lower case; credentials masked."""


@dataclass(frozen=True, slots=True)
class Served:
    """One answer that was paid for: also one whose client went away while it was sent."""

    number: int
    """Of the request."""
    model: str
    usage: Json
    cost_microusd: int


class Record:
    """The server's memory."""

    def __init__(self, prices: Pricing | None = None) -> None:
        self._prices = prices or Pricing.read()
        self._lock = threading.Lock()
        self._queue: deque[Say | Fault | Break | Hang] = deque()
        self._signed: dict[str, str] = {}
        self._thoughts: dict[str, list[str]] = {}
        """Signatures of the thinking that came with each tool call."""
        self._bound: set[tuple[str, str]] = set()
        """Signatures with what they are bound to."""
        self._begins: dict[str, str] = {}
        """What stood before the turn of each tool call that came with thinking."""
        self.served: list[Served] = []
        self.requests: list[RecordedRequest] = []
        self.violations: list[str] = []
        self.usage_total: dict[str, int] = {}
        self.aborted = 0
        self.limited = 0

    def arrive(self, body: Json, headers: Mapping[str, str]) -> int:
        """Note a request; gives its number."""
        with self._lock:
            number = len(self.requests) + 1
            self.requests.append(RecordedRequest(number, body, headers))
            return number

    def next(self) -> Say | Fault | Break | Hang | None:
        """The behaviour that is queued for the request, if any."""
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def queue(self, behaviours: Iterable[Say | Fault | Break | Hang]) -> None:
        """One behaviour for each of the next requests."""
        with self._lock:
            self._queue.extend(behaviours)

    def blame(self, number: int, faults: Iterable[str]) -> None:
        """Note broken rules."""
        with self._lock:
            self.violations.extend(f"request {number}: {fault}" for fault in faults)

    def answer(self, number: int, message: Json) -> None:
        """Note an answer that is about to be sent: its tokens, its price and its signed blocks."""
        usage: Json = message["usage"]
        served = Served(number, message["model"], usage, self._cost(message["model"], usage))
        with self._lock:
            self.served.append(served)
            for name, count in usage.items():
                if isinstance(count, int):
                    self.usage_total[name] = self.usage_total.get(name, 0) + count
            thoughts = [block for block in message["content"] if block.get("type") in THINKING]
            begins = ""
            if thoughts and 0 < number <= len(self.requests):
                bound = list(bindings(self.requests[number - 1].body, message["content"]))
                self._bound.update((key, digest) for _, key, digest in bound if key)
                begins = [digest for _, key, digest in bound if not key][-1]
            for block in thoughts:
                self._signed[signature_of(block)] = _text(block)
            for block in message["content"]:
                if block.get("type") == "tool_use" and thoughts:
                    self._thoughts[str(block.get("id"))] = [signature_of(one) for one in thoughts]
                    self._begins[str(block.get("id"))] = begins

    def _cost(self, model: str, usage: Json) -> int:
        created: Json = usage.get("cache_creation") or {}
        hour: int = created.get("ephemeral_1h_input_tokens") or 0
        uses: Json = usage.get("server_tool_use") or {}
        written: int = usage.get("cache_creation_input_tokens") or 0
        return self._prices.cost_microusd(
            model,
            input_tokens=usage["input_tokens"],
            output_tokens=usage["output_tokens"],
            cache_read_tokens=usage.get("cache_read_input_tokens") or 0,
            cache_write_5m_tokens=written - hour,
            cache_write_1h_tokens=hour,
            web_searches=uses.get("web_search_requests") or 0,
        )

    def limit(self) -> None:
        """Note a request that the rate limit refused."""
        with self._lock:
            self.limited += 1

    def abort(self) -> None:
        """Note that a client went away before its answer."""
        with self._lock:
            self.aborted += 1

    def tampered(self, body: Json, facts: ModelFacts) -> list[str]:
        """Thinking of ours that comes back changed, not at all, or after something else; the API refuses all three."""
        with self._lock:
            signed, thoughts, known, begins = (
                dict(self._signed),
                dict(self._thoughts),
                set(self._bound),
                dict(self._begins),
            )
        if not signed:
            return []
        found = list(bindings(body)) if facts.bound_thinking else []
        faults = [
            f"messages.{at}: invalid signature: the thinking block is bound to a different conversation"
            for at, key, bound in found
            if key in signed and (key, bound) not in known
        ]
        here_begins = {at: bound for at, key, bound in found if not key}
        turns: list[Json] = body["messages"]
        for at, turn in enumerate(turns):
            here = [block for block in blocks_of(turn) if block.get("type") in THINKING]
            signatures = [signature_of(block) for block in here]
            if any(signed.get(signature_of(block), _text(block)) != _text(block) for block in here):
                faults.append(f"messages.{at}: thinking blocks in an assistant message cannot be modified")
            calls = [str(block.get("id")) for block in blocks_of(turn) if block.get("type") == "tool_use"]
            # After a change before it, a turn's thinking is rightly taken away.
            changed = {call for call in calls if at in here_begins and begins.get(call) != here_begins[at]}
            if any(not set(thoughts.get(call, ())) <= set(signatures) for call in calls if call not in changed):
                faults.append(f"messages.{at}: the thinking blocks that came with a tool_use must come back with it")
        return faults

    @property
    def stats(self) -> Json:
        """Counts, for /_fake/stats."""
        with self._lock:
            return {
                "calls": len(self.requests),
                "violations": list(self.violations),
                "usage_total": dict(self.usage_total),
                "cost_microusd": sum(one.cost_microusd for one in self.served),
                "served": len(self.served),
                "aborted": self.aborted,
                "limited": self.limited,
                "queued": len(self._queue),
            }


def _text(block: Json) -> str:
    return json.dumps({name: value for name, value in block.items() if name != "cache_control"})
