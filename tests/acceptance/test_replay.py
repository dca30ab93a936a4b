"""A job is recorded, and replayed where nothing of it is left: no server, no key, no documents, no data."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator import Recording
from tasks.results import JobResult
from tasks.states import TaskStatus
from tests.acceptance.conftest import CLAUDE, NOTES, QUESTION, ROOT, TABLE, Fleet, Once, Run
from tests.acceptance.stage import START_WITHIN_S, Stage, Stages
from workers.testing import FakeMessages

KEY: Final = "sk-ant-test"
CHANGED: Final = """
from dataclasses import replace

from workers.agents.built_in import built_in

search = replace(next(one for one in built_in() if one.name == "search"), {change})
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run with --record, whose documents, data and stage are gone."""

    run: dict[str, Any]
    file: str

    @property
    def result(self) -> JobResult:
        """What the run printed."""
        return Run(**self.run).result


def record(stage: Stage, *options: str, **variables: str) -> dict[str, Any]:
    notes, table, file = stage.work / "notes", stage.work / "cases.csv", stage.folder / "job.jsonl"
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text)
    table.write_text(TABLE)
    options = ("--docs", str(notes), "--data", str(table), "--json", "--record", str(file), *options)
    run = Run.of(stage, *options, **variables)
    shutil.rmtree(notes)
    shutil.rmtree(stage.home)
    table.unlink()
    return {"run": run, "file": str(file)}


def record_over_http(stage: Stage) -> dict[str, Any]:
    with FakeMessages(api_key=KEY) as fake:
        return record(stage, "--model", CLAUDE, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=fake.url)


@pytest.fixture(scope="module")
def offline(once: Once, stages: Stages) -> Recorded:
    return Recorded(**once("recorded_offline", lambda: record(stages.new())))


@pytest.fixture(scope="module")
def http(once: Once, stages: Stages) -> Recorded:
    return Recorded(**once("recorded_http", lambda: record_over_http(stages.new())))


def replay(stage: Stage, recorded: Recorded, workers: int) -> JobResult:
    """A replay that comes out as recorded."""
    words = ["replay", recorded.file, "--workers", str(workers), "--json"]
    done = stage.troupe(*words, within=2 * START_WITHIN_S)
    assert done.code == 0, done.stderr
    assert stage.leavings() == []
    return JobResult.model_validate_json(done.stdout)


def what_counts(result: JobResult) -> dict[str, Any]:
    """A result without ids of the job, times, workers and usage."""
    fleeting = {"worker", "started_at", "finished_at", "usage", "attempts"}
    whole = {"job_id", "created_at", "started_at", "finished_at", "usage", "steps"}
    steps = [step.model_dump(exclude=fleeting) for step in result.steps]
    return {**result.model_dump(exclude=whole), "steps": steps}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_job_on_claude_is_replayed_without_server_and_key(http: Recorded, stage: Stage, workers: int) -> None:
    assert (http.result.status, http.result.model) == (TaskStatus.COMPLETED, CLAUDE)
    assert {step.agent for step in http.result.steps} >= {"planner", "search", "analysis", "summary"}
    assert http.result.usage.tool_calls > 0
    outcome = replay(stage, http, workers)
    assert what_counts(outcome) == what_counts(http.result)
    assert (outcome.usage.requests, outcome.usage.cost_usd) == (0, 0)


def test_an_offline_job_is_replayed_without_documents_and_data(offline: Recorded, stage: Stage) -> None:
    assert what_counts(replay(stage, offline, 1)) == what_counts(offline.result)


@pytest.mark.parametrize(
    ("change", "said"), [('instructions="Find nothing."', "in the system prompt"), ("tools=()", "in its tools")]
)
def test_a_changed_agent_is_named_as_the_first_difference(http: Recorded, stage: Stage, change: str, said: str) -> None:
    (stage.work / "changed.py").write_text(CHANGED.format(change=change))
    done = stage.troupe("replay", http.file, within=START_WITHIN_S, TROUPE_AGENTS="changed")
    assert done.code == 1
    where = f"step 'search-1': call 1 of agent 'search' differs from the recording {said}"
    assert done.stderr.splitlines()[-1] == f"troupe: the replay differs from the recording: {where}"


def test_a_file_that_cannot_be_replayed_is_refused_in_one_line(offline: Recorded, stage: Stage) -> None:
    whole = Path(offline.file).read_text()
    later = whole.replace('"format":1', '"format":7', 1)
    for content, said in (
        ("garbage\n", "is no recording"),
        (whole[:-9], "is cut"),
        (later, "is a recording of format 7"),
    ):
        (stage.work / "odd.jsonl").write_text(content)
        done = stage.troupe("replay", "odd.jsonl")
        assert (done.code, done.stdout) == (2, "")
        assert done.complaint.startswith(f"troupe: odd.jsonl {said}")


def test_a_job_of_a_running_fleet_is_recorded_by_its_id_and_replayed_by_the_example(
    fleet: Fleet, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = fleet.troupe.submit(QUESTION)
    assert job.wait(60).status is TaskStatus.COMPLETED
    done = stage.troupe("record", str(job.id), "job.jsonl", TROUPE_REDIS_URL=fleet.url)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    page = (ROOT / "docs" / "record-and-replay.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    monkeypatch.setenv("TROUPE_REDIS_URL", fleet.url)
    monkeypatch.chdir(stage.work)
    exec(compile(code.replace("j1m7yk2e8akdfc323r70", str(job.id)), "record-and-replay.md", "exec"), {})  # noqa: S102
    assert Recording.read("refunds.jsonl").steps == Recording.read("job.jsonl").steps
