"""A job's trace as clients and the command line read it from the store."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import call
from orchestrator.client import AsyncTroupe
from orchestrator.tracing.reading import read_trace
from tasks.errors import UnknownJob
from tasks.ids import JobId
from tasks.models import Plan, PlannedStep
from tasks.settings import StoreSettings
from tasks.store import Snapshots
from tasks.trace import SpanKind, Trace
from tests.support.builders import a_job
from tests.support.doing import code_agent
from tests.support.fleet import Fleet
from tests.support.moves import Moves
from workers import StepContext, tool
from workers.agents.base import Agent
from workers.llm.scripted import Call, ScriptedModel

NOWHERE = "j" + "0" * 19


@tool
async def look(at: str) -> str:
    """Look at something.

    Args:
        at: What to look at.
    """
    return f"{at} is fine"


async def lead(context: StepContext) -> str:
    parts = [PlannedStep(id="part", description="Do a part.", agent="helper")]
    return " ".join(one.result.text for one in await context.delegate_all(parts) if one.result)


async def answer(context: StepContext) -> str:
    return "All is fine."


@pytest.fixture
async def job(moves: Moves) -> JobId:
    """A job that has ended: a step with a model and a tool, one that delegates, and the answer."""
    model = ScriptedModel([Call("look", {"at": "the engine"}), "The engine is fine."])
    agents = [
        Agent(name="mechanic", description="Looks.", tools=[look], queue="worker"),
        code_agent(lead, "boss", queue="worker", sub_agents=["helper"]),
        code_agent(answer, "helper", queue="worker"),
        code_agent(answer, "summary", queue="worker"),
    ]
    plan = Plan(
        steps=[
            PlannedStep(id="engine", description="Look at the engine.", agent="mechanic"),
            PlannedStep(id="rest", description="Have the rest done.", agent="boss", depends_on=["engine"]),
        ]
    )
    spec = a_job("Is all fine?", plan=plan)
    job = await moves.jobs.submit(spec, None)
    await Fleet(moves, agents, model).run(job)
    return job


async def test_the_trace_of_a_job_is_all_that_it_did(moves: Moves, job: JobId) -> None:
    trace = await read_trace(moves.store, job)
    spans = {span.id: span for span in trace.spans}
    shown = [(one.kind.value, one.step or "", one.name, one.status) for one in trace.spans if one.step == "engine"]
    assert shown == [
        ("step", "engine", "engine", "succeeded"),
        ("attempt", "engine", "attempt 1", "succeeded"),
        ("model_call", "engine", "scripted", "ok"),
        ("tool_call", "engine", "look", "ok"),
        ("model_call", "engine", "scripted", "ok"),
    ]
    (child,) = [one for one in trace.spans if one.kind is SpanKind.STEP and one.attributes.get("parent") == "rest"]
    above = spans[child.parent or ""]
    assert (above.kind, above.step, above.attempt, above.status) == (SpanKind.ATTEMPT, "rest", 1, "parked")
    assert (trace.status, trace.spans[0].output, trace.cut, trace.unanswered) == ("completed", "All is fine.", 0, 0)


async def test_the_usage_of_the_trace_is_that_of_the_ledger(moves: Moves, job: JobId) -> None:
    trace, record = await read_trace(moves.store, job), await Snapshots(moves.store).job(job)
    usage = trace.spans[0].usage
    assert usage is not None
    total = record.ledger.total
    assert (usage.requests, usage.tool_calls, usage.input_tokens, usage.output_tokens) == (
        total.requests, total.tool_calls, total.input_tokens, total.output_tokens,
    )  # fmt: skip
    calls = [one.usage for one in trace.spans if one.kind is SpanKind.MODEL_CALL and one.usage]
    assert sum(one.input_tokens for one in calls) == total.input_tokens


async def test_without_events_nothing_but_times_of_waits_is_lost(moves: Moves, job: JobId) -> None:
    whole = await read_trace(moves.store, job)
    await moves.store.redis.xtrim(moves.store.keys.events(job), maxlen=0)
    bare = await read_trace(moves.store, job)
    assert [(one.id, one.parent, one.kind, one.status) for one in bare.spans] == [
        (one.id, one.parent, one.kind, one.status) for one in whole.spans
    ]


async def test_an_event_that_cannot_be_read_does_not_hide_the_trace(moves: Moves, job: JobId) -> None:
    whole = await read_trace(moves.store, job)
    await moves.store.redis.xadd(
        moves.store.keys.events(job), {"type": "step_parked", "at": "1", "data": "{"}, "9999-0"
    )
    again = await read_trace(moves.store, job)
    assert [one.id for one in again.spans] == [one.id for one in whole.spans]


async def test_both_clients_have_it(store_settings: StoreSettings, moves: Moves, job: JobId) -> None:
    async with AsyncTroupe(settings=store_settings) as troupe:
        assert await troupe.job(job).trace() == await read_trace(moves.store, job)
        with pytest.raises(UnknownJob):
            await troupe.job(NOWHERE).trace()


@pytest.fixture
def command(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `troupe trace …`: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_REDIS_URL", store_settings.redis_url.get_secret_value())
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, ["trace", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("tree", "span  "), ("json", "{\n"), ("mermaid", "flowchart LR\n"), ("dot", "digraph "),
        ("html", "<!doctype html>\n"),
    ],
)  # fmt: skip
async def test_every_form_is_printed_or_written(
    job: JobId, command: Any, tmp_path: Path, form: str, begins: str
) -> None:
    code, printed, error = await command(job, "--format", form)
    assert (code, error) == (0, "")
    assert printed.startswith(begins)
    path = tmp_path / "trace"
    code, out, error = await command(job, "-f", form, "--output", str(path))
    assert (code, out, error) == (0, "", f"written: {path}\n")
    assert path.read_text().startswith(begins)
    assert all(name in path.read_text() for name in ("engine", "rest", "synthesis"))


async def test_the_json_is_the_trace(moves: Moves, job: JobId, command: Any) -> None:
    _, printed, _ = await command(job, "--format", "json")
    assert Trace.model_validate(json.loads(printed)) == await read_trace(moves.store, job)


async def test_a_tree_can_be_less_deep(job: JobId, command: Any) -> None:
    assert "look" in (await command(job))[1]
    assert "look  " not in (await command(job, "--depth", "steps"))[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((NOWHERE,), "there is no job"),
        (("no-job",), "is not a job id"),
        ((NOWHERE, "--format", "pdf"), "'pdf' is not one of"),
    ],
)
async def test_what_cannot_be_shown_is_bad_usage(command: Any, words: tuple[str, ...], said: str) -> None:
    code, out, error = await command(*words)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert said in error


async def test_a_file_that_cannot_be_written_is_bad_usage(job: JobId, command: Any, tmp_path: Path) -> None:
    code, out, error = await command(job, "--output", str(tmp_path / "no" / "where"))
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert "cannot write" in error
