"""Beginnings of prompts, across the fleet: which are in the provider's cache, and who is fetching one into it."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

from tasks.store.failures import translated
from tasks.store.scripts import LEAD, WARM, Script
from tasks.store.store import Store

MILLISECOND: Final = timedelta(milliseconds=1)


class Standing(StrEnum):
    """What a call may do."""

    WARM = "warm"
    """Go: all that its prompt begins with is in the cache."""
    LEAD = "lead"
    """Go, and tell when the answer begins: others wait for it."""
    WAIT = "wait"
    """Ask again: another call is fetching it."""


class PrefixStore:
    """Who goes first. Prefixes are digests; a call may name several, each the beginning of the next."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def lead(self, prefixes: Sequence[str], token: str, lease: timedelta) -> Standing:
        """Ask whether to go; one round trip, atomic.

        Args:
            token: The call's own mark. A leader that asks again with it renews its lease.
            lease: How long the lead holds unless renewed: of a process that has died, nobody waits longer.

        Raises:
            StoreUnavailable: no answer in time, or the store is full; whether the lead was taken is then not known.
        """
        return Standing(str(await self._run(LEAD, prefixes, token, lease)))

    async def warm(self, prefixes: Sequence[str], token: str, ttl: timedelta) -> None:
        """Say that the prefixes are in the cache for so long, and give up the lead. No time that is known is shortened.

        Raises:
            StoreUnavailable: no answer in time.
        """
        await self._run(WARM, prefixes, token, ttl)

    async def leave(self, prefixes: Sequence[str], token: str) -> None:
        """Give up a lead that came to nothing: the next call that asks gets it. Nothing happens to another's lead.

        Raises:
            StoreUnavailable: no answer in time; the lease ends by itself.
        """
        await self._run(WARM, prefixes, token, timedelta(0))

    async def _run(self, script: Script, prefixes: Sequence[str], token: str, span: timedelta) -> object:
        keys = [key for prefix in prefixes for key in self._store.keys.beginning(prefix)]
        async with translated(self._store.settings):
            return await script.run(self._store.redis, keys, [token, span // MILLISECOND])
