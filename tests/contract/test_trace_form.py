"""Trace as users get it: by `trace()`, by `troupe trace --format json`, by the page. Its form is promised."""

import json
from pathlib import Path
from typing import Any, cast

import jsonschema

from tasks.trace import Span, Trace
from tests.support.traces import a_rich_trace

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(__file__).parent / "golden" / "trace.schema.json"


def test_a_trace_has_the_promised_fields() -> None:
    assert list(Trace.model_fields) == [
        "job_id", "trace_id", "task", "status", "made_at", "spans", "cut", "unanswered",
    ]  # fmt: skip


def test_a_span_has_the_promised_fields() -> None:
    assert list(Span.model_fields) == [
        "id", "parent", "kind", "name", "step", "attempt", "agent", "queue", "worker", "status", "started_at",
        "ended_at", "duration_ms", "input", "output", "usage", "error", "links", "attributes",
    ]  # fmt: skip


def test_the_schema_is_what_the_model_says_and_is_published() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == Trace.model_json_schema(mode="serialization")
    assert (ROOT / "docs" / "trace.schema.json").read_bytes() == SCHEMA.read_bytes()


def test_a_trace_fits_the_schema() -> None:
    kind = cast(Any, jsonschema).Draft202012Validator
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    kind.check_schema(schema)
    kind(schema).validate(json.loads(a_rich_trace().model_dump_json()))
