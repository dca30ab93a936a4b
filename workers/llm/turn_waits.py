"""How long calls wait for their turn under the rate limits: told to whoever measures the call that is made."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class TurnWaits:
    """Of one call, all its tries together."""

    seconds: float | None = None
    """None: it asked for no turn."""


_waits: ContextVar[TurnWaits | None] = ContextVar("troupe_turn_waits", default=None)


@contextmanager
def measuring_waits() -> Generator[TurnWaits]:
    """Note there how long the call that is made inside waits."""
    waits = TurnWaits()
    token = _waits.set(waits)
    try:
        yield waits
    finally:
        _waits.reset(token)


@contextmanager
def waiting_for_turn(clock: Callable[[], float] = time.monotonic) -> Generator[None]:
    """What is done inside is the wait for a turn, also where none is given."""
    begun = clock()
    try:
        yield
    finally:
        waits = _waits.get()
        if waits is not None:
            waits.seconds = (waits.seconds or 0.0) + clock() - begun
