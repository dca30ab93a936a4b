"""Two jobs side by side: what differs, and what was taken."""

import json
from typing import Any

import pytest

from orchestrator import diff
from orchestrator.cli.difference import print_diff
from orchestrator.travel.difference import MAX_COMPARED_CHARS, MAX_LINES, Change, JobDiff, Presence
from tasks.models import Source
from tasks.results import JobResult
from tests.unit.recorded_job import SOURCE, a_recording, an_outcome

JOB = an_outcome(a_recording())
OTHER = Source(id="p9999999999", title="Annex", path="/docs/annex.md", line_start=3)
USAGE = {
    "input_tokens": 10, "output_tokens": 2, "cache_read_tokens": 3, "cache_write_tokens": 4, "requests": 2,
    "tool_calls": 1, "cost_usd": 0.25,
}  # fmt: skip


def changed(**changes: Any) -> JobResult:
    return an_outcome(a_recording(), **changes)


def of_step(found: JobDiff, name: str) -> Any:
    return next(one for one in found.steps if one.id == name)


def output(text: str, data: Any = None, *sources: Source) -> dict[str, Any]:
    return {"text": text, "data": data, "sources": [one.model_dump() for one in sources]}


def test_a_job_does_not_differ_from_itself() -> None:
    found = diff(JOB, JOB)
    assert not found.differs
    assert found.answer.same
    assert [(one.id, one.presence, one.differs) for one in found.steps] == [
        (name, Presence.BOTH, False) for name in ("plan", "one", "two")
    ]
    assert JobDiff.model_validate_json(found.model_dump_json()) == found


def test_a_step_that_is_planned_otherwise_names_its_fields() -> None:
    found = diff(JOB, changed(one={"description": "Do one better.", "agent": "analysis", "depends_on": ["plan"]}))
    assert of_step(found, "one").changes == (
        Change(field="description", before="Do one.", after="Do one better."),
        Change(field="agent", before="search", after="analysis"),
        Change(field="depends_on", before=[], after=["plan"]),
    )
    assert found.differs


def test_steps_that_come_and_go_are_in_the_order_of_the_plans() -> None:
    without = changed(one=None)
    gone, come = diff(JOB, without), diff(without, JOB)
    assert [(one.id, one.presence) for one in gone.steps] == [
        ("plan", Presence.BOTH), ("one", Presence.BEFORE), ("two", Presence.BOTH)
    ]  # fmt: skip
    assert [(one.id, one.presence) for one in come.steps][-1] == ("one", Presence.AFTER)
    assert (of_step(gone, "one").after, of_step(come, "one").before) == (None, None)
    assert gone.differs
    assert come.differs


def test_texts_are_compared_line_by_line() -> None:
    found = diff(JOB, changed(one={"result": output("Found.\nMore.", {"n": 1}, SOURCE)}))
    assert of_step(found, "one").result.lines == ("@@ -1 +1,2 @@", f"-Found [{SOURCE.id}].", "+Found.", "+More.")


def test_data_alone_may_differ() -> None:
    found = diff(JOB, changed(one={"result": output(f"Found [{SOURCE.id}].", {"n": 2}, SOURCE)}))
    result = of_step(found, "one").result
    assert (result.same, result.lines) == (False, ())


def test_sources_are_gained_and_lost() -> None:
    found = diff(JOB, changed(job={"sources": [OTHER.model_dump()]}))
    assert (found.answer.same, found.differs) == (False, True)
    assert [one.id for one in found.answer.sources_gained] == [OTHER.id]
    assert [one.id for one in found.answer.sources_lost] == [SOURCE.id]


def test_the_order_of_sources_is_no_difference() -> None:
    both = [SOURCE.model_dump(), OTHER.model_dump()]
    ones, others = changed(job={"sources": both}), changed(job={"sources": both[::-1]})
    assert not diff(ones, others).differs


def test_what_a_step_had_found_before_it_failed_is_compared_too() -> None:
    assert of_step(diff(JOB, changed(two={"partial": output("Three quarters.")})), "two").result.lines[1:] == (
        "-Half.", "+Three quarters."
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"two": {"error": {"code": "other", "message": "x", "retryable": False}}},
        {"one": {"status": "failed"}},
        {"job": {"status": "failed"}},
        {"job": {"error": {"code": "other", "message": "x", "retryable": False}}},
        {"job": {"answer": "No."}},
        {"job": {"answer": None}},
        {"job": {"task": "How?"}},
    ],
    ids=str,
)
def test_what_came_of_it_makes_a_difference(change: dict[str, Any]) -> None:
    assert diff(JOB, changed(**change)).differs


