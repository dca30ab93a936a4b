"""The outcome of a job for people."""

from datetime import timedelta

import pytest

from orchestrator.cli.answer import as_text, place, source_line, spent
from orchestrator.report import report
from tasks.models import Failure, Source, StepKind, StepResult
from tasks.results import JobResult
from tasks.states import StepStatus, TaskStatus
from tests.unit.records import AT, make_attempt, make_job, make_step

PASSAGE = Source(
    id="p0123456789", number=1, title="Law", heading="Part › One", path="/law.md", line_start=3, line_end=9
)
TABLE = Source(id="t0123456789", number=2, title="Sales of the year", path="/sales.csv", query="SELECT 1\n  FROM sales")


def completed() -> JobResult:
    answer = StepResult(text="\nSo [1], so [2].\n", sources=(PASSAGE, TABLE), model="m")
    closing = make_step(
        "synthesis", StepStatus.SUCCEEDED, StepKind.SYNTHESIS, result=answer, attempts=(make_attempt(1),)
    )
    return report(make_job(TaskStatus.COMPLETED, make_step("find", StepStatus.SKIPPED, worker=None), closing))


def test_an_answer_comes_with_sources_and_with_what_is_missing() -> None:
    assert as_text(completed()).split("\n\n") == [
        "So [1], so [2].",
        "Sources\n[1] Law › Part › One — /law.md:3-9\n[2] /sales.csv: SELECT 1 FROM sales",
        "Missing\n- find: what it depends on did not succeed",
    ]


def test_a_plain_answer_stands_alone() -> None:
    assert as_text(completed().model_copy(update={"sources": (), "missing": ()})) == "So [1], so [2]."


def test_a_failed_job_says_why() -> None:
    failure = Failure(code="deadline_passed", message="too late")
    result = report(make_job(TaskStatus.FAILED, failure=failure))
    assert as_text(result) == f"job {result.job_id} failed: deadline_passed: too late"


def test_a_job_without_a_reason_says_that_there_is_no_answer() -> None:
    result = report(make_job(TaskStatus.IN_PROGRESS))
    assert as_text(result) == f"job {result.job_id} in_progress: no answer"


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({"line_start": 3, "line_end": 9}, "/a:3-9"),
        ({"line_start": 3}, "/a:3-3"),
        ({"page_start": 2, "page_end": 4}, "/a, page 2–4"),
        ({"page_start": 2, "page_end": 2}, "/a, page 2"),
        ({"page_start": 2}, "/a, page 2"),
        ({"query": "SELECT\n 1"}, "/a: SELECT 1"),
        ({}, "/a"),
    ],
    ids=str,
)
def test_a_source_says_where_it_stands(where: dict[str, object], text: str) -> None:
    assert place(Source.model_validate({"id": "p1", "title": "A", "path": "/a", **where})) == text


@pytest.mark.parametrize(
    ("heading", "shown"), [(None, "Law"), ("Part › One", "Law › Part › One"), ("Law › One", "Law › One")]
)
def test_a_passage_has_its_title_once_and_its_heading(heading: str | None, shown: str) -> None:
    assert source_line(PASSAGE.model_copy(update={"heading": heading})) == f"[1] {shown} — /law.md:3-9"


def test_a_table_has_its_file_and_what_was_asked_of_it() -> None:
    assert source_line(TABLE) == "[2] /sales.csv: SELECT 1 FROM sales"


def test_what_was_spent_is_one_line() -> None:
    result = completed().model_copy(update={"finished_at": AT + timedelta(seconds=2.25)})
    assert spent(result) == "2 steps on 1 workers, 2.2 s, 1 model calls, 0 tool calls, 0 + 0 tokens, $0.0000"
    assert ", running, " in spent(result.model_copy(update={"finished_at": None}))
