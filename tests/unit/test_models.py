"""What travels: closed, frozen, and checked at the door."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks import events, messages, models, results
from tasks.ids import JobId, StepId
from tasks.models import AgentDefinition, Failure, JobSpec, Source, Step, StepResult, TableRef
from tasks.results import ErrorReport, UsageReport
from tasks.usage import Usage
from tasks.wire import Wire

JOB = JobId("j0123456789abcdefgh3")
COUNTS = st.integers(0, 10**15)  # a thousand million dollars; above 2**52 a float has no room for its micro-dollars
USAGE = st.builds(Usage, **dict.fromkeys(Usage.model_fields, COUNTS))


def travelling() -> Iterator[type[Wire]]:
    for module in (models, events, messages, results):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Wire) and kind.__module__ == module.__name__:
                yield kind


@pytest.mark.parametrize("kind", list(travelling()), ids=lambda one: one.__name__)
def test_every_travelling_model_is_frozen_and_refuses_unknown_fields(kind: type[Wire]) -> None:
    assert (kind.model_config.get("frozen"), kind.model_config.get("extra")) == (True, "forbid")


def test_an_unknown_field_is_refused_in_words() -> None:
    with pytest.raises(ValidationError, match=r"newer\n.*Extra inputs are not permitted"):
        Failure.model_validate_json('{"code": "x", "message": "y", "newer": 1}')


@given(USAGE, USAGE, USAGE)
def test_usage_adds_up_field_by_field_in_any_order(one: Usage, two: Usage, three: Usage) -> None:
    total = one + two
    for name in Usage.model_fields:
        assert getattr(total, name) == getattr(one, name) + getattr(two, name)
    assert total == two + one
    assert (one + two) + three == one + (two + three)
    assert one + Usage() == one


@given(USAGE)
def test_dollars_are_exact_to_the_micro_dollar(usage: Usage) -> None:
    report = UsageReport.of(usage)
    assert round(report.cost_usd * 1_000_000) == usage.cost_microusd
    assert report.model_dump(exclude={"cost_usd"}) == usage.model_dump(exclude={"cost_microusd"})


def test_an_error_report_leaves_out_what_only_the_scheduler_needs() -> None:
    failure = Failure(code="x", message="y", retryable=True, retry_after_ms=5)
    assert ErrorReport.of(failure).model_dump() == {"code": "x", "message": "y", "retryable": True}


@pytest.mark.parametrize("name", ["", "A", "1a", "a b", "a:b", "a.b", "ä", "x" * 49, "a\n"])
def test_names_and_step_ids_are_checked(name: str) -> None:
    with pytest.raises(ValidationError, match="is not a name"):
        AgentDefinition(name=name, description="x", queue="a")
    with pytest.raises(ValidationError, match="is not a step id"):
        Step(id=StepId(name), description="x", agent="a", queue="a")


BAD_SPECS: list[dict[str, object]] = [
    {"task": ""},
    {"task": "x" * 100_001},
    {"budget_microusd": -1},
    {"timeout_ms": 0},
    {"idempotency_key": ""},
    {"version": 2},
    {"knowledge": ["A B"]},
]


@pytest.mark.parametrize("values", BAD_SPECS, ids=lambda one: next(iter(one)))
def test_a_job_that_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate({"id": JOB, "task": "x", **values})


@pytest.mark.parametrize("name", ["a b", "[x]", "", "x" * 65, "a\n"])
def test_a_source_id_can_be_cited(name: str) -> None:
    with pytest.raises(ValidationError):
        Source(id=name, title="x", path="/x")


@pytest.mark.parametrize("name", ["Sales", "1a", "a-b", "a b", '"a"', "a\n"])
def test_a_table_has_a_name_that_needs_no_quotes(name: str) -> None:
    with pytest.raises(ValidationError):
        TableRef(name=name, path="/x")


def test_a_text_has_a_limit() -> None:
    with pytest.raises(ValidationError):
        StepResult(text="x" * 200_001)
