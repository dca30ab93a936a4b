"""Notices when the provider's cache no longer gives what it should, and why, as far as that can be told."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tasks.models import Usage

RUNNING: Final = 3
"""Misses in a row that are worth a word: a single one is nothing, for entries may go before their time."""
QUIET_S: Final = 300.0
"""Least time between two words about one agent and model."""
KEPT: Final = 64
"""Prefixes of one agent and model that are remembered."""
SUBJECTS: Final = 1000
"""Agents and models that are remembered; names are the user's, so there is a bound."""

NAMES: Final = {"tools": "tools", "system": "system prompt", "form": "form of the answer"}


@dataclass(frozen=True, slots=True)
class Miss:
    """The cache has collapsed for one agent on one model."""

    reason: str
    """`changed`: each prompt begins otherwise; `not_kept`: shorter than the model keeps, or the provider keeps none;
    `expired`: it was read before, and was gone before its time."""
    parts: tuple[str, ...]
    """What changes: `tools`, `system`, `form`."""
    times: int

    @property
    def words(self) -> str:
        """For people."""
        if self.reason == "changed":
            return f"the {' and '.join(NAMES.get(part, part) for part in self.parts)} changed before each of them"
        if self.reason == "not_kept":
            return "what they begin with is not kept: it is shorter than the model keeps, or nothing is kept there"
        return "what they begin with was gone before its time"


@dataclass(slots=True)
class _Seen:
    used: float
    read: bool = False
    """Whether any call has ever read it from the cache."""
    missed: int = 0
    """Calls in a row that should have read it and did not."""


@dataclass(slots=True)
class _Subject:
    """What is remembered of one agent on one model."""

    seen: OrderedDict[tuple[str, ...], _Seen] = field(default_factory=OrderedDict[tuple[str, ...], _Seen])
    """Each prefix, the latest last."""
    fresh: int = 0
    """Conversations in a row that began with a prefix never seen before."""
    told: float = float("-inf")


class CacheWatch:
    """Looks at every answer. One for a process and model; pure, time is passed in."""

    def __init__(self, ttl_s: float) -> None:
        """Take how long the cache should hold."""
        self._ttl_s = ttl_s
        self._subjects: OrderedDict[tuple[str, str], _Subject] = OrderedDict()

    def saw(
        self, subject: tuple[str, str], parts: Mapping[str, str], usage: Usage, now: float, *, warm: bool, begins: bool
    ) -> Miss | None:
        """Take an answer; a miss is worth telling when it is given.

        Args:
            subject: Agent and model.
            parts: Digests of what the prompt began with.
            now: Seconds, of any clock that goes on.
            warm: It should have been read: another call had used the same, shortly before.
            begins: It is the first call of a conversation. Later ones read what their own conversation wrote.
        """
        one, hit = self._of(subject), usage.cache_read_tokens > 0
        changed = self._changed(one, parts, now) if begins and not hit else ()
        if begins:
            one.fresh = one.fresh + 1 if changed else 0
        seen = _note(one, tuple(parts.values()), now, hit=hit)
        if hit or warm:
            seen.missed = 0 if hit else seen.missed + 1
        if changed and one.fresh >= RUNNING:
            return _tell(one, Miss("changed", changed, one.fresh), now)
        if warm and seen.missed >= RUNNING:
            return _tell(one, Miss("expired" if seen.read else "not_kept", (), seen.missed), now)
        return None

    def _of(self, subject: tuple[str, str]) -> _Subject:
        one = self._subjects.setdefault(subject, _Subject())
        self._subjects.move_to_end(subject)
        if len(self._subjects) > SUBJECTS:
            self._subjects.popitem(last=False)
        return one

    def _changed(self, one: _Subject, parts: Mapping[str, str], now: float) -> tuple[str, ...]:
        """Parts that differ from the latest prefix; none when this one is known, or the latest would be gone anyway."""
        digests = tuple(parts.values())
        if not one.seen or digests in one.seen:
            return ()
        latest = next(reversed(one.seen))
        if now - one.seen[latest].used > self._ttl_s:
            return ()
        return tuple(name for name, digest, before in zip(parts, digests, latest, strict=True) if digest != before)


def _note(one: _Subject, digests: tuple[str, ...], now: float, *, hit: bool) -> _Seen:
    """Remember a use of a prefix."""
    seen = one.seen.setdefault(digests, _Seen(now))
    seen.used, seen.read = now, seen.read or hit
    one.seen.move_to_end(digests)
    if len(one.seen) > KEPT:
        one.seen.popitem(last=False)
    return seen


def _tell(one: _Subject, miss: Miss, now: float) -> Miss | None:
    if now - one.told < QUIET_S:
        return None
    one.told = now
    return miss
