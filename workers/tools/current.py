"""The tool call that the running code works on, and the key that makes doing it twice harmless."""

import hashlib
import json
from contextvars import ContextVar
from dataclasses import dataclass

from pydantic import JsonValue

from tasks.errors import ContractError
from workers.context import current_step


@dataclass(frozen=True, slots=True)
class CurrentCall:
    """One run of a tool, seen from inside."""

    tool: str
    call_id: str
    """The model's id of the call; another one when a later attempt asks again."""
    key: str
    """The same in every try and every attempt of this call, and of no other: give it to what the tool changes as
    idempotency key. The n-th identical call of a step has a key of its own."""
    attempt: int
    """Attempt of the step."""
    number: int
    """Try of this call, from 1."""


_current: ContextVar[CurrentCall] = ContextVar("troupe_tool_call")


def current_call() -> CurrentCall:
    """The tool call that this code runs for.

    Raises:
        ContractError: called outside a tool.
    """
    try:
        return _current.get()
    except LookupError:
        raise ContractError("no tool is running here: current_call() is for code inside tools") from None


def enter_call(call: CurrentCall) -> None:
    """Make `call` current for this asyncio task or thread."""
    _current.set(call)


def canonical(value: JsonValue) -> str:
    """One text for equal inputs, whatever the order of their fields."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def call_key(tool: str, text: str, occurrence: int) -> str:
    """The key of the n-th call with this canonical input in the current step; outside a step, of a nameless one."""
    try:
        claim = current_step().claim
        job, step = str(claim.job.id), str(claim.step.id)
    except ContractError:
        job = step = ""
    return hashlib.sha256(json.dumps([job, step, tool, text, occurrence]).encode()).hexdigest()[:40]
