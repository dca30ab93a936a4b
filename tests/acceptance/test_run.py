"""`troupe run`: one job from nothing to the answer, offline."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from tasks.models import StepKind
from tasks.results import JobResult, StepReport
from tasks.states import StepStatus, TaskStatus
from tests.acceptance.conftest import ROOT, Once, Run
from tests.acceptance.stage import Stages


def published_schema() -> dict[str, Any]:
    page = ROOT / "docs" / "job_result.schema.json"
    return json.loads(page.read_text()) if page.exists() else JobResult.model_json_schema()


def overlap(one: StepReport, other: StepReport) -> bool:
    times = (one.started_at, one.finished_at, other.started_at, other.finished_at)
    if None in times:
        return False
    begun, ended, other_begun, other_ended = cast("Any", times)
    return bool(begun < other_ended and other_begun < ended)


def test_a_run_prints_one_object_of_the_published_form(main_run: Run) -> None:
    assert main_run.code == 0, main_run.stderr
    found = json.loads(main_run.stdout)
    cast(Any, jsonschema).validate(found, published_schema())
    assert found["status"] == "completed"


def test_a_run_works_on_all_four_queues(main_run: Run) -> None:
    steps = main_run.result.steps
    assert {step.queue for step in steps} == {"planner", "search", "analysis", "summary"}
    assert {step.status for step in steps} == {StepStatus.SUCCEEDED}
    assert len({step.worker for step in steps}) == 4


def test_steps_that_do_not_need_each_other_run_at_the_same_time(main_run: Run) -> None:
    free = [step for step in main_run.result.steps if step.kind is StepKind.WORK and not step.depends_on]
    assert sum(step.agent == "search" for step in free) >= 3
    assert any(overlap(one, other) for one, other in combinations(free, 2))


def test_every_passage_stands_where_its_source_says(main_run: Run) -> None:
    passages = [source for source in main_run.result.sources if source.kind == "passage"]
    assert passages
    for source in passages:
        assert source.line_start is not None
        lines = Path(source.path).read_text().splitlines()[source.line_start - 1 : source.line_end]
        assert source.text
        assert " ".join(source.text.split()) in " ".join(" ".join(lines).split())


def test_citations_and_sources_are_the_same_numbers(main_run: Run) -> None:
    result = main_run.result
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", result.answer or "")}
    assert cited == {source.number for source in result.sources}
    assert [source.number for source in result.sources] == list(range(1, len(result.sources) + 1))


def test_the_table_is_counted_by_a_query(main_run: Run) -> None:
    queries = [source.query for source in main_run.result.sources if source.kind == "table"]
    assert any(query is not None and "GROUP BY" in query for query in queries)
    assert "2025-06" in (main_run.result.answer or "")


def test_a_run_leaves_no_process_no_folder_and_no_socket(main_run: Run) -> None:
    assert main_run.left == []


@pytest.fixture(scope="module")
def text_run(once: Once, stages: Stages, notes: Path, table: Path) -> Run:
    options = ("--docs", str(notes), "--data", str(table))
    return Run(**once("text_run", lambda: Run.of(stages.new(), *options)))


def test_the_answer_is_on_stdout_and_the_progress_on_stderr_in_plain_lines(text_run: Run) -> None:
    assert text_run.code == 0
    assert "\x1b" not in text_run.stdout + text_run.stderr
    assert re.search(r"^search-1: started on search-\d+@", text_run.stderr, re.MULTILINE)
    assert text_run.stderr.splitlines()[-1] == "job completed"
    assert "started on" not in text_run.stdout
    assert "\nSources\n[1] " in text_run.stdout


def test_an_offline_answer_says_that_no_language_model_was_used(text_run: Run) -> None:
    assert "No language model was used" in text_run.stdout


def test_the_same_question_has_the_same_answer(main_run: Run, text_run: Run) -> None:
    assert text_run.stdout.startswith((main_run.result.answer or "-").strip())
    assert main_run.result.status is TaskStatus.COMPLETED
