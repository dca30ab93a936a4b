"""A model under the rate limits of its key, which the whole fleet shares; short waits are waited out in place."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Protocol

from tasks.errors import ModelUnavailable, SpendLimitReached, TroupeError
from tasks.store.limits import Bucket, LimitStore, Outcome
from workers.llm.base import Model, ModelReply, ModelRequest
from workers.llm.rate_headers import Glimpse, watching
from workers.llm.settings import ModelSettings
from workers.llm.tokens import estimate_tokens
from workers.llm.turn_waits import waiting_for_turn
from workers.llm.turns import Patience, Sleep, Turn, Turns, Wish

TRIES: Final = 3
"""Calls in place, the first one included."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 8.0
LIMITED: Final = 429
UNTOLD_PAUSE: Final = timedelta(seconds=1)
"""How long the fleet waits after a rate limit that did not say how long."""
AFTER_TIMEOUT: Final = timedelta(seconds=30)
"""How much longer than the longest call its hold lasts."""


class Limitable(Model, Protocol):
    """A model whose provider limits rates."""

    async def account(self) -> str:
        """Fingerprint of whose limits its calls count against."""
        ...

    def rate_class(self, model: str) -> str:
        """Which models share limits with that one."""
        ...

    async def count_tokens(self, request: ModelRequest) -> int:
        """Tokens of a prompt."""
        ...


class LimitedModel:
    """Asks another model: not while the key's circuit is open, only when it is the call's turn, and again after errors
    that pass. What it learns from each answer, the fleet knows."""

    def __init__(
        self,
        model: Limitable,
        limits: LimitStore,
        settings: ModelSettings,
        *,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Wrap it; ask nothing.

        Args:
            chance: From 0 to 1: the part of each pause that is really made.
        """
        self._model = model
        self._settings = settings
        self._rates = settings.rates
        self._sleep = sleep
        self._chance = chance
        self._turns = Turns(limits, hold=timedelta(seconds=settings.model_timeout_s) + AFTER_TIMEOUT)

    @property
    def name(self) -> str:
        """That of the other model."""
        return self._model.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer once, after at most `patience_s` of waiting; see `Model.reply`.

        Raises:
            ModelUnavailable: also when there is no room within the patience and the step's time.
            SpendLimitReached: the key cannot be used; for a known circuit without any call.
        """
        patience = Patience(self._settings.patience_s, self._sleep)
        wish = await self._wish(request)
        tried = 0
        while True:
            with waiting_for_turn():
                turn = await self._turns.take(wish, patience)
            glimpse = Glimpse()
            try:
                return await self._call(turn, request, glimpse)
            except ModelUnavailable as error:
                tried += 1
                pause = self._backoff(tried) if error.retry_after is None else error.retry_after
                if error.begun or tried >= TRIES or pause > patience.left:
                    raise  # a begun one is bought again only by who keeps the accounts
            # After a rate limit, the fleet's bucket makes the pause, and keeps the order of those who wait.
            if glimpse.status != LIMITED or turn.away:
                await patience.wait(pause)

    async def count_tokens(self, request: ModelRequest) -> int:
        """What the other model says: counting has a limit of its own, and is free."""
        return await self._model.count_tokens(request)

    async def close(self) -> None:
        """Close the other model."""
        await self._turns.close()
        await self._model.close()

    async def _wish(self, request: ModelRequest) -> Wish:
        model_class = self._model.rate_class(request.model)
        bucket = Bucket(await self._model.account(), model_class)
        return Wish(bucket, _prompt_tokens(request), request.max_tokens, self._rates.of(model_class))

    async def _call(self, turn: Turn, request: ModelRequest, glimpse: Glimpse) -> ModelReply:
        try:
            with watching(glimpse):
                reply = await self._model.reply(request)
        except TroupeError as error:
            await self._failed(turn, glimpse, error)
            raise
        except BaseException:  # above all a cancellation
            self._turns.end_soon(turn, Outcome.KEPT if glimpse.sent else Outcome.BACK)
            raise
        usage = reply.usage
        await self._turns.end(
            turn,
            Outcome.DONE,
            input_tokens=usage.input_tokens + usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            readings=glimpse.readings,
        )
        return reply

    async def _failed(self, turn: Turn, glimpse: Glimpse, error: TroupeError) -> None:
        if isinstance(error, SpendLimitReached):
            await self._turns.trip(turn, error)
        refused = glimpse.status is not None and glimpse.status >= 400
        pause = None
        if isinstance(error, ModelUnavailable) and glimpse.status == LIMITED:
            pause = UNTOLD_PAUSE if error.retry_after is None else error.retry_after
        outcome = Outcome.BACK if refused or not glimpse.sent else Outcome.KEPT
        await self._turns.end(turn, outcome, readings=glimpse.readings, pause=pause)

    def _backoff(self, tried: int) -> timedelta:
        """Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"""
        return timedelta(seconds=self._chance() * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (tried - 1)))


def _prompt_tokens(request: ModelRequest) -> int:
    tools = [{"d": tool.description, "s": tool.input_schema} for tool in request.tools]
    return estimate_tokens([request.system, list(request.messages), tools])
