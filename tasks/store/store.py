"""What both doors of the store share: the connection, the keys, and how a script of a job is called."""

from collections.abc import Sequence

from redis.asyncio import Redis

from tasks.settings import StoreSettings
from tasks.store.connection import connect, disconnect
from tasks.store.failures import translated
from tasks.store.keys import Keys
from tasks.store.scripts import Arg, Reply, Script


class Store:
    """A connection to the shared state. Make it where its event loop runs, and close it there."""

    def __init__(self, settings: StoreSettings, redis: Redis | None = None) -> None:
        self.settings = settings
        self.redis = redis or connect(settings)
        self.keys = Keys(settings.prefix)

    async def move(
        self, script: Script, partition: int, args: Sequence[Arg], *, key: str | None = None, accepts: bool = False
    ) -> Reply:
        """Run one move in a partition.

        Args:
            key: Of an idempotency key.
            accepts: The move writes a job into the index. Redis is told, with `key`, so that it refuses one who may not
                before the first line of the script, not in the midst of it.

        Raises:
            StoreUnavailable: no answer in time; whether the move was made is then not known.
        """
        keys = [self.keys.control(partition), self.keys.timers(partition), *([key] if key else [])]
        keys += [self.keys.index(partition)] if accepts else []
        async with translated(self.settings):
            return await script.run(self.redis, keys, [self.keys.jobs(partition), self.settings.events_max, *args])

    async def ping(self) -> None:
        """Learn whether the store answers.

        Raises:
            StoreUnavailable: it does not.
        """
        async with translated(self.settings):
            await self.redis.ping()  # pyright: ignore[reportUnknownMemberType]

    async def close(self) -> None:
        """Give the connections back."""
        await disconnect(self.redis)
