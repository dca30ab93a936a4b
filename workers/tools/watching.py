"""What a tool call tells the step that it runs in: that it is alive, what is secret, how it went."""

import json
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from pydantic import JsonValue

from tasks.redaction import secrets_in
from tasks.trace import SpanKind
from workers.context import running_step
from workers.spans import CallSpan, observed
from workers.tools.base import ToolCall

MAX_PARSED_CHARS: Final = 200_000
"""Longest output that is looked through for secret fields."""


def sign() -> None:
    """A sign of life: the step is not idle."""
    step = running_step()
    if step is not None:
        step.sign()


def waiting() -> AbstractContextManager[None]:
    """A wait that is not idle although it gives no sign."""
    step = running_step()
    return step.waiting() if step is not None else nullcontext()


def learn(value: JsonValue, fields: frozenset[str]) -> None:
    """What stands in secret fields is masked from now on in all that the step logs and reports."""
    step = running_step()
    if step is not None:
        step.secrets.add(secrets_in(value, fields))


def learn_of(output: str, fields: frozenset[str]) -> None:
    """The same of an output, where it is JSON."""
    if output[:1] in ("{", "[") and len(output) <= MAX_PARSED_CHARS:
        with suppress(ValueError, RecursionError):
            learn(json.loads(output), fields)


@contextmanager
def watched(call_id: str, name: str) -> Generator[Callable[[ToolCall], ToolCall]]:
    """Let the step's observers be around a call; give what this yields the record of its end."""
    step = running_step()
    if step is None:
        yield lambda call: call
        return
    span = CallSpan(step.claim, SpanKind.TOOL_CALL, name, call_id)

    def done(call: ToolCall) -> ToolCall:
        span.of(call)
        return call

    with observed(step.observers, span):
        yield done
