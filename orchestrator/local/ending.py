"""Being told to end by a signal, from handlers that take no lock.

`threading.Event` has one: a handler that sets it while the code that it interrupted looks at it waits for itself.
"""

import os
import select
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final, Self

TOGETHER_S: Final = 0.3
"""Signals that come within so short a time are one: `timeout` and shells tell a process, and then its group."""


class Ending:
    """Whether this process was told to end, and told again, by signals within its block. For the main thread."""

    def __init__(self, signals: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self._signals = tuple(signals)
        self._since: float | None = None
        self._again = False
        self._told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)

    def __enter__(self) -> Self:
        for number in self._signals:
            signal.signal(number, self.tell)
        return self

    def __exit__(self, *_: object) -> None:
        """All is ended: one more signal is to change nothing."""
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN)

    def tell(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Once more: it is to end. May interrupt any other method."""
        now = time.monotonic()
        if self._since is None:  # whoever waits sees it from now on
            self._since = now
            os.write(self._tell, b"\0")
        elif now >= self._since + TOGETHER_S:
            self._again = True

    def is_set(self) -> bool:
        """Whether it was told to end."""
        return self._since is not None

    def at_once(self) -> bool:
        """Whether it was told to end again, later."""
        return self._again

    def wait(self, within_s: float) -> bool:
        """Wait so long at most; whether it was told to end."""
        select.select([self._told], [], [], within_s)
        return self.is_set()
