"""What the tool calls of a process share: who admits them, who approves them, who is told. Protocols with defaults that
need nothing but this process."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

from pydantic import JsonValue

from workers.tools.base import Tool, ToolCall

MINUTE_S: Final = 60.0
LONGEST_WAIT: Final = timedelta(seconds=5)
FIRST_PAUSE: Final = timedelta(milliseconds=500)


class ToolGate(Protocol):
    """Keeps rate limits."""

    async def admit(self, tool: Tool) -> timedelta | None:
        """Let one run of the tool begin, and count it; or say how long until asking again makes sense.

        Raises:
            TransientError: it cannot be known now; the call is then refused.
        """
        ...


@dataclass(frozen=True, slots=True)
class Approval:
    """A call that waits for a person's yes."""

    call_id: str
    tool: Tool
    input: JsonValue
    """Without secrets."""
    digest: str
    """Of the whole input (`tasks.signing.digest`)."""
    key: str
    """The same in every attempt (`current_call().key`): a yes holds for the attempt that comes after it too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided."""

    approved: bool
    reason: str = ""
    """For the model, when it was not."""
    input: JsonValue = None
    """Arguments that it is to be made with in place of its own; None: as it was asked for."""


class ApprovalDesk(Protocol):
    """Asks a person."""

    async def decide(self, request: Approval) -> Verdict:
        """Decide on one call. May wait as long as the step may.

        Raises:
            TransientError: nobody can be asked now; the call is then refused.
        """
        ...


def nobody_listens(_call: ToolCall) -> None:
    """The default observer."""


class LocalGate:
    """Rate limits of this process alone: at most `rate_limit` runs in any 60 s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: defaultdict[str, deque[float]] = defaultdict(deque)

    async def admit(self, tool: Tool) -> timedelta | None:
        """See `ToolGate.admit`."""
        if tool.rate_limit is None:
            return None
        now, begun = self._clock(), self._begun[tool.name]
        while begun and begun[0] <= now - MINUTE_S:
            begun.popleft()
        if len(begun) < tool.rate_limit:
            begun.append(now)
            return None
        return timedelta(seconds=begun[0] + MINUTE_S - now)


class ClosedDesk:
    """Says no: nobody is there to ask."""

    async def decide(self, request: Approval) -> Verdict:
        """See `ApprovalDesk.decide`."""
        return Verdict(
            approved=False, reason=f"{request.tool.name} needs a person's approval, and nobody is asked here"
        )


class Lanes:
    """Keeps `concurrency`: a run that was given up at its timeout leaves its lane, though its thread may go on."""

    def __init__(self) -> None:
        self._rooms: dict[str, asyncio.Semaphore] = {}

    def enter(self, tool: Tool) -> AbstractAsyncContextManager[object]:
        """Wait for a free lane of the tool, and leave it at the end."""
        if tool.concurrency is None:
            return nullcontext()
        return self._rooms.setdefault(tool.name, asyncio.Semaphore(tool.concurrency))


@dataclass(slots=True)
class Controls:
    """One for a process and its event loop; every executor of the process gets it."""

    gate: ToolGate = field(default_factory=LocalGate)
    desk: ApprovalDesk = field(default_factory=ClosedDesk)
    on_call: Callable[[ToolCall], None] = nobody_listens
    """Told of every call as it ends, without secrets; `current_step()` says for whom. What it raises is logged and
    lost."""
    count: Callable[[ToolCall], None] = nobody_listens
    """The same for what only counts: its record is the model's own, secrets included, because masking a long output
    takes milliseconds."""
    lanes: Lanes = field(default_factory=Lanes)
    longest_wait: timedelta = LONGEST_WAIT
    """How long a call waits for its rate limit before it is refused."""
    first_pause: timedelta = FIRST_PAUSE
    """Before the second try of a tool with retries; doubled for each further one, halved at most by chance."""
