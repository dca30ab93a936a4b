"""What happens to messages: copies that come late and out of order, thefts, and a broker that forgets everything."""

import ast
import asyncio
import re
from contextlib import suppress
from random import Random
from typing import Any, Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from tasks.queues import QUEUES

PUSH: Final = re.compile(rb'^\+[0-9.]+ \[1 [^\]]*\] "LPUSH" "(\w+)" ("(?:[^"\\]|\\.)*")\r?\n$')
"""A line of MONITOR about a message that was published; database 1 is the broker's."""
PAUSE_S: Final = 0.2
LATEST_COPY_S: Final = 8.0
MAX_LINE: Final = 1_000_000


class Deliveries:
    """Watches the broker and meddles with it."""

    def __init__(self, port: int, draw: Random, *, copies: int, every: bool) -> None:
        """Args: copies: Most copies of a message. every: Each message gets all of them, not a random number."""
        self.port = port
        self.draw = draw
        self.most, self.every = copies, every
        self.redis = cast(Any, Redis).from_url(f"redis://127.0.0.1:{port}/1", socket_timeout=3)
        self.seen: set[bytes] = set()
        self.copied = self.dropped = self.flushed = self.reordered = 0
        self._late: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """Copy what is published, for ever; a server that is away is waited for."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                await self._watch_once()
            await asyncio.sleep(PAUSE_S)

    async def steal(self, seconds: float) -> None:
        """Take messages before the workers do: drop half of them, put the others back at either end."""
        end = asyncio.get_running_loop().time() + seconds
        with suppress(RedisError, OSError):
            while asyncio.get_running_loop().time() < end:
                found = await self.redis.brpop(list(QUEUES), timeout=0.2)
                if found is None:
                    continue
                if self.draw.random() < 0.5:
                    self.dropped += 1
                    continue
                self.reordered += 1
                await asyncio.sleep(self.draw.uniform(0, 0.1))
                await (self.redis.rpush if self.draw.random() < 0.5 else self.redis.lpush)(*found)

    async def flush(self) -> None:
        """The broker forgets everything."""
        with suppress(RedisError, OSError):
            await self.redis.flushdb()
            self.flushed += 1

    async def close(self) -> None:
        """Push no more copies."""
        for task in list(self._late):
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)
        await self.redis.aclose()

    async def _watch_once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=MAX_LINE)
        try:
            writer.write(b"MONITOR\r\n")
            while line := await reader.readline():
                found = PUSH.match(line) if b'"LPUSH"' in line else None
                if found is not None:
                    self._see(found[1].decode(), ast.literal_eval("b" + found[2].decode("ascii")))
        finally:
            writer.transport.abort()

    def _see(self, queue: str, message: bytes) -> None:
        if message in self.seen:  # a copy, or one that was put back
            return
        self.seen.add(message)
        for _ in range(self.most if self.every else self.draw.randint(0, self.most)):
            delay = min(self.draw.expovariate(1.0), LATEST_COPY_S) if self.draw.random() < 0.7 else 0.0
            task = asyncio.create_task(self._copy(queue, message, delay, front=self.draw.random() < 0.5))
            self._late.add(task)
            task.add_done_callback(self._late.discard)

    async def _copy(self, queue: str, message: bytes, delay: float, *, front: bool) -> None:
        await asyncio.sleep(delay)
        with suppress(RedisError, OSError):
            await (self.redis.rpush if front else self.redis.lpush)(queue, message)
            self.copied += 1
