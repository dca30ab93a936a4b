"""What becomes of an attempt that failed: put off, gone on with, or begun anew; and what it leaves."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tasks.errors import (
    AttemptOver,
    BudgetSpent,
    DeadlinePassed,
    IdleTimeout,
    LoopStalled,
    ModelNonsense,
    ModelRefused,
    ModelUnavailable,
    SpendLimitReached,
    StoreFull,
    StoreUnavailable,
    TooManyTurns,
    TroupeError,
)
from tasks.models import Failure
from tasks.store.attempts import MAX_FOUND_CHARS, MAX_FOUND_SOURCES
from tasks.usage import Usage
from tests.unit.attempts import PASSAGE, make_claim, make_context, make_input, make_source
from tests.unit.test_runner import Scene
from workers.context import StepContext
from workers.outcomes import begins_anew, consumed, deferred, failure_of, found_so_far
from workers.runner import PATIENCE

HOUR = timedelta(hours=1)
SOON = timedelta(seconds=3)
Run = Callable[[StepContext], Awaitable[str]]


def raising(error: Exception, **facts: Any) -> Run:
    async def run(context: StepContext) -> str:
        for name, value in facts.items():
            setattr(context, name, value)
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (ModelUnavailable("x", retry_after=HOUR), HOUR),
        (ModelUnavailable("x", retry_after=SOON, limited=True), SOON),
        (ModelUnavailable("x", retry_after=SOON, asked=False), SOON),
        (SpendLimitReached("x", resets_in=HOUR), HOUR),
    ],
)
async def test_who_must_wait_for_a_limit_is_put_off(error: TroupeError, wait: timedelta) -> None:
    fact = deferred(error, PATIENCE)
    assert fact is not None
    assert (fact.code, fact.retryable, fact.deferred) == (error.code, True, True)
    assert fact.retry_after_ms == wait / timedelta(milliseconds=1)
    scene = Scene(raising(error))
    assert (await scene.run()).startswith(f"deferred: {error.code}")
    assert scene.attempts.found == [(None, False)]


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailable("x"),
        ModelUnavailable("x", limited=True),
        ModelUnavailable("x", retry_after=SOON),
        ModelUnavailable("x", retry_after=PATIENCE),
        SpendLimitReached("x"),
        StoreFull("x", retry_after=HOUR),
        OSError("x"),
    ],
)
async def test_other_failures_are_decided_about_at_once(error: Exception) -> None:
    assert deferred(error, PATIENCE) is None
    assert (await Scene(raising(error)).failure()).deferred is False


@pytest.mark.parametrize(
    "error",
    [
        ModelUnavailable("x"),
        DeadlinePassed("x"),
        IdleTimeout("x"),
        StoreUnavailable("x"),
        StoreFull("x", retry_after=HOUR),
        AttemptOver("x"),
    ],
)
async def test_what_interrupts_a_conversation_does_not_end_it(error: TroupeError) -> None:
    scene = Scene(raising(error))
    await scene.run()
    assert scene.attempts.found == [(None, False)]


@pytest.mark.parametrize(
    "error",
    [ModelRefused("x"), ModelNonsense("x"), TooManyTurns("x"), LoopStalled("x"), BudgetSpent("x"), KeyError("x")],
)
async def test_a_conversation_that_ended_badly_is_not_gone_on_with(error: Exception) -> None:
    scene = Scene(raising(error))
    await scene.run()
    assert scene.attempts.found == [(None, True)]


async def test_a_failed_call_interrupts_a_conversation_whatever_its_error() -> None:
    scene = Scene(raising(ModelNonsense("a page of a proxy"), broken_off=True))
    await scene.run()
    assert scene.attempts.found == [(None, False)]


def test_a_defect_is_gone_on_with_while_the_conversation_grows() -> None:
    context = make_context()
    raised, nonsense = failure_of(OSError("x")), failure_of(ModelNonsense("x"))
    assert begins_anew(raised, context)
    context.grew = True
    assert not begins_anew(raised, context)
    assert begins_anew(nonsense, context)


async def test_a_failure_brings_what_was_found_until_then() -> None:
    async def run(context: StepContext) -> str:
        context.found[PASSAGE] = make_source()
        context.said += [f"It is red [{PASSAGE}].", "It is [p9999999999-9] blue."]
        raise BudgetSpent("no money", partial="It is")

    scene = Scene(run)
    await scene.run()
    ((found, _),) = scene.attempts.found
    assert found is not None
    assert found.text.split("\n\n") == [f"It is red [{PASSAGE}].", "It is blue.", "It is"]
    assert [source.id for source in found.sources] == [PASSAGE]


def test_what_was_found_is_bounded_and_keeps_its_end() -> None:
    context = make_context()
    ids = [f"p{number:010}-1" for number in range(30)]
    context.found = {one: make_source(one) for one in ids}
    context.said = ["x" * MAX_FOUND_CHARS, "".join(f"[{one}]" for one in ids)]
    found = found_so_far(context)
    assert found is not None
    assert len(found.text) <= MAX_FOUND_CHARS
    assert found.text.endswith(f"[{ids[-1]}]")
    assert len(found.sources) == MAX_FOUND_SOURCES


def test_sources_of_inputs_may_be_cited_in_what_was_found() -> None:
    context = StepContext(claim=make_claim(inputs=[make_input("a", "So.", make_source())]))
    context.said = [f"It is so [{PASSAGE}]."]
    found = found_so_far(context)
    assert found is not None
    assert [source.id for source in found.sources] == [PASSAGE]


@pytest.mark.parametrize("said", [[], [" "], ["\n", ""]])
def test_nothing_said_is_nothing_found(said: list[str]) -> None:
    context = make_context()
    context.said = said
    assert found_so_far(context) is None


def test_the_ledger_gets_what_it_does_not_have_and_no_more() -> None:
    context = make_context()
    context.spend(Usage(requests=3, cost_microusd=10, tool_calls=2))
    context.booked = Usage(requests=2, cost_microusd=8, tool_calls=2)
    usage, rest = consumed(context)
    assert usage == Usage(requests=3, cost_microusd=10, tool_calls=2)
    assert (rest.usage, rest.agent, rest.model) == (Usage(requests=1, cost_microusd=2), "search", "-")


def test_a_deferred_failure_is_gone_on_with() -> None:
    assert not begins_anew(Failure(code="spend_limit_reached", message="x", deferred=True), make_context())
