"""One call leads, the others wait: calls that begin alike pay for their beginning once, across the whole fleet.

What a call writes to the provider's cache can be read from the moment at which its answer begins. Calls that are sent
together all pay for what they share, so only the first goes, and the others when its answer has begun.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

import structlog

from tasks.errors import TroupeError
from tasks.store.prefixes import Standing
from workers.context import running_step
from workers.llm.base import Model, ModelReply, ModelRequest
from workers.llm.cache_watch import CacheWatch, Miss
from workers.llm.clients import load_sdk
from workers.llm.prefix import Prefix, prefix_of
from workers.llm.pricing import Pricing
from workers.llm.settings import ModelSettings

log: structlog.stdlib.BoundLogger = structlog.get_logger("worker")

LEASE: Final = timedelta(seconds=10)
"""How long the lead of a process that has died holds others up."""
RENEW_S: Final = LEASE.total_seconds() / 3
POLL_S: Final = 0.05
"""Between two looks at whether the leader's answer has begun; one caller a process and prefix looks."""
AWAY_S: Final = 10.0
"""How long a store that is away is not asked again: each look at it could take as long as its timeout."""
SAFE: Final = 0.9
"""Share of the time that the provider keeps a prefix for which we rely on it."""
TTL_S: Final = {"5m": 300.0, "1h": 3600.0}


class Prefixes(Protocol):
    """What the fleet knows of prefixes: `tasks.store.prefixes.PrefixStore`."""

    async def lead(self, prefixes: Sequence[str], token: str, lease: timedelta) -> Standing:
        """Ask whether to go."""
        ...

    async def warm(self, prefixes: Sequence[str], token: str, ttl: timedelta) -> None:
        """Say that they are in the cache."""
        ...

    async def leave(self, prefixes: Sequence[str], token: str) -> None:
        """Give up a lead that came to nothing."""
        ...


class LeadingModel:
    """A model around another one. One for a process and model; use it on one event loop.

    Waiting is bounded by `prompt_cache_wait_s`, and is no silence to the idle timeout. Without the store nobody waits.
    """

    def __init__(
        self,
        inner: Model,
        prefixes: Prefixes,
        settings: ModelSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        prepare: Callable[[], None] = load_sdk,
    ) -> None:
        """Read the price table; connect to nothing.

        Args:
            prepare: Called in a thread when a call has to wait, for what the inner model will need.

        Raises:
            UnknownModel, BadSetting: as `Pricing` does.
        """
        key = settings.anthropic_api_key or settings.anthropic_auth_token
        self._inner = inner
        self._prefixes = prefixes
        self._settings = settings
        self._pricing = Pricing.read(settings.pricing)
        self._whose = sha256(key.get_secret_value().encode()).hexdigest() if key is not None else ""
        self._clock = clock
        self._prepare = prepare
        self._ttl_s = TTL_S[settings.prompt_cache_ttl] * SAFE
        self._watch = CacheWatch(self._ttl_s)
        self._turns: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        self._away_until = float("-inf")
        self._words: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Name of the inner model."""
        return self._inner.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer once, after another call that begins alike where that is cheaper; see `Model.reply`."""
        if not self._settings.prompt_cache or not request.cache:
            return await self._inner.reply(request)
        minimum = self._pricing.facts(request.model).cache_minimum
        prefix = prefix_of(request, minimum=minimum, whose=self._whose)
        if not prefix.keys:
            return await self._inner.reply(request)
        token = token_hex(8)
        standing = await self._admit(prefix.keys, token)
        sent = self._clock()
        if standing is Standing.LEAD:
            reply = await self._lead(request, prefix.keys, token)
        else:
            reply = await self._inner.reply(request)
            self._used(prefix.keys, token, reply, sent)
        self._look(request, prefix, reply, warm=standing is Standing.WARM)
        return reply

    async def close(self) -> None:
        """Wait for what the store is being told, and close the inner model."""
        await asyncio.gather(*self._words)
        await self._inner.close()

    async def _admit(self, keys: tuple[str, ...], token: str) -> Standing | None:
        """Wait until this call may go; None when it goes though nothing is known."""
        standing = await self._ask(keys, token)
        if standing is not Standing.WAIT:
            return standing
        step = running_step()
        turn = self._turns.setdefault(keys, asyncio.Lock())
        try:
            with step.waiting() if step else nullcontext():
                async with asyncio.timeout(self._settings.prompt_cache_wait_s), turn:
                    await asyncio.to_thread(self._prepare)
                    while True:
                        standing = await self._ask(keys, token)
                        if standing is not Standing.WAIT:
                            return standing
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            return None

    async def _ask(self, keys: Sequence[str], token: str) -> Standing | None:
        if self._is_away():
            return None
        try:
            return await self._prefixes.lead(keys, token, LEASE)
        except asyncio.CancelledError:
            # The lead may have been taken all the same, and others would wait for a call that is never made.
            self._say(self._prefixes.leave(keys, token))
            raise
        except TroupeError as error:
            self._is_gone(error)
            return None

    async def _lead(self, request: ModelRequest, keys: Sequence[str], token: str) -> ModelReply:
        begun = False
        renewing = asyncio.create_task(self._renew(keys, token))

        def begin() -> None:
            nonlocal begun
            if not begun:
                begun = True
                renewing.cancel()
                self._say(self._prefixes.warm(keys, token, timedelta(seconds=self._ttl_s)))
            if request.on_begin is not None:
                request.on_begin()

        try:
            reply = await self._inner.reply(replace(request, on_begin=begin))
            if not begun:
                begin()
            return reply
        finally:
            renewing.cancel()
            if not begun:
                self._say(self._prefixes.leave(keys, token))

    async def _renew(self, keys: Sequence[str], token: str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self._ask(keys, token)

    def _used(self, keys: Sequence[str], token: str, reply: ModelReply, sent: float) -> None:
        """Tell the fleet that the prefix was used, and so is kept for its time from when the call was sent."""
        left = self._ttl_s - (self._clock() - sent)
        if reply.usage.cache_read_tokens + reply.usage.cache_write_tokens > 0 and left > 0:
            self._say(self._prefixes.warm(keys, token, timedelta(seconds=left)))

    def _look(self, request: ModelRequest, prefix: Prefix, reply: ModelReply, *, warm: bool) -> None:
        miss = self._watch.saw(
            (request.agent, request.model),
            prefix.parts,
            reply.usage,
            self._clock(),
            warm=warm,
            begins=len(request.messages) == 1,
        )
        if miss is not None:
            _warn(request, miss)

    def _say(self, word: Coroutine[Any, Any, None]) -> None:
        """Tell the store, without the call having to wait for it."""
        if self._is_away():
            word.close()
            return
        task = asyncio.create_task(self._told(word))
        self._words.add(task)
        task.add_done_callback(self._words.discard)

    async def _told(self, word: Coroutine[Any, Any, None]) -> None:
        try:
            await word
        except TroupeError as error:
            self._is_gone(error)

    def _is_away(self) -> bool:
        return self._clock() < self._away_until

    def _is_gone(self, error: TroupeError) -> None:
        self._away_until = self._clock() + AWAY_S
        log.warning("prefixes_unknown", reason=str(error), seconds=AWAY_S)


def _warn(request: ModelRequest, miss: Miss) -> None:
    log.warning(
        "prompt_cache_missed",
        agent=request.agent,
        model=request.model,
        reason=miss.reason,
        changed=list(miss.parts),
        times=miss.times,
    )
    step = running_step()
    if step is not None:
        step.progress(f"{miss.times} calls in a row found nothing in the provider's cache: {miss.words}")
