"""What running code may ask of the step it runs for."""

import asyncio

import pytest
from pydantic import JsonValue

from tasks.errors import ContractError
from tasks.usage import Usage
from tests.unit.attempts import PASSAGE, make_context, make_source
from workers.context import StepContext, current_step, enter_step


async def within(context: StepContext) -> StepContext:
    enter_step(context)
    await asyncio.sleep(0)
    return await asyncio.to_thread(current_step)


def test_outside_a_step_there_is_none() -> None:
    with pytest.raises(ContractError, match="no step is running"):
        current_step()


async def test_each_attempt_sees_its_own_step_also_in_threads() -> None:
    contexts = [make_context() for _ in range(3)]
    seen = await asyncio.gather(*(asyncio.create_task(within(one)) for one in contexts))
    assert all(one is other for one, other in zip(seen, contexts, strict=True))


def test_the_first_showing_of_a_source_counts() -> None:
    context = make_context()
    again = make_source().model_copy(update={"title": "Other"})
    assert context.cite(make_source()) == context.cite(again) == PASSAGE
    assert context.found == {PASSAGE: make_source()}


def test_spending_adds_up() -> None:
    context = make_context()
    context.spend(Usage(requests=1, cost_microusd=2))
    context.spend(Usage(requests=1, tool_calls=3))
    assert context.usage == Usage(requests=2, tool_calls=3, cost_microusd=2)


def test_progress_is_an_event_of_one_line_at_most_500_characters() -> None:
    events: list[tuple[str, dict[str, JsonValue]]] = []
    context = make_context()
    context.progress("nobody listens")
    context.emit = lambda kind, data: events.append((kind, data))
    context.progress("x" * 600)
    assert events == [("step_progress", {"message": "x" * 500})]


def test_a_step_without_named_knowledge_bases_has_none() -> None:
    assert make_context().knowledge == ()
