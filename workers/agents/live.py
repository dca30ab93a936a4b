"""What a model writes, shown while it writes: pieces of text gathered into few events."""

import asyncio
from typing import Final

from workers.context import Emit

EVERY_S: Final = 0.12
"""Time between two events: with the last one, which does not wait, there are never more than ten in a second."""
MAX_CHARS: Final = 2500
"""Longest text of one event: even all escaped as JSON it stays below what an event may have."""


class LiveText:
    """Gathers the text of one conversation. Use it on one event loop."""

    def __init__(self, emit: Emit) -> None:
        """Take where events go to."""
        self._emit = emit
        self._waiting = ""
        self._turn = 0
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, turn: int) -> None:
        """A new model call begins; text of the one before that still waits is shown with its first piece."""
        self._waiting += "\n\n" if self._waiting else ""
        self._turn = turn

    def add(self, piece: str) -> None:
        """Take a piece; it is shown at once, or with others when it is time."""
        self._waiting += piece
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._last + EVERY_S - loop.time()
            if wait <= 0:
                self._show()
            else:
                self._timer = loop.call_later(wait, self._show)

    def close(self) -> None:
        """Show what waits, shortened to one event, and be done."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if len(self._waiting) > MAX_CHARS:
            self._waiting = self._waiting[: MAX_CHARS - 1] + "…"
        if self._waiting.strip():
            self._show()

    def _show(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer, self._last = None, loop.time()
        text, self._waiting = self._waiting[:MAX_CHARS], self._waiting[MAX_CHARS:]
        if self._waiting:
            self._timer = loop.call_later(EVERY_S, self._show)
        self._emit("text_delta", {"turn": self._turn, "text": text})
