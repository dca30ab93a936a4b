"""OpenTelemetry over a whole fleet: one job's spans, from its producer through the orchestrator and every worker."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from opentelemetry.sdk.trace import TracerProvider

from orchestrator import Troupe
from orchestrator.local.stack import LocalStack
from tasks.models import Plan, PlannedStep
from tasks.results import JobResult
from tasks.states import TaskStatus
from tasks.trace_ids import span_id_of, trace_id_of
from tests.acceptance.conftest import CLAUDE, NOTES, TABLE
from tests.acceptance.stage import Stages, wait_until
from tests.support.otlp import Collector, Received
from workers.testing import FakeMessages

WITHIN_S: Final = 90.0
PLANTED: Final = "Zanzibar"
TASK: Final = f"Compare {PLANTED} refunds, returns and warranties. How many refunds and returns were there each month?"
WORKERS: Final = (["planner"], ["search"], ["analysis"], ["summary"], ["levels"])


@dataclass
class Told:
    """What a fleet has told a collector, after it has ended."""

    collector: Collector
    planned: JobResult
    """A job that was planned, submitted within a span."""
    producer: tuple[str, str]
    """That span: trace and id."""
    calls: int
    """Requests to the Messages API."""
    killed: JobResult
    """A job whose worker was killed in its first attempt."""

    def of(self, job: JobResult) -> list[Received]:
        """Spans of one of the jobs."""
        trace = self.producer[0] if job is self.planned else trace_id_of(job.job_id)
        return [span for span in self.collector.spans if span.trace == trace]


@pytest.fixture(scope="module")
def told(stages: Stages) -> Iterator[Told]:
    with Collector() as collector, FakeMessages() as fake:
        stage = stages.new(
            TROUPE_AGENTS="splitters",
            TROUPE_LEASE_S="10",
            TROUPE_REPUBLISH_S="1",
            TROUPE_MODEL="offline",
            TROUPE_RATE_LIMITS="requests=100000,input_tokens=100000000,output_tokens=100000000",
            ANTHROPIC_API_KEY="sk-ant-test",
            ANTHROPIC_BASE_URL=fake.url,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        )
        naps = stage.folder / "naps"
        stage.variables |= {"NAPS": str(naps), "PYTHONPATH": str(stage.work)}
        shutil.copy(Path(__file__).with_name("splitters.py"), stage.work)
        notes, table = stage.work / "notes", stage.work / "cases.csv"
        notes.mkdir()
        for name, text in NOTES.items():
            (notes / name).write_text(text)
        table.write_text(TABLE)
        assert stage.troupe("kb", "add", str(notes)).code == 0
        with LocalStack(stage.home, WORKERS, environment=stage.environment()) as stack:
            stack.wait_until_ready()
            with Troupe(stack.url) as troupe:
                tracer = TracerProvider(shutdown_on_exit=False).get_tracer("a shop")
                with tracer.start_as_current_span("POST /reports") as span:
                    here = span.get_span_context()
                    job = troupe.submit(TASK, model=CLAUDE, data=[table])
                planned = job.wait(WITHIN_S)
                plan = Plan(steps=[PlannedStep(id="top", description="Do it.", agent="restless1")])
                job = troupe.submit("Do it.", plan=plan)
                pid = int(wait_until(lambda: naps.exists() and naps.read_text(), within=WITHIN_S))
                wait_until(lambda: {"restless0", "restless1"} <= {span.agent for span in collector.spans})
                os.kill(pid, signal.SIGKILL)  # now that what it has ended is sent: the rest would be lost with it
                killed = job.wait(WITHIN_S)
        producer = (f"{here.trace_id:032x}", f"{here.span_id:016x}")
        yield Told(collector, planned, producer, fake.calls, killed)


def attempts_of(spans: list[Received]) -> Counter[tuple[str, int]]:
    """Steps and numbers of the attempts that there are spans of."""
    found = [span.attributes for span in spans if span.operation in {"plan", "invoke_agent"}]
    return Counter((str(one["troupe.step.id"]), int(one["troupe.attempt"])) for one in found)


def attempts_in(job: JobResult) -> Counter[tuple[str, int]]:
    """The same, by the job's result."""
    return Counter((step.id, at) for step in job.steps for at in range(1, step.attempts + 1))


