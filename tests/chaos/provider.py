"""What the provider of `tests.chaos.loops` says, and what it knows afterwards: which answers were paid, and heard."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tasks.usage import Usage
from workers.testing import FakeMessages, Say

Json = dict[str, Any]

LATENCY_S: Final = 0.1
MARK: Final = re.compile(r"loop-\d{4}")
"""In a job's task, and so in each of its prompts."""


@dataclass(slots=True)
class Answer:
    """One answer that was served, and so is paid for, whoever hears it."""

    body: Json
    mark: str
    turn: int
    """From 1; 0 for the job's own answer."""
    call: str
    """Id of the tool call in it; empty when it has none."""


@dataclass(slots=True)
class Provider:
    """Lets each loop call its tool until the last of its turns. Give it to `FakeMessages` as responder."""

    turns: int
    tokens: Callable[[Random], int]
    """Output tokens of the next answer, as long as its limit allows."""
    on_turn: Callable[[str, int], None]
    """Told of the mark and turn of each request, as it arrives."""
    dice: Random
    early: float = 0.0
    """Share of the answers that end their loop before its last turn."""
    answers: list[Answer] = field(default_factory=list[Answer])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, body: Json) -> Say:
        """Answer after a while. A client that has gone away meanwhile pays all the same."""
        found = MARK.search(json.dumps(body["messages"][0]))
        mark = found[0] if found else ""
        turn = 1 + sum(one["role"] == "assistant" for one in body["messages"]) if body.get("tools") else 0
        self.on_turn(mark, turn)
        time.sleep(LATENCY_S)
        with self.lock:
            goes_on = 0 < turn < self.turns and self.dice.random() >= self.early
            call = f"toolu_{len(self.answers):06d}" if goes_on else ""
            self.answers.append(Answer(body, mark, turn, call))
            written = min(self.tokens(self.dice), body["max_tokens"])
        usage: Json = {"output_tokens": written}
        if written == body["max_tokens"]:
            return Say(content="It is too much", stop_reason="max_tokens", usage=usage)
        if not call:
            return Say(content="It is done.", usage=usage)
        use: Json = {"type": "tool_use", "id": call, "name": "count", "input": {"number": turn}}
        return Say(content=[{"type": "text", "text": f"Now {turn}."}, use], usage=usage)

    def heard(self, mark: str) -> list[Answer]:
        """Answers of a completed job that some worker went on with: their call stands in a later prompt, or nothing
        came after them."""
        own = [one for one in self.answers if one.mark == mark]
        later = "".join(json.dumps(one.body["messages"]) for one in own)
        last = {one.turn: one for one in own if not one.call}
        return [one for one in own if (one.call and one.call in later) or last.get(one.turn) is one]


def usage_of(fake: FakeMessages, answers: list[Answer]) -> Usage:
    """What those answers came to, by the provider's own account."""
    wanted = {id(one.body) for one in answers}
    total = Usage()
    for served in list(fake.served):
        if id(fake.requests[served.number - 1].body) in wanted:
            said = served.usage
            total += Usage(
                input_tokens=said["input_tokens"],
                output_tokens=said["output_tokens"],
                cache_read_tokens=said["cache_read_input_tokens"],
                cache_write_tokens=said["cache_creation_input_tokens"],
                requests=1,
                cost_microusd=served.cost_microusd,
            )
    return total
