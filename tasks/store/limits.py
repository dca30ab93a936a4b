"""Rate limits over the whole fleet: of model calls, of tools; and the circuit of a key that nobody may call with.

A provider limits requests, input tokens and output tokens a minute with token buckets, of which `limit_book` keeps a
copy (generic cell rate algorithm: a call books its turn and learns how long it still waits; no queue is polled).
Headers of answers correct the copy: https://platform.claude.com/docs/en/api/rate-limits
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, cast

from tasks.store.failures import translated
from tasks.store.scripts import LIMIT_BOOK, LIMIT_CORRECT, LIMIT_TRIP, TOOL_RATE
from tasks.store.store import Store

LOOK: Final = timedelta(milliseconds=200)
"""Between two looks of a call that waits until another one has found out what the limits are."""
FIRST_OUTPUT: Final = 1024
"""Output tokens to expect of a call before any was answered."""
PROBE: Final = timedelta(minutes=1)
"""How long the one call may take that finds out whether a key can be used again; then another one may."""
NO_LIMITS: Final = timedelta(minutes=10)
"""How long an answer without such headers means that nothing is limited."""
KEPT: Final = timedelta(days=1)
UNKNOWN_RESET: Final = timedelta(minutes=10)
"""How long a circuit is open when nobody knows when the key can be used again."""
WINDOW: Final = timedelta(minutes=1)
MOST_SAID_CHARS: Final = 500


class Bucket(NamedTuple):
    """Which limits."""

    account: str
    """Fingerprint of a key and where it is used; never the key."""
    model_class: str
    """Models that share limits."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Limits a minute; None: not known."""

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer's headers said of one limit."""

    limit: int
    """A minute."""
    remaining: int
    full_in: timedelta | None = None
    """From the answer's date until the bucket is full."""


@dataclass(frozen=True, slots=True)
class Readings:
    """What an answer's headers said; None: nothing."""

    requests: Told | None = None
    input_tokens: Told | None = None
    output_tokens: Told | None = None


class Verdict(StrEnum):
    """What becomes of a call that wants its turn."""

    GO = "go"
    """Its turn is booked, and comes after the wait."""
    LATER = "later"
    """The wait would be too long: nothing is booked."""
    ASK = "ask"
    """Nothing is booked: limits are not known yet, and another call finds out. Ask again after the wait."""
    OPEN = "open"
    """Nobody may call with this key for so long."""


@dataclass(frozen=True, slots=True)
class Booking:
    """The answer to `book`."""

    verdict: Verdict
    wait: timedelta
    said: str = ""
    """Why the circuit is open."""
    known: bool = False
    """Whether the provider told when it closes, which is then the wait."""


class Outcome(StrEnum):
    """How a call ended, for its limits."""

    DONE = "done"
    """It was answered, and its tokens are known."""
    BACK = "back"
    """The provider did not count it: it was never sent, or refused."""
    KEPT = "kept"
    """Nobody knows: it stays as estimated."""


class LimitStore:
    """Limits of one fleet. All times are Redis'."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def book(
        self,
        bucket: Bucket,
        call: str,
        *,
        input_tokens: int,
        max_output: int,
        patience: timedelta,
        hold: timedelta,
        rates: Rates | None = None,
    ) -> Booking:
        """Book the turn of a call; a second time for the same call: learn how long it still waits.

        Args:
            input_tokens: Estimate of the whole prompt; what of it counts is known from earlier calls.
            patience: Longest wait; past it nothing is booked.
            hold: How long the call may take from its turn on. Then what it holds is given back.
            rates: What is known of the limits beforehand; what headers told wins.

        Raises:
            StoreUnavailable: no answer in time; the turn may have been booked.
        """
        args = [input_tokens, max_output, _ms(patience), _ms(hold), _ms(LOOK), FIRST_OUTPUT, _ms(PROBE), _ms(KEPT)]
        async with translated(self.store.settings):
            keys = self.store.keys.limits(*bucket)
            reply = await LIMIT_BOOK.run(self.store.redis, keys, [*_known(rates), call, *args])
        verdict, wait, *rest = cast("list[str | int]", reply)
        known, said = (str(rest[0]) == "1", str(rest[1])) if rest else (False, "")
        return Booking(Verdict(verdict), timedelta(milliseconds=int(wait)), said, known)

    async def correct(
        self,
        bucket: Bucket,
        call: str,
        outcome: Outcome,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        readings: Readings | None = None,
        pause: timedelta | None = None,
        rates: Rates | None = None,
    ) -> bool:
        """End what a call holds, and correct the buckets; False when it held nothing any more.

        Args:
            input_tokens: Those that count: without what was read from the cache.
            pause: Nobody may call before it is over: the provider refused this call and said so.
            rates: As given to `book`.

        Raises:
            StoreUnavailable: no answer in time; the hold then ends by itself.
        """
        told = readings or Readings()
        said = [*_told(told.requests), *_told(told.input_tokens), *_told(told.output_tokens)]
        stop = "" if pause is None else _ms(pause)
        args = [outcome, input_tokens, output_tokens, stop, _ms(NO_LIMITS), _ms(KEPT), *said]
        async with translated(self.store.settings):
            keys = self.store.keys.limits(*bucket)
            reply = await LIMIT_CORRECT.run(self.store.redis, keys, [*_known(rates), call, *args])
        return reply == 1

    async def trip(self, account: str, said: str, resets_in: timedelta | None) -> None:
        """Open the circuit of a key: its spend limit or credit is used up.

        Raises:
            StoreUnavailable: no answer in time.
        """
        ends = UNKNOWN_RESET if resets_in is None else resets_in
        args = [_ms(ends), int(resets_in is not None), said[:MOST_SAID_CHARS], _ms(KEPT)]
        async with translated(self.store.settings):
            await LIMIT_TRIP.run(self.store.redis, [self.store.keys.circuit(account)], args)

    async def mend(self, account: str) -> bool:
        """Close the circuit of a key; False when it was not open.

        Raises:
            StoreUnavailable: no answer in time.
        """
        async with translated(self.store.settings):
            return await self.store.redis.delete(self.store.keys.circuit(account)) > 0

    async def admit(self, tool: str, most: int) -> timedelta | None:
        """Let one run of a tool begin and count it, at most `most` in any minute; or how long until there is room.

        Raises:
            StoreUnavailable: no answer in time; the run may have been counted.
        """
        async with translated(self.store.settings):
            reply = await TOOL_RATE.run(self.store.redis, [self.store.keys.tool_rate(tool)], [most, _ms(WINDOW)])
        wait = cast(int, reply)
        return None if wait < 0 else timedelta(milliseconds=wait)


def _ms(duration: timedelta) -> int:
    return max(0, round(duration / timedelta(milliseconds=1)))


def _known(rates: Rates | None) -> Sequence[str | int]:
    known = rates or Rates()
    return [one or "" for one in (known.requests, known.input_tokens, known.output_tokens)]


def _told(told: Told | None) -> list[str | int]:
    if told is None:
        return ["", "", ""]
    return [told.limit, told.remaining, "" if told.full_in is None else _ms(told.full_in)]