def test_one_trace_reaches_from_the_producer_to_every_worker(told: Told) -> None:
    assert told.planned.status is TaskStatus.COMPLETED, told.planned.error
    spans = told.of(told.planned)
    (root,) = [span for span in spans if span.operation == "invoke_workflow"]
    assert (root.name, root.kind, root.service) == ("invoke_workflow troupe.job", "INTERNAL", "troupe-orchestrator")
    assert (root.id, root.parent) == (span_id_of(told.planned.job_id), told.producer[1])
    assert root.attributes["troupe.job.status"] == "completed"
    assert len({span.instance for span in spans if span.service == "troupe-worker"}) >= 3


def test_the_tree_is_that_of_the_conventions(told: Told) -> None:
    spans = {span.id: span for span in told.of(told.planned)}
    below = {
        "plan": {"invoke_workflow"},
        "invoke_agent": {"invoke_workflow"},
        "chat": {"plan", "invoke_agent"},
        "execute_tool": {"plan", "invoke_agent"},
    }
    assert {span.operation for span in spans.values()} == {"invoke_workflow", *below}
    for span in spans.values():
        if span.operation != "invoke_workflow":
            assert spans[span.parent].operation in below[span.operation], span
    for plan in [span for span in spans.values() if span.operation == "plan"]:
        assert plan.name == "plan planner"
        assert {span.operation for span in spans.values() if span.parent == plan.id} == {"chat"}
    assert attempts_of(told.of(told.planned)) == attempts_in(told.planned)


def test_joins_are_linked_to_the_attempts_that_they_build_on(told: Told) -> None:
    job = told.planned.job_id
    found = {str(span.attributes.get("troupe.step.id")): span for span in told.of(told.planned)}
    attempts = {step.id: step.attempts for step in told.planned.steps}
    wide = [step for step in told.planned.steps if len(step.depends_on) > 1]
    assert wide
    for step in wide:
        assert set(found[step.id].links) == {span_id_of(job, one, str(attempts[one])) for one in step.depends_on}


def test_each_call_of_a_model_is_one_span(told: Told) -> None:
    chats = [span for span in told.of(told.planned) if span.operation == "chat" and not span.failed]
    assert len(chats) == told.calls == told.planned.usage.requests
    assert {(span.name, span.kind) for span in chats} == {(f"chat {CLAUDE}", "CLIENT")}
    assert {span.scope for span in told.collector.spans} == {"troupe"}
    assert sum(span.attributes["gen_ai.usage.output_tokens"] for span in chats) == told.planned.usage.output_tokens
    tools = [span for span in told.of(told.planned) if span.operation == "execute_tool"]
    assert len(tools) == told.planned.usage.tool_calls > 0


def test_no_word_of_prompts_and_answers_is_sent(told: Told) -> None:
    sent = b"".join(body for _, body in told.collector.bodies)
    assert told.planned.answer is not None
    words = [PLANTED, "Compare", "signature of a manager", "original packaging", told.planned.answer[:40]]
    words += [step.description[:40] for step in told.planned.steps]
    assert [word for word in words if word.encode() in sent] == []


def test_metrics_count_what_was_done(told: Told) -> None:
    counts = told.collector.counts
    results = (told.planned, told.killed)
    assert counts["gen_ai.workflow.duration"] == 2
    assert counts["gen_ai.client.operation.duration"] == len(told.collector.of("chat"))
    assert counts["gen_ai.client.token.usage"] == 2 * told.calls
    assert counts["gen_ai.execute_tool.duration"] == sum(one.usage.tool_calls for one in results)


def test_of_a_worker_that_is_killed_an_orchestrator_tells_and_nothing_is_told_twice(told: Told) -> None:
    assert told.killed.status is TaskStatus.COMPLETED, told.killed.error
    spans = told.of(told.killed)
    assert [span for span, count in Counter(one.id for one in told.collector.spans).items() if count > 1] == []
    assert attempts_of(spans) == attempts_in(told.killed)
    (lost,) = [span for span in spans if span.attributes.get("troupe.outcome") == "lost"]
    assert (lost.name, lost.service, lost.failed) == ("invoke_agent sleeping", "troupe-orchestrator", True)
    assert lost.attributes["error.type"] == "worker_lost"


def test_delegated_steps_are_below_the_attempts_that_delegated_them(told: Told) -> None:
    named = {span.id: span.name for span in told.of(told.killed)}
    above = {(span.name, named[span.parent]) for span in told.of(told.killed) if span.operation == "invoke_agent"}
    assert above >= {
        ("invoke_agent restless1", "invoke_workflow troupe.job"),
        ("invoke_agent restless0", "invoke_agent restless1"),
        ("invoke_agent sleeping", "invoke_agent restless0"),
    }
    assert ("invoke_agent sleeping", "invoke_workflow troupe.job") not in above
