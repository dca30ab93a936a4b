"""What is left in the store once all jobs are final: nothing may wait, no counter may be off, no key may be endless."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final, cast

from redis import Redis

from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.keys import Keys
from tests.support.guards import endless_keys

WITHIN_S: Final = 30.0
"""Entries that a killed orchestrator had read are taken over after five seconds."""
COUNTED: Final = ("F:", "N:", "T:", "J:", "jobs")
"""Counters of admission that are 0 when no job is open."""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """All empty when everything is as it should be."""

    control: int
    timers: list[str]
    waits: list[str]
    counters: dict[str, str]
    endless: list[str]
    lines: list[str]

    @property
    def faults(self) -> list[str]:
        """In words."""
        found: list[str] = []
        if self.control:
            found.append(f"{self.control} control entries are left")
        for name in ("timers", "waits", "counters", "endless", "lines"):
            if rest := getattr(self, name):
                found.append(f"{name} left: {rest}"[:500])
        return found


async def wait_for_quiet(settings: StoreSettings) -> Leftovers:
    """Look until nothing is left, but not for ever."""
    store = Store(settings)
    try:
        end = time.monotonic() + WITHIN_S
        while (found := await _look(store)).faults and time.monotonic() < end:  # noqa: ASYNC110 - Redis says nothing
            await asyncio.sleep(0.25)
        return found
    finally:
        await store.close()


async def _look(store: Store) -> Leftovers:
    keys: Keys = store.keys
    redis = cast(Any, store.redis)
    load: dict[str, str] = await redis.hgetall(f"{keys.jobs(0)}load")
    with cast(Any, Redis).from_url(store.settings.redis_url.get_secret_value(), decode_responses=True) as blocking:
        endless = await asyncio.to_thread(endless_keys, blocking, store.settings.prefix)
    return Leftovers(
        control=int(await redis.xlen(keys.control(0))),
        timers=list(await redis.zrange(keys.timers(0), 0, 20)),
        waits=sorted(await redis.smembers(f"{keys.jobs(0)}waits")),
        counters={name: count for name, count in sorted(load.items()) if _counted(name) and count != "0"},
        endless=endless[:20],
        lines=[key async for key in redis.scan_iter(match=f"{keys.jobs(0)}*:line", count=1000)],
    )


def _counted(name: str) -> bool:
    return name.startswith(COUNTED)
