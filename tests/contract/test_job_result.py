"""JobResult as users get it: by `result()`, by `--json`, by the API. Its form is promised."""

import json
from pathlib import Path
from typing import Any, Protocol, cast

import jsonschema
import pytest

from tasks.results import ErrorReport, JobResult, Missing, StepOutput, StepReport, UsageReport

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"
SCHEMA = GOLDEN / "job_result.schema.json"
PUBLISHED = ROOT / "docs" / "job_result.schema.json"


class Validator(Protocol):
    """What is used of a validator of jsonschema."""

    def validate(self, instance: object) -> None: ...


def validator() -> Validator:
    kind = cast(Any, jsonschema).Draft202012Validator
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    kind.check_schema(schema)
    return cast(Validator, kind(schema))


def test_a_job_result_has_the_promised_fields() -> None:
    assert list(JobResult.model_fields) == [
        "job_id", "task", "status", "answer", "sources", "steps", "usage", "missing", "model", "created_at",
        "started_at", "finished_at", "error", "paused", "forked_from",
    ]  # fmt: skip


def test_a_step_has_the_promised_fields() -> None:
    promised = [
        "id", "description", "agent", "queue", "depends_on", "status", "attempts", "worker", "started_at",
        "finished_at", "usage", "result", "error",
    ]  # fmt: skip
    beside = {"kind", "join", "quorum", "optional", "partial", "parent", "waits_for", "reused_from"}
    assert [name for name in StepReport.model_fields if name not in beside] == promised
    assert set(StepReport.model_fields) == {*promised, *beside}


def test_usage_has_the_promised_fields() -> None:
    assert list(UsageReport.model_fields) == [
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "requests", "tool_calls",
        "cost_usd",
    ]  # fmt: skip


def test_the_parts_have_the_promised_fields() -> None:
    assert list(ErrorReport.model_fields) == ["code", "message", "retryable"]
    assert list(StepOutput.model_fields) == ["text", "data", "sources"]
    assert list(Missing.model_fields) == ["step", "description", "status", "code", "message"]


def test_the_schema_is_what_the_model_says() -> None:
    schema = JobResult.model_json_schema(mode="serialization")
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema


def test_the_schema_is_published() -> None:
    assert PUBLISHED.read_bytes() == SCHEMA.read_bytes()


@pytest.mark.parametrize("name", ["job_result", "job_result_failed"])
def test_results_fit_the_schema(name: str) -> None:
    validator().validate(json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(("field", "value"), [("status", "done"), ("steps", None), ("usage", {}), ("extra", 1)])
def test_what_is_no_result_does_not_fit_the_schema(field: str, value: object) -> None:
    content = json.loads((GOLDEN / "job_result.json").read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        validator().validate({**content, field: value})
