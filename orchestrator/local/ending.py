"""Being told to end by a signal, from handlers that take no lock.

`threading.Event` has one: a handler that sets it while the code that it interrupted looks at it waits for itself.
"""

import os
import select
import signal
from collections.abc import Sequence
from types import FrameType


class Ending:
    """Whether this process was told to end, and how often. Only the main thread may ask for signals."""

    def __init__(self) -> None:
        self._times = 0
        self._told, self._tell = os.pipe()
        os.set_blocking(self._tell, False)

    def listen(self, signals: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> None:
        """Take these signals from now on."""
        for number in signals:
            signal.signal(number, self.tell)

    def tell(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Once more: it is to end. May interrupt any other method."""
        self._times += 1
        if self._times == 1:  # whoever waits sees it from now on
            os.write(self._tell, b"\0")

    def is_set(self) -> bool:
        """Whether it was told to end."""
        return self._times > 0

    def at_once(self) -> bool:
        """Whether it was told to end again."""
        return self._times > 1

    def wait(self, within_s: float) -> bool:
        """Wait so long at most; whether it was told to end."""
        select.select([self._told], [], [], within_s)
        return self.is_set()
