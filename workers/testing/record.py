"""What the fake Messages API remembers: requests, answers, broken rules, tokens. Safe to use from many threads."""

import json
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.testing.behaviours import Break, Fault, Hang, Say

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request to /v1/messages."""

    number: int
    """From 1, in order of arrival."""
    body: Json
    headers: Mapping[str, str]
    """Names in lower case; credentials masked."""


class Record:
    """The server's memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Say | Fault | Break | Hang] = deque()
        self._signed: dict[str, str] = {}
        self.requests: list[RecordedRequest] = []
        self.violations: list[str] = []
        self.usage_total: dict[str, int] = {}
        self.aborted = 0

    def arrive(self, body: Json, headers: Mapping[str, str]) -> tuple[int, Say | Fault | Break | Hang | None]:
        """Note a request; gives its number and the behaviour that was queued for it."""
        with self._lock:
            number = len(self.requests) + 1
            self.requests.append(RecordedRequest(number, body, headers))
            return number, self._queue.popleft() if self._queue else None

    def queue(self, behaviours: Iterable[Say | Fault | Break | Hang]) -> None:
        """One behaviour for each of the next requests."""
        with self._lock:
            self._queue.extend(behaviours)

    def blame(self, number: int, faults: Iterable[str]) -> None:
        """Note broken rules."""
        with self._lock:
            self.violations.extend(f"request {number}: {fault}" for fault in faults)

    def answer(self, message: Json) -> None:
        """Note an answer that is about to be sent: its tokens and its signed blocks."""
        with self._lock:
            for name, count in message["usage"].items():
                if isinstance(count, int):
                    self.usage_total[name] = self.usage_total.get(name, 0) + count
            for block in message["content"]:
                if block.get("type") == "thinking":
                    self._signed[str(block.get("signature"))] = _text(block)

    def abort(self) -> None:
        """Note that a client went away before its answer."""
        with self._lock:
            self.aborted += 1

    def tampered(self, body: Json) -> list[str]:
        """Thinking blocks of ours that come back changed; the API refuses them by their signature."""
        with self._lock:
            signed = dict(self._signed)
        turns: list[Json] = body["messages"]
        return [
            f"messages.{at}: thinking blocks in an assistant message cannot be modified"
            for at, turn in enumerate(turns)
            for block in _blocks(turn)
            if block.get("type") == "thinking" and signed.get(str(block.get("signature")), _text(block)) != _text(block)
        ]

    @property
    def stats(self) -> Json:
        """Counts, for /_fake/stats."""
        with self._lock:
            return {
                "calls": len(self.requests),
                "violations": list(self.violations),
                "usage_total": dict(self.usage_total),
                "aborted": self.aborted,
                "queued": len(self._queue),
            }


def _blocks(turn: Json) -> list[Json]:
    content: str | list[Json] = turn["content"]
    return [] if isinstance(content, str) else content


def _text(block: Json) -> str:
    return json.dumps(block)
