"""A model as a running attempt asks it: from the journal what was heard before, else within the budgets, and written
down before anything else happens."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

import structlog

from tasks.errors import (
    BudgetHeld,
    BudgetSpent,
    ModelNonsense,
    ModelTruncated,
    ModelUnavailable,
    ReplayDiverged,
    TransientError,
    TroupeError,
)
from tasks.store import Estimate, Scope
from tasks.trace import SpanKind
from tasks.usage import Usage
from workers.context import StepContext
from workers.journal.entries import Fingerprint, Heard, TooLong
from workers.journal.journal import UNPAID, Journal
from workers.journal.purse import Purse
from workers.llm.base import Model, ModelReply, ModelRequest
from workers.spans import CallSpan, observed

log = structlog.get_logger("worker")

COUNT_MARGIN: Final = 1.02
"""The provider's count is an estimate. https://platform.claude.com/docs/en/build-with-claude/token-counting"""

AGENTS_OWN: Final = frozenset({"model", "system", "tools", "options"})
"""Parts of a request that an agent brings to a conversation."""
NOTHING: Final = frozenset[str]()
TRIES: Final = 3
"""Purchases of one answer that breaks off, before its attempt fails."""
FIRST_PAUSE_S: Final = 0.5


@runtime_checkable
class Counting(Protocol):
    """A model that can count the tokens of a prompt for nothing."""

    async def count_tokens(self, request: ModelRequest) -> int:
        """Tokens of the prompt."""
        ...


