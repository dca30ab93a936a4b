"""What a model writes, shown while it writes: pieces of text gathered into few events, without secrets."""

import asyncio
import re
from typing import Final

from tasks.redaction import redact_text
from workers.context import Emit

EVERY_S: Final = 0.12
"""Time between two events: with the last one, which does not wait, there are never more than ten in a second."""
MAX_CHARS: Final = 2500
"""Longest text of one event: even all escaped as JSON it stays below what an event may have."""
TAIL_CHARS: Final = 600
"""What was shown last is looked at with each new piece: a secret may come in several."""
MAX_BLOCK_CHARS: Final = 8000
"""The same while a private key is being written: it hides all that follows its first line."""
MAX_HALF_CHARS: Final = 256
HALF_WORD: Final = re.compile(r"[!-~]{6,}\Z")
"""What may become a key, and is kept back until the next piece says how it goes on."""


class LiveText:
    """Gathers the text of one conversation. Use it on one event loop."""

    def __init__(self, emit: Emit) -> None:
        """Take where events go to."""
        self._emit = emit
        self._waiting = ""
        self._shown = ""
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
            self._show(all_of_it=True)

    def _show(self, *, all_of_it: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        whole = len(self._waiting) if all_of_it else self._whole_words()
        end = min(MAX_CHARS, whole)
        text, self._waiting = self._masked(self._waiting[:end]), self._waiting[end:]
        if end < whole:
            self._timer = loop.call_later(EVERY_S, self._show)
        if text:
            self._last = loop.time()
            self._emit("text_delta", {"turn": self._turn, "text": text})

    def _whole_words(self) -> int:
        """How much of what waits ends with a whole word, or with one that is too short or too long to be a key."""
        text = self._shown[-MAX_HALF_CHARS:] + self._waiting
        half = HALF_WORD.search(text, max(len(text) - MAX_HALF_CHARS, 0))
        if half is None:
            return len(self._waiting)
        return max(half.start() - len(text) + len(self._waiting), 0)

    def _masked(self, piece: str) -> str:
        """What is new in the masked text with this piece at its end."""
        if not piece:
            return ""
        text = self._shown + piece
        before, after = redact_text(self._shown), redact_text(text)
        block = text.rfind("-----BEGIN ")
        is_open = block >= 0 and text.find("-----END ", block) < 0
        self._shown = text[block:][:MAX_BLOCK_CHARS] if is_open else text[-TAIL_CHARS:]
        same = next((at for at, (one, two) in enumerate(zip(before, after, strict=False)) if one != two), len(before))
        return after[same:]
