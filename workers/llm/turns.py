"""Turns of model calls under the rate limits of their key, over the whole fleet; and how long a call waits in place.

A store that is away stops nobody: until it is back, each process lets a few calls go at a time, and what the provider
refuses is waited for as it says. Nothing of that time is counted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from typing import Final

import structlog

from tasks.errors import DamagedRecord, ModelUnavailable, SpendLimitReached, StoreUnavailable
from tasks.store.limits import Booking, Bucket, LimitStore, Outcome, Rates, Readings, Verdict
from workers.context import running_step

Sleep = Callable[[float], Awaitable[object]]

SURE: Final = timedelta(milliseconds=250)
"""After a longer wait a call asks again before it goes: the fleet may have been told to stop meanwhile."""
SLACK: Final = timedelta(seconds=1)
"""How much later than promised a booked turn may come."""
NO_TIME: Final = timedelta(0)
DAY: Final = timedelta(days=1)
FEW: Final = 4
"""Calls at a time of a process whose store is away."""
AWAY_S: Final = 5.0
"""How long a store that did not answer is not asked again."""
ASK_LATER: Final = timedelta(seconds=2)
"""When to come again, where nobody knows how long."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")


class Patience:
    """How long one call may still wait: by the setting, and by the time that its step has."""

    def __init__(self, seconds: float, sleep: Sleep = asyncio.sleep) -> None:
        self._left = seconds
        self._sleep = sleep

    @property
    def left(self) -> timedelta:
        """The rest of it."""
        step = running_step()
        left = self._left if step is None else min(self._left, step.left_s)
        return timedelta(seconds=max(0.0, left))

    async def wait(self, duration: timedelta) -> None:
        """Wait so long; the step that waits is not idle."""
        if not duration:
            return
        step = running_step()
        self._left -= duration.total_seconds()
        with step.waiting() if step is not None else nullcontext():
            await self._sleep(duration.total_seconds())


@dataclass(frozen=True, slots=True)
class Wish:
    """A call that wants its turn."""

    bucket: Bucket
    input_tokens: int
    """Estimate of the whole prompt."""
    max_output: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class Turn:
    """A call's turn. It must be ended, once."""

    wish: Wish
    call: str
    away: bool = False
    """Taken without the store."""


class Turns:
    """Gives turns. One for a process and model."""

    def __init__(self, limits: LimitStore, *, hold: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask nothing yet.

        Args:
            hold: Longest time of a call.
        """
        self._limits = limits
        self._hold = hold
        self._clock = clock
        self._few = asyncio.Semaphore(FEW)
        self._away_until: float | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self, wish: Wish, patience: Patience) -> Turn:
        """Wait for a turn.

        Raises:
            ModelUnavailable: the wait would be longer than the patience; carries when to come again.
            SpendLimitReached: nobody may call with this key.
        """
        turn, booked = Turn(wish, token_hex(8)), False
        try:
            while True:
                booking = await self._book(turn, patience.left + (SLACK if booked else NO_TIME))
                if booking is None:
                    return await self._take_away(turn, patience)
                match booking.verdict:
                    case Verdict.OPEN:
                        raise SpendLimitReached(booking.said, resets_in=booking.wait if booking.known else None)
                    case Verdict.LATER:
                        booked = False
                        raise _too_long(wish, booking.wait)
                    case Verdict.ASK if booking.wait > patience.left:
                        raise _too_long(wish, ASK_LATER)
                    case Verdict.ASK:
                        await patience.wait(booking.wait)
                    case Verdict.GO:
                        booked = True
                        await patience.wait(booking.wait)
                        if booking.wait <= SURE:
                            return turn
        except BaseException as error:
            if booked or isinstance(error, asyncio.CancelledError):  # which may come while the answer is under way
                self.end_soon(turn, Outcome.BACK)
            raise

    async def _book(self, turn: Turn, patience: timedelta) -> Booking | None:
        """None: the store is away."""
        if self._away_until is not None and self._clock() < self._away_until:
            return None
        try:
            wish = turn.wish
            booking = await self._limits.book(
                wish.bucket,
                turn.call,
                input_tokens=wish.input_tokens,
                max_output=wish.max_output,
                patience=patience,
                hold=self._hold,
                rates=wish.rates,
            )
        except (StoreUnavailable, DamagedRecord) as error:
            self._miss(error)
            return None
        if self._away_until is not None:
            self._away_until = None
            log.info("rate_limits_shared_again")
        return booking

    async def _take_away(self, turn: Turn, patience: Patience) -> Turn:
        try:
            async with asyncio.timeout(patience.left.total_seconds()):
                await self._few.acquire()
        except TimeoutError:
            raise _too_long(turn.wish, ASK_LATER) from None
        return replace(turn, away=True)

    async def end(
        self,
        turn: Turn,
        outcome: Outcome,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        readings: Readings | None = None,
        pause: timedelta | None = None,
    ) -> None:
        """Say how the call ended; arguments as of `LimitStore.correct`. A store that is away learns nothing of it."""
        if turn.away:
            self._few.release()
            return
        try:
            await self._limits.correct(
                turn.wish.bucket,
                turn.call,
                outcome,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                readings=readings,
                pause=pause,
                rates=turn.wish.rates,
            )
        except (StoreUnavailable, DamagedRecord) as error:
            self._miss(error)

    def end_soon(self, turn: Turn, outcome: Outcome) -> None:
        """The same without waiting: for a call that is being cancelled."""
        task = asyncio.create_task(self.end(turn, outcome))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def trip(self, turn: Turn, error: SpendLimitReached) -> None:
        """Keep the whole fleet from calling with this key."""
        account, wait = turn.wish.bucket.account, error.resets_in
        log.warning("circuit_opened", account=account, days=None if wait is None else round(wait / DAY, 2))
        try:
            await self._limits.trip(account, str(error), wait)
        except StoreUnavailable as away:
            self._miss(away)

    async def close(self) -> None:
        """Wait for what is still being said."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _miss(self, error: Exception) -> None:
        if self._away_until is None:
            log.warning("rate_limits_not_shared", reason=str(error), calls_at_a_time=FEW)
        self._away_until = self._clock() + AWAY_S


def _too_long(wish: Wish, wait: timedelta) -> ModelUnavailable:
    said = f"the rate limit of {wish.bucket.model_class} is used up; there is room in {wait.total_seconds():.1f} s"
    return ModelUnavailable(said, retry_after=wait, asked=False)