@dataclass(slots=True)
class GovernedModel:
    """The model of one conversation."""

    inner: Model
    journal: Journal
    purse: Purse
    scopes: Sequence[Scope]
    agent: str
    counter: Counting | None = None
    """Counts prompts where a bound is too much for what is left."""
    heard: int = 0
    """Answers so far, those of the journal included."""
    calls: int = 0
    unseen: frozenset[str] = frozenset()
    """Parts of a request that cannot be compared with the recording's."""
    handed: bool = False
    """Other agents have had the conversation before: what they asked their models with is not this agent's."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    context: StepContext | None = None
    """The attempt, whose observers are told of purchases."""

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return self.inner.name

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer from the journal, or buy an answer.

        Raises:
            BudgetSpent: too little is left for the call, or was for the whole of its answer.
            AttemptOver: the attempt is no longer this worker's.
            ReplayDiverged: it was not recorded so.
            TroupeError: what the model's adapter raises.
        """
        self.heard += 1
        entry, asked = f"m{self.heard}", Fingerprint.of(request)
        known = self.journal.known.get(entry)
        if isinstance(known, Heard | TooLong):
            difference = known.asked.difference(asked, self.unseen | (AGENTS_OWN if self.handed else NOTHING))
            if difference is None:
                return self._again(known, request)
            await self._diverge(entry, difference)
        elif self.journal.replay:
            raise self.journal.unrecorded(f"call {self.heard} of agent {self.agent!r} was not recorded")
        return await self._buy(request, entry, asked)

    async def close(self) -> None:
        """Nothing to release: the model is the process's."""

    def check_end(self) -> None:
        """Learn whether a replay has come to the end of the recording.

        Raises:
            ReplayDiverged: there was more.
        """
        if self.journal.replay and f"m{self.heard + 1}" in self.journal.known:
            raise ReplayDiverged(f"agent {self.agent!r} ended after call {self.heard}; in the recording it went on")

    def _again(self, known: Heard | TooLong, request: ModelRequest) -> ModelReply:
        if isinstance(known, TooLong):
            raise ModelTruncated(known.message)
        if known.stop_reason == "max_tokens" and self._is_last():  # it was cut where the budget ended
            raise self.journal.unrecorded("")
        self.purse.learn(request, known.usage)
        if self.journal.replay:
            known.reply.show(request.on_text)
        return known.reply

    def _is_last(self) -> bool:
        later = f"m{self.heard + 1}"
        return self.journal.replay and UNPAID in self.journal.known and later not in self.journal.known

    async def _diverge(self, entry: str, difference: str) -> None:
        if self.journal.replay:
            said = f"call {self.heard} of agent {self.agent!r} differs from the recording in {difference}"
            raise ReplayDiverged(said)
        log.warning("journal_left", call=self.heard, differs_in=difference)
        await self.journal.forget_from(entry)

    async def _buy(self, request: ModelRequest, entry: str, asked: Fingerprint) -> ModelReply:
        """Buy an answer; one that breaks off is bought anew, and each of them is held and entered for itself."""
        for tried in range(1, TRIES):
            try:
                return await self._buy_once(request, entry, asked)
            except ModelUnavailable as error:
                if not error.begun:
                    raise
                log.warning("answer_broke_off", call=self.heard, reason=str(error))
            await self.sleep(random.uniform(0.5, 1) * FIRST_PAUSE_S * 2 ** (tried - 1))
        return await self._buy_once(request, entry, asked)

    async def _buy_once(self, request: ModelRequest, entry: str, asked: Fingerprint) -> ModelReply:
        self.calls += 1
        call = f"m{self.calls}"
        most, granted = await self._reserve(call, request)
        leaf, less = f"{self.agent} {request.model}", 0 < granted < most.most
        span = self._span(request, call)
        try:
            reply = await self._asked(replace(request, max_tokens=granted) if less else request, span)
        except ModelTruncated as error:  # refused as too long: nothing was bought, and never would be
            kept = TooLong(asked=asked, message=str(error))
            await self.journal.book(call, leaf, Usage(), entry, kept, record=_record(span))
            raise
        except asyncio.CancelledError:
            await self.journal.free(call, unknown=True, record=_record(span))
            raise
        except TroupeError as error:
            self.journal.broken_off = True
            if isinstance(error, ModelNonsense) and error.usage is not None:
                await self.journal.book(call, leaf, error.usage, "", None, record=_record(span))
            else:
                await self.journal.free(call, unknown=_may_cost(error), record=_record(span))
            raise
        heard = Heard.of(asked, reply)
        await self.journal.book(call, leaf, reply.usage, entry, heard, self.scopes, record=_record(span))
        self.purse.learn(request, reply.usage)
        if less and reply.stop_reason == "max_tokens":
            raise BudgetSpent(
                f"what is left of the budget sufficed for {granted:,} tokens of an answer, and it is longer",
                partial=reply.text,
            )
        self.journal.told += reply.usage
        return reply

    def _span(self, request: ModelRequest, call: str) -> CallSpan | None:
        if self.context is None:
            return None
        return CallSpan(self.context.claim, SpanKind.MODEL_CALL, request.model, call, request=request)

    async def _asked(self, request: ModelRequest, span: CallSpan | None) -> ModelReply:
        """The model's answer, with observers around it."""
        if span is None or self.context is None:
            return await self.inner.reply(request)
        with observed(self.context.observers, span):
            try:
                reply = await self.inner.reply(request)
                span.answered(reply)
            except BaseException as error:
                span.failed(error)
                raise
            finally:
                span.end()
        return reply

    async def _reserve(self, call: str, request: ModelRequest) -> tuple[Estimate, int]:
        """Hold the most that the call can cost; where that does not fit, have its prompt counted and hold that."""
        most, granted = self.purse.estimate(request, self.purse.bound(request)), -1
        with suppress(BudgetSpent, BudgetHeld):
            granted = await self.journal.try_reserve(call, most, self.scopes)
        if granted == most.most:
            return most, granted
        exact = await self._count(request)
        if exact is None or exact >= most.tokens:
            return most, granted if granted > 0 else await self.journal.reserve(call, most, self.scopes)
        if granted > 0:
            await self.journal.free(call)
        most = self.purse.estimate(request, exact)
        return most, await self.journal.reserve(call, most, self.scopes)

    async def _count(self, request: ModelRequest) -> int | None:
        if self.counter is None:
            return None
        try:
            return int(await self.counter.count_tokens(request) * COUNT_MARGIN) + 1
        except TroupeError as error:  # the bound is then all that is known
            log.warning("tokens_not_counted", reason=str(error))
            return None


def _record(span: CallSpan | None) -> str:
    return span.record() if span is not None else ""


def _may_cost(error: TroupeError) -> bool:
    """Whether a call that ended so may be on the bill: an answer was begun, or may have been."""
    if isinstance(error, ModelUnavailable):
        return error.asked and not error.limited
    return isinstance(error, TransientError | ModelNonsense)
