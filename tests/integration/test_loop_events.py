"""What a loop leaves in the store: text while it is written, and why an answer was not one."""

from pydantic import BaseModel

from tasks.events import TextDelta
from tests.support.doing import Doing
from tests.support.moves import Moves
from workers.agents.base import Agent
from workers.llm.scripted import Call, ScriptedModel

ONE = {"one": ()}


class Verdict(BaseModel):
    """A structured answer."""

    good: bool


async def test_text_is_an_event_of_the_job_before_the_result_is(moves: Moves) -> None:
    async def look(q: str) -> str:
        """Look something up."""
        return q

    model = ScriptedModel([["I look. ½\x00\ud800", Call("look", {"q": "x"})], "It is so."])
    agent = Agent(name="worker", description="Looks.", tools=[look], stream=True)
    job = await moves.planned(ONE)
    assert await Doing(moves, [agent], model=model).one(job) == "succeeded"
    told = await moves.told(job)
    deltas = [event for event in told if isinstance(event, TextDelta)]
    assert [(one.step, one.attempt, one.turn) for one in deltas] == [("one", 1, 1), ("one", 1, 2)]
    assert [one.text for one in deltas] == ["I look. ½\x00?", "It is so."]
    kinds = [event.type for event in told]
    assert kinds.index("text_delta") < kinds.index("step_succeeded")


async def test_an_agent_that_does_not_ask_for_it_shows_no_text(moves: Moves) -> None:
    job = await moves.planned(ONE)
    await Doing(moves, [Agent(name="worker", description="So.")], model=ScriptedModel(["So."])).one(job)
    assert not any(isinstance(event, TextDelta) for event in await moves.told(job))


async def test_the_failure_of_a_form_keeps_the_beginning_of_the_answer(moves: Moves) -> None:
    model = ScriptedModel(["It is rather " + "good " * 2000] * 3)
    job = await moves.planned(ONE)
    agent = Agent(name="worker", description="Judges.", output=Verdict)
    outcome = await Doing(moves, [agent], model=model).one(job)
    assert outcome.startswith("failed: invalid_output: ")
    record = await moves.snapshots.step(job, "one")
    assert record is not None
    failure = record.attempts[-1].failure
    assert failure is not None
    assert failure.code == "invalid_output"
    assert "It was: It is rather good good" in failure.message
    assert len(failure.message) < 2000
