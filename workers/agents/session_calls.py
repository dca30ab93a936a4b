"""Tool calls of a session's jobs, remembered with the session: for people, and for agents that look back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from tasks.errors import PayloadTooLarge, TransientError
from tasks.ids import SessionId
from tasks.sessions import SessionCall
from tasks.store import SessionStore
from workers.agents.conversation import Executor
from workers.llm.base import Block
from workers.tools.base import ToolCall

log = structlog.get_logger("worker")

MAX_CHARS: Final = 2_000
"""What is remembered of an output; the step's journal has it whole."""


@dataclass(slots=True)
class RememberingExecutor:
    """Runs tool calls as another executor does, and remembers those that were made just now, without secrets.

    A worker that dies between a call and its being remembered leaves it out; none is remembered twice.
    """

    inner: Executor
    sessions: SessionStore
    session: SessionId

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1) -> list[ToolCall]:
        """See `Executor.execute_all`."""
        calls = await self.inner.execute_all(blocks, attempt)
        made = [_remembered(call) for call in calls if call.attempt == attempt]
        if made:
            try:
                await self.sessions.append_tool_calls(self.session, made)
            except (TransientError, PayloadTooLarge) as error:  # the work goes on without it
                log.warning("tool_calls_not_remembered", count=len(made), reason=str(error))
        return calls


def _remembered(call: ToolCall) -> SessionCall:
    shown = call.shown()
    return SessionCall(
        tool_name=shown.tool,
        input=shown.input,
        output=None if shown.output is None else shown.output[:MAX_CHARS],
        duration_ms=shown.duration_ms,
        success=shown.success,
        error=shown.error,
        timestamp=shown.timestamp,
    )
