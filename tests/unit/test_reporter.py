"""Events of a running attempt: in order, in batches, from any thread, and never at the work's cost."""

import asyncio
import json
import threading

import pytest

from tasks.errors import BadSetting, ContractError, StoreUnavailable
from tests.unit.attempts import REF, FakeAttempts
from workers.reporter import Reporter


async def test_events_are_written_in_order_and_in_one_batch() -> None:
    attempts = FakeAttempts()
    reporter = Reporter(attempts.store, REF)
    for number in range(50):
        reporter.emit("step_progress", {"message": f"line {number} ä"})
    await reporter.close()
    assert [json.loads(data)["message"] for _, data in attempts.events] == [f"line {at} ä" for at in range(50)]
    assert attempts.batches == 1


async def test_events_of_other_threads_are_written_before_the_end() -> None:
    attempts = FakeAttempts()
    reporter = Reporter(attempts.store, REF)
    thread = threading.Thread(target=lambda: [reporter.emit("step_progress", {"n": at}) for at in range(20)])
    thread.start()
    await asyncio.to_thread(thread.join)
    await reporter.close()
    assert [json.loads(data)["n"] for _, data in attempts.events] == list(range(20))


async def test_events_that_come_while_others_are_written_follow_them() -> None:
    attempts = FakeAttempts()
    reporter = Reporter(attempts.store, REF)
    reporter.emit("step_progress", {})
    await asyncio.sleep(0)
    reporter.emit("tool_called", {})
    await reporter.close()
    assert [kind for kind, _ in attempts.events] == ["step_progress", "tool_called"]


async def test_an_event_of_too_many_characters_is_refused() -> None:
    reporter = Reporter(FakeAttempts().store, REF)
    with pytest.raises(ContractError, match="at most 16,384"):
        reporter.emit("step_progress", {"message": "x" * 16_384})


async def test_closing_without_events_does_nothing() -> None:
    attempts = FakeAttempts()
    await Reporter(attempts.store, REF).close()
    assert attempts.batches == 0


@pytest.mark.parametrize("error", [StoreUnavailable("away"), BadSetting("NOAUTH")])
async def test_events_that_cannot_be_written_are_lost_and_the_next_are_not(error: Exception) -> None:
    attempts = FakeAttempts()
    attempts.errors = [error]
    reporter = Reporter(attempts.store, REF)
    reporter.emit("step_progress", {})
    await reporter.close()
    reporter.emit("tool_called", {})
    await reporter.close()
    assert [kind for kind, _ in attempts.events] == ["tool_called"]


async def test_half_a_surrogate_pair_does_not_break_the_attempt() -> None:
    attempts = FakeAttempts()
    reporter = Reporter(attempts.store, REF)
    reporter.emit("step_progress", {"message": "file \udcff"})
    await reporter.close()
    assert attempts.events == [("step_progress", '{"message": "file ?"}')]


async def test_an_event_that_readers_do_not_know_is_refused() -> None:
    reporter = Reporter(FakeAttempts().store, REF)
    with pytest.raises(ContractError, match="no event"):
        reporter.emit("party", {})
