"""What comes of an attempt, in the forms that are stored: a result, a failure, what it had found and consumed."""

import json
import re
from datetime import timedelta
from typing import Final

from pydantic import JsonValue

from tasks.errors import (
    AttemptOver,
    DeadlinePassed,
    IdleTimeout,
    ModelUnavailable,
    SpendLimitReached,
    StepFailed,
    StoreFull,
    StoreUnavailable,
    TransientError,
    TroupeError,
    message_of,
)
from tasks.models import MAX_TEXT_CHARS, Claim, Failure, StepKind, StepResult
from tasks.redaction import excerpt
from tasks.sessions import Message
from tasks.store import Unbooked
from tasks.store.attempts import HANDED_BACK, MAX_FOUND_CHARS, MAX_FOUND_SOURCES
from tasks.store.jobs import LOST
from tasks.usage import Usage
from workers.agents import citations
from workers.agents.base import AgentReply
from workers.context import StepContext

MAX_MESSAGE_CHARS: Final = 2000
HALF_CITATION: Final = re.compile(r"\[[^\]\n]{0,80}\Z")
CUT: Final = "\n\n(The rest was cut: the text is too long.)"

GOES_ON: Final = frozenset(
    {
        ModelUnavailable.code,
        DeadlinePassed.code,
        IdleTimeout.code,
        StoreUnavailable.code,
        StoreFull.code,
        AttemptOver.code,
    }
)
"""Codes of failures that interrupt a conversation: the next attempt goes on where it was."""
RAISED: Final = "agent_raised"
"""Code of what nobody raises on purpose."""

RESERVED: Final = frozenset({HANDED_BACK, LOST.code})
"""Codes that say what became of a worker; an agent that used one would be tried again for ever."""


def finish(claim: Claim, context: StepContext, reply: AgentReply) -> StepResult:
    """The result of an agent's reply: citations checked against what it was shown; numbered in the final answer."""
    known = {source.id: source for item in claim.inputs if item.result for source in item.result.sources}
    known |= context.found
    cite = citations.number if claim.step.kind is StepKind.SYNTHESIS else citations.keep_known
    text, sources = cite(_sendable(reply.text), known)
    if len(text) > MAX_TEXT_CHARS:
        # Cut first, so that the sources are those that what is left cites; tidying a citation adds a blank at most.
        rest = _sendable(reply.text)[: MAX_TEXT_CHARS * 12 // 13 - len(CUT)]
        text, sources = cite(HALF_CITATION.sub("", rest), known)
        text += CUT
    data: JsonValue = json.loads(_sendable(json.dumps(reply.data, ensure_ascii=False)))
    return StepResult(text=text, data=data, sources=sources, model=reply.model)


def begins_anew(failure: Failure, context: StepContext) -> bool:
    """Whether the next attempt should not go on with this one's conversation, for it would only come to the same end.

    One that a defect ended goes on as long as it comes further each time: the defect may be the surroundings'.
    """
    if failure.deferred or failure.code in GOES_ON or context.broken_off:
        return False
    return failure.code != RAISED or not context.grew


def answer_of(context: StepContext, result: StepResult) -> Message | None:
    """What the job's session is told with the answer; None where there is no session, or this is not the answer."""
    claim = context.claim
    if claim.job.session is None or claim.step.kind is not StepKind.SYNTHESIS:
        return None
    metadata: dict[str, JsonValue] = {"model": result.model, "sources": [source.title for source in result.sources]}
    return Message.model_validate({"role": "assistant", "content": result.text, "metadata": metadata})


def consumed(context: StepContext) -> tuple[Usage, Unbooked]:
    """What an attempt consumed, and as much of it as the ledger does not have."""
    rest = context.usage.beyond(context.booked)
    return context.booked + rest, Unbooked(rest, context.claim.step.agent)


def found_so_far(context: StepContext) -> StepResult | None:
    """What a model had written before its attempt failed, with the sources that it cites; None: nothing."""
    text = _sendable("\n\n".join(context.said))[-MAX_FOUND_CHARS:].strip()
    if not text:
        return None
    known = {source.id: source for item in context.claim.inputs if item.result for source in item.result.sources}
    text, sources = citations.keep_known(text, known | context.found)
    return StepResult(text=text[-MAX_FOUND_CHARS:], sources=sources[:MAX_FOUND_SOURCES])


def deferred(error: BaseException, patience: timedelta) -> Failure | None:
    """The fact behind an exception that says when to try again, if that is long from now, or a rate limit: the attempt
    is put off and does not count. None: it is an ordinary failure."""
    wait, limited = None, False
    if isinstance(error, ModelUnavailable):
        wait, limited = error.retry_after, error.limited
    elif isinstance(error, SpendLimitReached):
        wait = error.resets_in
    if wait is None or (wait <= patience and not limited):
        return None
    fact = failure_of(error)
    milliseconds = int(wait / timedelta(milliseconds=1))
    return fact.model_copy(update={"retryable": True, "retry_after_ms": milliseconds, "deferred": True})


def failure_of(error: BaseException) -> Failure:
    """The fact behind an exception, as it is stored."""
    message = excerpt(_sendable(message_of(error) or type(error).__name__), MAX_MESSAGE_CHARS)
    if isinstance(error, ModelUnavailable):
        wait = error.retry_after
        after = None if wait is None else int(wait / timedelta(milliseconds=1))
        return Failure(code=error.code, message=message, retryable=True, retry_after_ms=after)
    if isinstance(error, TroupeError) and error.code in RESERVED:
        return Failure(code=RAISED, message=f"{type(error).__name__}: {message}", retryable=False)
    if isinstance(error, StepFailed):
        return Failure(code=error.code, message=message, retryable=error.retryable)
    if isinstance(error, TroupeError):
        return Failure(code=error.code, message=message, retryable=isinstance(error, TransientError))
    return Failure(code=RAISED, message=f"{type(error).__name__}: {message}", retryable=True)


def _sendable(text: str) -> str:
    """Without lone surrogates, which bad file names and half escapes bring: a result with one could not be stored."""
    return text.encode("utf-8", "replace").decode()
