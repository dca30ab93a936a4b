"""Tool calls of a session's jobs are remembered with it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tasks.errors import PayloadTooLarge, StoreUnavailable
from tasks.ids import SessionId
from tasks.sessions import SessionCall
from tasks.store import SessionStore
from workers.agents.session_calls import MAX_CHARS, RememberingExecutor
from workers.llm.base import Block
from workers.tools.base import ToolCall

TALK = SessionId("talk.0")
AT = datetime(2026, 1, 2, tzinfo=UTC)


def call(name: str, *, attempt: int = 1, output: str | None = "out", error: str | None = None) -> ToolCall:
    return ToolCall(
        id="toolu_1", tool=name, input={"a": 1}, output=output, duration_ms=2.5, success=error is None, error=error,
        timestamp=AT, attempt=attempt,
    )  # fmt: skip


class Inner:
    """Gives the same calls to everybody."""

    def __init__(self, *calls: ToolCall) -> None:
        self.calls = list(calls)

    async def execute_all(self, blocks: Sequence[Block], attempt: int = 1) -> list[ToolCall]:
        return self.calls


class Sessions:
    """Keeps what is added to sessions."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.added: list[tuple[SessionId, list[SessionCall]]] = []

    async def append_tool_calls(self, session: SessionId, calls: Sequence[SessionCall]) -> int:
        if self.error is not None:
            raise self.error
        self.added.append((session, list(calls)))
        return len(calls)


async def remember(sessions: Sessions, *calls: ToolCall, attempt: int = 1) -> list[ToolCall]:
    executor = RememberingExecutor(Inner(*calls), cast(SessionStore, sessions), TALK)
    return await executor.execute_all(cast(Any, []), attempt)


async def test_calls_of_a_turn_are_added_in_one_move() -> None:
    sessions, made = Sessions(), [call("add"), call("find", output=None, error="nothing there")]
    assert await remember(sessions, *made) == made
    ((session, added),) = sessions.added
    assert session == TALK
    assert [(one.tool_name, one.input, one.output, one.duration_ms, one.success, one.error) for one in added] == [
        ("add", {"a": 1}, "out", 2.5, True, None),
        ("find", {"a": 1}, None, 2.5, False, "nothing there"),
    ]
    assert added[0].timestamp == AT


async def test_what_an_earlier_attempt_had_called_is_not_added_again() -> None:
    sessions = Sessions()
    await remember(sessions, call("before"), call("now", attempt=2), attempt=2)
    assert [one.tool_name for one in sessions.added[0][1]] == ["now"]
    await remember(sessions, call("before"), attempt=2)
    assert len(sessions.added) == 1


async def test_secrets_are_masked_and_long_outputs_cut() -> None:
    sessions = Sessions()
    secret = call("login", output=f"token s3cr3t-value {'x' * 5_000}").hide(frozenset(), frozenset({"s3cr3t-value"}))
    await remember(sessions, secret)
    output = sessions.added[0][1][0].output
    assert isinstance(output, str)
    assert "s3cr3t-value" not in output
    assert len(output) == MAX_CHARS


@pytest.mark.parametrize("error", [StoreUnavailable("away"), PayloadTooLarge("large")])
async def test_the_work_goes_on_when_they_cannot_be_remembered(error: Exception) -> None:
    made = call("add")
    assert await remember(Sessions(error), made) == [made]
