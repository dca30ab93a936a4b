"""A recorded job is run again without a model or a tool, comes out the same, and says where it does not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import AsyncTroupe, Recording, Troupe
from orchestrator.client import AsyncJobHandle
from orchestrator.recording.lines import EntryLine
from tasks.errors import BadRecording, ModelUnavailable, UnknownJob
from tasks.ids import JobId, StepId, new_job_id
from tasks.models import Join, Plan, PlannedStep, RetryPolicy, Source
from tasks.results import JobResult, StepReport, UsageReport
from tasks.settings import StoreSettings
from tasks.states import StepStatus, TaskStatus
from tasks.usage import Budget, Usage
from tests.support.builders import a_plan
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from workers import tool
from workers.agents.base import Agent, AgentReply
from workers.context import StepContext, current_step
from workers.llm.base import Model, ModelRequest
from workers.llm.scripted import Call, ScriptedModel, Step, Turn

SOURCE = Source(id="p0123456789-1", title="Handbook", path="/docs/handbook.md", line_start=1, line_end=1, text="So.")
FOUND = f"So it is [{SOURCE.id}]."
ONE = a_plan({"one": ()}, agent="finder")
AGAIN = RetryPolicy(max_attempts=2, base_ms=0)


class Finder:
    """A tool that counts its calls and shows a source."""

    def __init__(self) -> None:
        self.calls = 0

    @property
    def tool(self) -> Any:
        """The tool."""

        async def find(word: str) -> str:
            """Find a word.

            Args:
                word: What to find.
            """
            self.calls += 1
            return f"{word}: {current_step().cite(SOURCE)}"

        return tool(find)


def planned(name: str, agent: str, **fields: Any) -> PlannedStep:
    """A step of a plan."""
    return PlannedStep(id=name, description=f"Do {name}.", agent=agent, **fields)


@pytest.fixture
def finder() -> Finder:
    return Finder()


@pytest.fixture
async def troupe(store_settings: StoreSettings) -> AsyncIterator[AsyncTroupe]:
    async with AsyncTroupe(settings=store_settings.model_copy(update={"partitions": 1})) as troupe:
        yield troupe


def agents_with(finder: Finder, *others: Agent, **fields: Any) -> list[Agent]:
    """A finder with the tool, a summary, and others."""
    own = Agent(name="finder", description="Finds.", tools=[finder.tool], retry=AGAIN, **fields)
    return [own, Agent(name="summary", description="Writes."), *others]


def talk(*turns: Step, answer: Sequence[Step] = (f"Thus [{SOURCE.id}].",)) -> ScriptedModel:
    """The finder calls its tool and says what it found, unless told otherwise; then the answer is written."""
    found = turns or ([Call("find", {"word": "so"})], FOUND)
    return ScriptedModel({"finder": list(found), "heir": ["The heir found it."], "summary": list(answer)})


class Stand:
    """Records jobs and replays them, on one store."""

    def __init__(self, troupe: AsyncTroupe, moves: Moves, finder: Finder, path: Path) -> None:
        self.troupe, self.moves, self.finder, self.path = troupe, moves, finder, path

    async def ran(
        self, agents: Sequence[Agent], model: Model | None, plan: Plan | None = ONE, **fields: Any
    ) -> AsyncJobHandle:
        """A job that has ended."""
        job = await self.troupe.submit("Why?", plan=plan, **fields)
        await Fleet(self.moves, agents, model, max_steps=5).run(job.id)
        return job

    async def recorded(
        self, agents: Sequence[Agent], model: Model | None, plan: Plan | None = ONE, **fields: Any
    ) -> Recording:
        """The recording of such a job, read back from its file."""
        (await (await self.ran(agents, model, plan, **fields)).record()).write(self.path)
        return Recording.read(self.path)

    async def replayed(self, recording: Recording, agents: Sequence[Agent]) -> JobResult:
        """What a replay came to; a model that is asked fails it."""
        job = await self.troupe.replay(recording)
        await Fleet(self.moves, agents).run(job.id)
        return await job.snapshot()

    async def difference(self, recording: Recording, agents: Sequence[Agent]) -> str | None:
        """Where a replay departs from its recording."""
        return recording.difference(await self.replayed(recording, agents))


@pytest.fixture
def stand(troupe: AsyncTroupe, moves: Moves, finder: Finder, tmp_path: Path) -> Stand:
    return Stand(troupe, moves, finder, tmp_path / "job.jsonl")


def step_of(result: JobResult, name: str) -> StepReport:
    return next(step for step in result.steps if step.id == name)


async def test_a_replay_comes_out_the_same_and_calls_nothing(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder)
    recording = await stand.recorded(agents, talk())
    assert (recording.result.answer, finder.calls) == ("Thus [1].", 1)
    outcome = await stand.replayed(recording, agents)
    assert recording.difference(outcome) is None
    assert (outcome.answer, outcome.sources[0].path, finder.calls) == ("Thus [1].", SOURCE.path, 1)
    assert outcome.usage == UsageReport.of(Usage())


async def test_a_planned_job_is_planned_again_from_its_recording_also_when_the_first_plan_was_refused(
    stand: Stand, finder: Finder
) -> None:
    planner = Agent(name="planner", description="Plans.", output=Plan, plannable=False)
    bad, good = (a_plan({"one": ()}, agent=name).model_dump_json() for name in ("nobody", "finder"))
    model = ScriptedModel(
        {"planner": [bad, good], "finder": [[Call("find", {"word": "so"})], FOUND], "summary": ["Thus."]}
    )
    agents = agents_with(finder, planner)
    recording = await stand.recorded(agents, model, plan=None)
    assert [step.id for step in recording.steps] == ["plan", "plan-repair", "one", "synthesis"]
    assert await stand.difference(recording, agents) is None


async def test_a_changed_prompt_is_the_first_difference(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    changed = agents_with(finder, instructions="Find nothing.")
    said = "step 'one': call 1 of agent 'finder' differs from the recording in the system prompt"
    assert await stand.difference(recording, changed) == said


async def test_a_changed_tool_is_a_difference_in_the_tools(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    changed = [replace(agent, tools=()) for agent in agents_with(finder)]
    said = await stand.difference(recording, changed)
    assert said == "step 'one': call 1 of agent 'finder' differs from the recording in its tools"


async def test_the_workers_own_default_model_is_no_difference_and_an_agents_is(stand: Stand, finder: Finder) -> None:
    model = ScriptedModel({"finder": [FOUND], "summary": ["Thus."]}, name="claude-haiku-5-5")
    recording = await stand.recorded(agents_with(finder), model)
    assert recording.header.model == "claude-haiku-5-5"
    assert await stand.difference(recording, agents_with(finder)) is None
    said = await stand.difference(recording, agents_with(finder, model="another"))
    assert said == "step 'one': call 1 of agent 'finder' differs from the recording in the model"


async def test_tools_of_mcp_servers_are_neither_asked_for_nor_compared(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    elsewhere = [replace(agent, tools=(), mcp=("not-here",)) for agent in agents_with(finder)[:1]]
    assert await stand.difference(recording, [*elsewhere, *agents_with(finder)[1:]]) is None


async def test_an_attempt_that_failed_before_the_last_one_is_not_repeated(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder)
    calls: list[Step] = [[Call("find", {"word": "so"})], ModelUnavailable("away"), FOUND]
    recording = await stand.recorded(agents, talk(*calls))
    outcome = await stand.replayed(recording, agents)
    assert recording.difference(outcome) is None
    assert (step_of(outcome, "one").attempts, finder.calls) == (1, 1)


async def test_a_conversation_that_began_anew_is_recorded_as_it_was_at_last(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder)
    calls: list[Step] = [[Call("find", {"word": "so"})], Turn(["x"], stop_reason="unheard_of"), FOUND]
    recording = await stand.recorded(agents, talk(*calls))
    assert [entry.id for entry in recording.journals[StepId("one")]] == ["o", "m1"]
    assert await stand.difference(recording, agents) is None


async def test_a_step_that_failed_fails_again_with_what_it_had_found(stand: Stand, finder: Finder) -> None:
    plan = Plan(steps=[planned("one", "finder"), planned("two", "other")])
    calls: list[Step] = [["Half of it.", Call("find", {"word": "so"})], Turn(["No."], stop_reason="refusal")]
    agents = agents_with(finder, Agent(name="other", description="Goes on."))
    model = ScriptedModel({"finder": calls, "other": ["The rest."], "summary": ["Thus."]})
    recording = await stand.recorded(agents, model, plan)
    outcome = await stand.replayed(recording, agents)
    assert recording.difference(outcome) is None
    failed = step_of(outcome, "one")
    assert failed.error is not None
    assert failed.partial is not None
    assert (failed.error.code, failed.partial.text, failed.attempts) == ("model_refused", "Half of it.\n\nNo.", 1)
    assert outcome.missing[0].step == "one"
    assert (outcome.status, outcome.answer) == (TaskStatus.COMPLETED, "Thus.")


async def test_a_job_that_failed_fails_again(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder)
    recording = await stand.recorded(agents, talk(Turn(["No."], stop_reason="refusal")))
    outcome = await stand.replayed(recording, agents)
    assert recording.difference(outcome) is None
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code) == (TaskStatus.FAILED, "no_result")


async def test_a_step_that_fell_back_falls_back_again(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder, Agent(name="heir", description="Takes over."), fallback="heir")
    planner = Agent(name="planner", description="Plans.", output=Plan, plannable=False)
    script = {
        "planner": [ONE.model_dump_json()],
        "finder": [Turn(["No."], stop_reason="refusal")],
        "heir": ["The heir found it."],
        "summary": ["Thus."],
    }
    recording = await stand.recorded([*agents, planner], ScriptedModel(script), plan=None)
    outcome = await stand.replayed(recording, [*agents, planner])
    assert recording.difference(outcome) is None
    assert step_of(outcome, "one").agent == "heir"
    alone = await stand.difference(recording, [*agents_with(finder), planner])
    assert alone == "step 'one': agent 'heir' did this step in the recording, and not 'finder'"


async def test_a_given_plan_is_recorded_as_it_was_done(stand: Stand, finder: Finder) -> None:
    heir = Agent(name="heir", description="Takes over.")
    agents = agents_with(finder, heir, fallback="heir")
    recording = await stand.recorded(agents, talk(Turn(["No."], stop_reason="refusal")))
    assert await stand.difference(recording, agents) is None


async def test_plain_code_is_run_and_what_it_says_now_is_compared(stand: Stand, finder: Finder) -> None:
    said = ["It was so."]

    async def run(_: StepContext) -> AgentReply:
        return AgentReply(text=said[-1], data={"n": len(said)})

    agents = agents_with(finder, Agent(name="coded", description="Is code.", run=run))
    recording = await stand.recorded(agents, talk(), a_plan({"one": ()}, agent="coded"))
    assert await stand.difference(recording, agents) is None
    said.append("It is so.")
    assert await stand.difference(recording, agents) == (
        "step 'one': its text differs from character 4 on: 'It is so.'; in the recording 'It was so.'"
    )


async def test_an_answer_that_the_budget_ended_is_put_together_again(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder)
    recording = await stand.recorded(agents, talk(FOUND), budget=Budget(requests=1))
    assert "put together without a model" in (recording.result.answer or "")
    assert [entry.id for entry in recording.journals[StepId("synthesis")]] == ["o", "b"]
    assert await stand.difference(recording, agents) is None


async def test_an_answer_that_was_cut_where_the_budget_ended_is_put_together_again(
    stand: Stand, finder: Finder
) -> None:
    cut = [
        Turn([text], stop_reason="max_tokens", usage=Usage(input_tokens=100, output_tokens=written, requests=1))
        for text, written in (("Half", 8192), ("Half of it", 7000))
    ]
    model = ScriptedModel({"finder": [FOUND], "summary": cut}, name="claude-haiku-5-5")
    recording = await stand.recorded(agents_with(finder), model, budget=Budget(tokens=20_000))
    assert [entry.id for entry in recording.journals[StepId("synthesis")]] == ["o", "m1", "m2", "b"]
    assert await stand.difference(recording, agents_with(finder)) is None


async def test_a_step_that_nobody_waited_for_is_left_unended_again(stand: Stand, finder: Finder) -> None:
    either = planned("either", "other", depends_on=["slow", "one"], join=Join.ANY)
    plan = Plan(steps=[planned("slow", "slow"), planned("one", "finder"), either])

    async def forever(_: ModelRequest) -> str:
        await asyncio.Event().wait()
        return "never"

    agents = agents_with(
        finder, Agent(name="slow", description="Is slow."), Agent(name="other", description="Goes on.")
    )
    script: dict[str, list[Step]] = {"finder": [[Call("find", {"word": "so"})], FOUND], "other": [FOUND]}
    model = ScriptedModel({**script, "slow": [forever], "summary": ["Thus."]})
    recording = await stand.recorded(agents, model, plan)
    outcome = await stand.replayed(recording, agents)
    assert recording.difference(outcome) is None
    assert step_of(outcome, "slow").status is StepStatus.CANCELLED


async def test_a_source_is_known_in_a_replay_whichever_step_ends_first(stand: Stand, finder: Finder) -> None:
    either = planned("either", "other", depends_on=["code", "one"], join=Join.ANY)
    plan = Plan(steps=[planned("code", "code"), planned("one", "finder"), either])
    asked = asyncio.Event()

    async def last(_: StepContext) -> str:
        await asked.wait()
        return "Code."

    def goes_on(_: ModelRequest) -> str:
        asked.set()
        return FOUND

    async def after_either(context: StepContext) -> str:
        await stand.moves.wait_for(context.claim.job.id, "either", StepStatus.SUCCEEDED)
        return "Later."

    code = Agent(name="code", description="Is code.", run=last)
    agents = agents_with(finder, code, Agent(name="other", description="Goes on."))
    script: dict[str, list[Step]] = {"finder": [[Call("find", {"word": "so"})], FOUND], "other": [goes_on]}
    recording = await stand.recorded(agents, ScriptedModel({**script, "summary": ["Thus."]}), plan)
    outcome = await stand.replayed(recording, [replace(agents[0], run=after_either), *agents[1:]])
    found = step_of(outcome, "either").result
    assert found is not None
    assert [source.id for source in found.sources] == [SOURCE.id]


async def test_what_cannot_be_replayed_is_not_recorded(stand: Stand, finder: Finder) -> None:
    open_job = await stand.troupe.submit("Why?", plan=ONE)
    with pytest.raises(BadRecording, match="is pending: it can be recorded when it has ended"):
        await open_job.record()
    await open_job.cancel()
    with pytest.raises(BadRecording, match=r"was ended from outside \(job_cancelled\)"):
        await open_job.record()
    agents = agents_with(finder)
    recording = await stand.recorded(agents, talk())
    replay = await stand.troupe.replay(recording)
    await Fleet(stand.moves, agents).run(replay.id)
    with pytest.raises(BadRecording, match="is a replay itself"):
        await replay.record()
    with pytest.raises(UnknownJob):
        await stand.troupe.job(new_job_id(0)).record()


async def test_a_journal_that_was_closed_is_not_recorded(stand: Stand, finder: Finder) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.journal.journal.MAX_BYTES", 1500)
        job = await stand.ran(agents_with(finder), talk())
    with pytest.raises(BadRecording, match="in step 'one' is not known whole"):
        await job.record()


async def test_a_recording_that_ends_too_soon_says_which_call_is_missing(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    one = StepId("one")
    for kept, said in (
        (1, "call 1 of agent 'finder' was not recorded"),
        (2, "turn 1 of agent 'finder': a tool call was not recorded"),
        (3, "call 2 of agent 'finder' was not recorded"),
    ):
        cut = replace(recording, journals={**recording.journals, one: recording.journals[one][:kept]})
        assert await stand.difference(cut, agents_with(finder)) == f"step 'one': {said}"


async def test_a_replay_that_ends_before_its_recording_says_so(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    entries = recording.journals[StepId("one")]
    more = entries[-1].model_copy(update={"id": "m3"})
    longer = replace(recording, journals={**recording.journals, StepId("one"): (*entries, more)})
    said = await stand.difference(longer, agents_with(finder))
    assert said == "step 'one': agent 'finder' ended after call 2; in the recording it went on"


async def test_an_entry_that_no_release_writes_is_named(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    odd = EntryLine(step=StepId("one"), id="m1", entry={"kind": "heard", "content": "nothing"})
    broken = replace(recording, journals={**recording.journals, StepId("one"): (odd,)})
    said = await stand.difference(broken, agents_with(finder))
    assert said is not None
    assert said.startswith("step 'one': entry 'm1' of the recording cannot be read: heard.asked: Field required;")


async def test_a_plan_that_is_refused_here_is_said_to_be(stand: Stand, finder: Finder) -> None:
    planner = Agent(name="planner", description="Plans.", output=Plan, plannable=False)
    script = {"planner": [ONE.model_dump_json()], "finder": [FOUND], "summary": ["Thus."]}
    recording = await stand.recorded([*agents_with(finder), planner], ScriptedModel(script), plan=None)
    said = await stand.difference(recording, [planner, *agents_with(finder)[1:]])
    assert said == "the plan that was recorded is refused here: an agent of it may be missing, or a limit be lower"


async def test_a_replay_runs_whatever_limits_the_recorded_job_had(stand: Stand, finder: Finder) -> None:
    agents = agents_with(finder)
    asked: dict[str, Any] = {"idempotency_key": "once", "max_in_flight": 1, "budget_usd": 1.0, "timeout": 30}
    recording = await stand.recorded(agents, talk(), **asked)
    spec = recording.spec(new_job_id(0), timedelta(seconds=50))
    assert (spec.timeout_ms, spec.idempotency_key, spec.max_in_flight) == (50_000, None, None)
    assert spec.budget.endless
    assert spec.replay
    for _ in range(2):
        assert await stand.difference(recording, agents) is None


async def test_a_recording_of_another_release_is_named_beside_a_difference(stand: Stand, finder: Finder) -> None:
    recording = await stand.recorded(agents_with(finder), talk())
    later = replace(recording, header=recording.header.model_copy(update={"release": "9.9"}))
    said = await stand.difference(later, agents_with(finder, instructions="Find nothing."))
    assert said is not None
    assert "in the system prompt (recorded by release '9.9'; this is '" in said
    assert await stand.difference(later, agents_with(finder)) is None


async def test_a_blocking_client_records_and_replays_too(
    stand: Stand, finder: Finder, store_settings: StoreSettings
) -> None:
    job = await stand.ran(agents_with(finder), talk())

    def again() -> tuple[Recording, str]:
        with Troupe(settings=store_settings.model_copy(update={"partitions": 1})) as troupe:
            recording = troupe.job(job.id).record()
            return recording, troupe.replay(recording, timeout=60).id

    recording, replay = await asyncio.to_thread(again)
    await Fleet(stand.moves, agents_with(finder)).run(JobId(replay))
    assert recording.difference(await stand.troupe.job(replay).snapshot()) is None


async def test_a_large_conversation_goes_through_the_file_and_the_store(stand: Stand, finder: Finder) -> None:
    long = "A finding in many words. " * 6_000
    recording = await stand.recorded(agents_with(finder), talk([long, Call("find", {"word": "so"})], FOUND))
    assert await stand.difference(recording, agents_with(finder)) is None
