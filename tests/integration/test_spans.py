"""What observers of a worker see of its attempts and calls, and what of them is kept with the job."""

import asyncio
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tasks.errors import ModelUnavailable
from tasks.ids import AttemptRef
from tasks.redaction import MASK
from tasks.store.calls import CallStore
from tasks.trace import UNANSWERED, CallRecord, SpanKind
from tasks.usage import Usage
from tests.support.doing import Doing, code_agent
from tests.support.moves import Moves
from workers import Agent, tool
from workers.context import StepContext
from workers.lease import DRAINING
from workers.llm.scripted import Call, ScriptedModel, Turn
from workers.spans import AttemptSpan, CallSpan, observed

PAID = Usage(input_tokens=100, output_tokens=10, requests=1, cost_microusd=450)


class Witness:
    """Writes down what it is told of."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.begun: list[str] = []
        self.attempts: list[AttemptSpan] = []
        self.calls: list[CallSpan] = []

    def attempt(self, span: AttemptSpan) -> AbstractContextManager[object]:
        """See `Observer`."""
        return self._around(span.claim.step.id, span, self.attempts)

    def call(self, span: CallSpan) -> AbstractContextManager[object]:
        """See `Observer`."""
        return self._around(span.name, span, self.calls)

    @contextmanager
    def _around(self, name: str, span: Any, ended: list[Any]) -> Generator[None]:
        self.begun.append(name)
        yield
        ended.append(span)
        if self.broken:
            raise RuntimeError("the witness fell over")


@tool
async def look(place: str) -> str:
    """Look somewhere."""
    if place == "nowhere":
        raise ValueError("there is nothing")
    return f"a {place}"


def looker() -> Agent:
    return Agent(name="worker", description="Looks.", tools=[look])


async def done(moves: Moves, agent: Agent, model: ScriptedModel | None, *observers: Witness) -> AttemptRef:
    job = await moves.planned({"one": ()})
    doing = Doing(moves, [agent], model=model, keeps_accounts=True, observers=observers)
    await doing.one(job)
    return AttemptRef(job, "one", 1)  # pyright: ignore[reportArgumentType]


async def kept(moves: Moves, ref: AttemptRef) -> list[CallRecord]:
    return list((await CallStore(moves.store).read(ref.job)).calls)


async def test_every_call_is_seen_and_kept(moves: Moves) -> None:
    witness = Witness()
    turns = Turn([Call("look", {"place": "cave"}), Call("look", {"place": "nowhere"})], usage=PAID), Turn(["A cave."])
    ref = await done(moves, looker(), ScriptedModel(turns), witness)
    assert [span.kind for span in witness.calls] == [
        SpanKind.MODEL_CALL, SpanKind.TOOL_CALL, SpanKind.TOOL_CALL, SpanKind.MODEL_CALL,
    ]  # fmt: skip
    assert all(span.duration_ms is not None and span.ref == ref for span in witness.calls)
    (attempt,) = witness.attempts
    assert (attempt.outcome, attempt.failure, attempt.usage.requests) == ("succeeded", None, 2)
    calls = await kept(moves, ref)
    assert sorted((one.id, one.name) for one in calls) == sorted((span.id, span.name) for span in witness.calls)
    asked, answered = calls[0], calls[-1]
    assert (asked.usage, asked.attributes["stop_reason"]) == (PAID, "tool_use")
    assert asked.output == 'look({"place": "cave"})\nlook({"place": "nowhere"})'
    assert answered.output == "A cave."
    assert "a cave" in (answered.input or "")
    tools = {str(one.input): (one.output, one.code) for one in calls[1:-1]}
    assert tools['{"place": "cave"}'] == ("a cave", None)
    assert tools['{"place": "nowhere"}'][1] == "raised"


async def test_what_the_journal_answers_is_not_seen_again(moves: Moves) -> None:
    witness, turns = Witness(), [Turn([Call("look", {"place": "cave"})]), ModelUnavailable("busy")]
    ref = await done(moves, looker(), ScriptedModel(turns), witness)
    assert [span.code for span in witness.calls] == [None, None, "model_unavailable"]
    await moves.jobs.postpone(ref, 0)
    again = Doing(moves, [looker()], model=ScriptedModel([Turn(["A cave."])]), keeps_accounts=True, observers=[witness])
    await again.start(await moves.dispatched(ref.job, "one", 2))
    assert [span.claim.attempt for span in witness.calls] == [1, 1, 1, 2]
    assert [(one.attempt, one.code) for one in await kept(moves, ref)] == [
        (1, None), (1, None), (1, "model_unavailable"), (2, None),
    ]  # fmt: skip


async def test_an_observer_that_falls_over_costs_nothing(moves: Moves) -> None:
    broken, witness = Witness(broken=True), Witness()
    ref = await done(moves, looker(), ScriptedModel([Turn(["So."])]), broken, witness)
    assert (await moves.snapshots.step(ref.job, "one")).result is not None  # pyright: ignore[reportOptionalMemberAccess]
    assert (len(broken.calls), len(witness.calls)) == (1, 1)


async def test_an_observer_that_cannot_begin_costs_nothing() -> None:
    class Deaf(Witness):
        def call(self, span: CallSpan) -> AbstractContextManager[object]:
            raise RuntimeError("no")

    with observed([Deaf(), witness := Witness()], CallSpan(None, SpanKind.CUSTOM, "x", "s1")):  # pyright: ignore[reportArgumentType]
        pass
    assert witness.begun == ["x"]


async def test_an_agents_code_names_spans_of_its_own(moves: Moves) -> None:
    async def run(step: StepContext) -> str:
        step.secrets.add(frozenset({"sesame-open-17"}))
        with step.span("lookup", table="prices") as span:
            span.input, span.output = "say sesame-open-17", "x" * 5000
        with pytest.raises(ValueError, match="bad"), step.span("broken"):
            raise ValueError("bad luck")
        return "done"

    witness = Witness()
    ref = await done(moves, code_agent(run), None, witness)
    first, second = await kept(moves, ref)
    assert (first.kind, first.name, first.id, first.attributes) == (
        SpanKind.CUSTOM,
        "lookup",
        "s1",
        {"table": "prices"},
    )
    assert "sesame-open" not in (first.input or "")
    assert (len(first.output or ""), second.error) == (1000, "bad luck")
    assert (second.name, second.code) == ("broken", "raised")
    assert [span.name for span in witness.calls] == ["lookup", "broken"]


async def test_what_code_says_of_its_span_is_kept_without_secrets_and_can_be_read(moves: Moves) -> None:
    async def run(step: StepContext) -> str:
        odd: dict[str, Any] = {
            "when": object,
            "api_key": "sk-ant-api03-hidden",
            "deep": {"password": 7},
            "plain": "yes",
        }
        with step.span("\x1b[2J" * 100, **odd) as span:
            span.input = span.output = '"\x1b' * 5000
        round_about: dict[str, Any] = {}
        round_about["self"] = round_about
        with step.span("circle", **round_about):
            pass
        return "done"

    ref = await done(moves, code_agent(run), None)
    first, second = await kept(moves, ref)
    assert first.attributes == {"when": "<class 'object'>", "api_key": MASK, "deep": {"password": MASK}, "plain": "yes"}
    assert (len(first.name), len(first.input or ""), second.name) == (100, 1000, "circle")


async def test_a_tool_may_be_called_by_any_name(moves: Moves) -> None:
    ref = await done(moves, looker(), ScriptedModel([Turn([Call("n" * 9000, {})]), Turn(["So."])]))
    (asked,) = [call for call in await kept(moves, ref) if call.kind is SpanKind.TOOL_CALL]
    assert (asked.name, asked.code) == ("n" * 200, "unknown_tool")


async def test_secrets_are_masked_in_what_is_kept(moves: Moves) -> None:
    @tool(redact=("token",))
    async def login(token: str) -> dict[str, str]:
        """Log in."""
        return {"token": f"{token}-refreshed", "user": "ann"}

    agent = Agent(name="worker", description="Logs in.", tools=[login])
    turns = Turn([Call("login", {"token": "tk-hidden-9917"})]), Turn(["In, with tk-hidden-9917."])
    ref = await done(moves, agent, ScriptedModel(turns), Witness())
    text = "".join(call.model_dump_json() for call in await kept(moves, ref))
    assert "hidden-9917" not in text
    assert "ann" in text


async def test_a_call_that_is_cancelled_got_no_answer(moves: Moves) -> None:
    async def hang(_: object) -> Turn:
        doing.leases.stop_all(DRAINING)
        await asyncio.sleep(30)
        return Turn(["too late"])

    witness = Witness()
    doing = Doing(moves, [looker()], model=ScriptedModel([hang]), keeps_accounts=True, observers=[witness])
    job = await moves.planned({"one": ()})
    await doing.one(job)
    assert [span.code for span in witness.calls] == [UNANSWERED]
    assert witness.attempts[0].outcome.startswith("stopped")
