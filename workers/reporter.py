"""Events of one running attempt, written in order by a task of their own, so that the work never waits for them."""

import asyncio
import json
from typing import Final, cast

import structlog
from pydantic import JsonValue

from tasks.errors import ContractError, TroupeError
from tasks.ids import AttemptRef
from tasks.redaction import Secrets, redact
from tasks.store import AttemptStore
from tasks.trace import SPAN

log = structlog.get_logger("worker")

MAX_CHARS: Final = 16_384
"""Longest data of one event, as JSON: ten thousand of them may be kept for a job."""
KINDS: Final = frozenset({"step_progress", "text_delta", "tool_called", SPAN})
"""Events that running attempts write, and spans of their own."""


def redacted(data: dict[str, JsonValue], secrets: Secrets) -> dict[str, JsonValue]:
    """The data of an event without secrets, also when a thread reports that knows nothing of its step."""
    return cast("dict[str, JsonValue]", redact(data, (), secrets.texts))


class Reporter:
    """Takes events from any thread, writes them in batches."""

    def __init__(self, attempts: AttemptStore, ref: AttemptRef) -> None:
        self.attempts = attempts
        self.ref = ref
        self.loop = asyncio.get_running_loop()
        self.waiting: list[tuple[str, str]] = []
        self.writing: asyncio.Task[None] | None = None

    def emit(self, kind: str, data: dict[str, JsonValue]) -> None:
        """Write an event soon.

        Raises:
            ContractError: an event type that an agent may not write (readers would stop at it), or more than MAX_CHARS.
        """
        if kind not in KINDS:
            raise ContractError(f"{kind!r} is no event that an agent may write; there are: {', '.join(sorted(KINDS))}")
        text = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace").decode()  # no lone surrogates
        if len(text) > MAX_CHARS and kind != SPAN:  # a span's texts are bounded before control characters are escaped
            raise ContractError(f"the data of event {kind!r} have {len(text):,} characters; at most {MAX_CHARS:,}")
        self.loop.call_soon_threadsafe(self._add, kind, text)

    async def close(self) -> None:
        """Wait until all events are written."""
        await asyncio.sleep(0)  # lets events in that other threads handed over just now
        if self.writing is not None:
            await self.writing

    def _add(self, kind: str, text: str) -> None:
        self.waiting.append((kind, text))
        if self.writing is None or self.writing.done():
            self.writing = self.loop.create_task(self._write())

    async def _write(self) -> None:
        while self.waiting:
            batch, self.waiting = self.waiting, []
            try:
                await self.attempts.report(self.ref, batch)
            except TroupeError as error:  # events are for people: without them the work goes on
                self._say_lost(len(batch), str(error))

    def _say_lost(self, count: int, reason: str) -> None:
        job, step, attempt = self.ref  # said here: an event may have come from a thread that knows nothing of them
        log.warning("events_lost", job=job, step=step, attempt=attempt, count=count, reason=reason)
