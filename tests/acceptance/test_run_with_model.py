"""`troupe run --model claude-…` against a Messages API on this machine: real HTTP, no language model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.local.redis_server import free_port
from tasks.results import JobResult, UsageReport
from tasks.states import StepStatus, TaskStatus
from tests.acceptance.conftest import CLAUDE, Once, Run
from tests.acceptance.stage import START_WITHIN_S, Stage, Stages
from workers.testing import FakeMessages

KEY = "sk-ant-test"
API_NAMES = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
}


def sums(reports: list[UsageReport]) -> dict[str, float]:
    names = list(UsageReport.model_fields)
    return {name: round(sum(getattr(report, name) for report in reports), 6) for name in names}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A run, and what the provider says of it."""

    run: dict[str, Any]
    calls: int
    violations: list[str]
    usage: dict[str, int]

    @property
    def result(self) -> JobResult:
        """What the run printed."""
        return Run(**self.run).result


@pytest.fixture(scope="module")
def http(once: Once, stages: Stages, notes: Path, table: Path) -> Conversation:
    options = ("--docs", str(notes), "--data", str(table), "--json", "--model", CLAUDE)

    def converse() -> dict[str, Any]:
        with FakeMessages(api_key=KEY) as fake:
            run = Run.of(stages.new(), *options, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=fake.url)
            return {"run": run, "calls": fake.calls, "violations": fake.violations, "usage": fake.usage_total}

    return Conversation(**once("http_run", converse))


def test_every_step_asks_the_model_over_http_and_breaks_no_rule(http: Conversation) -> None:
    result = http.result
    assert (result.status, result.model) == (TaskStatus.COMPLETED, CLAUDE)
    assert all(step.usage.requests >= 1 and step.status is StepStatus.SUCCEEDED for step in result.steps)
    assert http.violations == []
    assert result.usage.requests == http.calls
    assert http.run["left"] == []


def test_the_usage_of_the_steps_is_that_of_the_job_and_that_of_the_provider(http: Conversation) -> None:
    result = http.result
    assert sums([step.usage for step in result.steps]) == sums([result.usage])
    said = {ours: http.usage.get(theirs, 0) for theirs, ours in API_NAMES.items()}
    assert {name: getattr(result.usage, name) for name in said} == said
    assert result.usage.cost_usd > 0


def test_a_model_that_cannot_be_reached_fails_the_job_after_its_tries(stage: Stage) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    words = ["run", "Who is there?", "--model", CLAUDE, "--json"]
    done = stage.troupe(*words, within=START_WITHIN_S, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=closed)
    assert done.code == 1
    result = JobResult.model_validate_json(done.stdout)
    assert result.error is not None
    assert result.error.code == "model_unavailable"
    assert result.steps[0].attempts == 3
    assert "Traceback" not in done.stderr