@pytest.mark.parametrize(
    "change",
    [
        {"one": {"attempts": 3, "worker": "w", "usage": USAGE, "reused_from": "j" + "1" * 19}},
        {"job": {"usage": USAGE, "job_id": "j" + "1" * 19, "finished_at": "2026-01-01T00:00:02Z"}},
        {"two": {"error": {"code": "model_refused", "message": "Other words.", "retryable": False}}},
    ],
    ids=["step", "job", "words"],
)
def test_what_it_took_makes_none(change: dict[str, Any]) -> None:
    assert not diff(JOB, changed(**change)).differs


def test_what_it_took_is_there() -> None:
    ends = {"started_at": "2026-01-01T00:00:01Z", "finished_at": "2026-01-01T00:00:03.5Z", "attempts": 2}
    job = {"finished_at": "2026-01-01T00:00:09Z", "usage": USAGE}
    found = diff(JOB, changed(one={**ends, "usage": USAGE}, job=job))
    figures = of_step(found, "one").after
    assert (figures.attempts, figures.tokens, figures.requests, figures.tool_calls) == (2, 19, 2, 1)
    assert (figures.cost_usd, figures.duration_s, of_step(found, "one").before.duration_s) == (0.25, 2.5, None)
    assert (found.after.figures.duration_s, found.after.figures.attempts) == (9.0, 4)
    assert (found.before.figures.duration_s, of_step(found, "two").before.error) == (None, "model_refused")


def test_long_differences_are_cut_and_say_so() -> None:
    many = "\n".join(map(str, range(1000)))
    lines = diff(JOB, changed(job={"answer": many})).answer.lines
    assert (len(lines), lines[-1]) == (MAX_LINES + 1, "… 802 more lines")
    (_, _, long) = diff(JOB, changed(job={"answer": "x" * 5000})).answer.lines
    assert (len(long), long[-1]) == (500, "…")
    late = ["y" * MAX_COMPARED_CHARS + end for end in ("a", "b")]
    (note,) = diff(changed(job={"answer": late[0]}), changed(job={"answer": late[1]})).answer.lines
    assert note.startswith("… compared as far as character 50,000")


def test_people_get_a_table_and_below_it_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    other = changed(
        one={"description": "Do [it] better.", "result": output("New.", {"n": 2}, OTHER), "usage": USAGE},
        plan={"reused_from": JOB.job_id, "result": output(f"Found [{SOURCE.id}].", {"n": 3}, SOURCE)},
        two={"error": {"code": "other", "message": "x", "retryable": False}},
        job={"answer": "No."},
    )
    print_diff(diff(JOB, other))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"- job {JOB.job_id}  completed  Why?"
    rows = {line.split()[0]: line.split() for line in said[2:7]}
    assert rows["plan"] == ["plan", "=", "succeeded", "→", "reused", "differs", "1", "0", "0.000000", "-"]
    assert rows["total"][:3] == ["total", "completed", "differs"]
    assert " ".join(rows["one"]) == "one description succeeded differs 1 0 → 19 0.000000 → 0.250000 -"
    for line in (
        "  - description: Do one.", "  + description: Do [it] better.", "  +New.", "  its data differ",
        "  - source Handbook — /docs/handbook.md", "  + source Annex — /docs/annex.md:3-3",
        "  - error: model_refused", "  + error: other", "answer", "  -So [1].", "  +No.",
    ):  # fmt: skip
        assert line in said, said


def test_people_are_told_that_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    print_diff(diff(JOB, changed(one=None)))
    assert "- gone" in capsys.readouterr().out
    print_diff(diff(changed(one=None), JOB))
    assert "+ new" in capsys.readouterr().out
    print_diff(diff(JOB, JOB))
    assert capsys.readouterr().out.splitlines()[-1] == "they do not differ but in what they took"


def test_its_form_is_json() -> None:
    told = json.loads(diff(JOB, JOB).model_dump_json())
    assert sorted(told) == ["after", "answer", "before", "differs", "steps"]
    assert sorted(told["steps"][0]) == ["after", "before", "changes", "id", "presence", "result"]
