"""Golden JSON: what an earlier release wrote is still read, and written the same.

A change that fails here changes what travels between processes of a fleet: raise the version, or do without it.
"""

import json
from pathlib import Path
from typing import cast

import pytest
from pydantic import BaseModel, ValidationError

from orchestrator.scaling import Scale
from tasks import events
from tasks.events import EVENT, KNOWN, BaseEvent, OtherEvent
from tasks.messages import StepMessage
from tasks.models import AgentDefinition, Attempt, Failure, JobSpec, Plan, Source, Step, StepResult
from tasks.presence import MetricsPresence, OrchestratorPresence, WorkerPresence
from tasks.results import JobResult, JobSummary
from tasks.sessions import AgentState, SessionSummary, TaskState
from tasks.statistics import FleetStatistics
from tasks.usage import Usage

GOLDEN = Path(__file__).parent / "golden"
MODELS: dict[str, type[BaseModel]] = {
    "agent_definition": AgentDefinition,
    "agent_state": AgentState,
    "attempt": Attempt,
    "attempt_least": Attempt,
    "failure": Failure,
    "job_result": JobResult,
    "job_result_failed": JobResult,
    "job_spec": JobSpec,
    "job_spec_least": JobSpec,
    "fleet_statistics": FleetStatistics,
    "job_summary": JobSummary,
    "metrics_presence": MetricsPresence,
    "orchestrator_presence": OrchestratorPresence,
    "plan": Plan,
    "scale": Scale,
    "session_summary": SessionSummary,
    "source_paged": Source,
    "source_passage": Source,
    "source_table": Source,
    "step": Step,
    "step_least": Step,
    "step_message": StepMessage,
    "step_result": StepResult,
    "step_result_least": StepResult,
    "task_state": TaskState,
    "usage": Usage,
    "worker_presence": WorkerPresence,
}
BEFORE: dict[str, type[BaseModel]] = {
    "step_before_limits": Step,
    "agent_definition_before_limits": AgentDefinition,
    "plan_before_limits": Plan,
    "attempt_before_budgets": Attempt,
    "failure_before_budgets": Failure,
    "job_result_before_budgets": JobResult,
    "job_spec_before_budgets": JobSpec,
    "job_spec_least_before_budgets": JobSpec,
    "job_spec_before_sessions": JobSpec,
    "job_spec_least_before_sessions": JobSpec,
    "job_result_before_sessions": JobResult,
    "job_result_before_patterns": JobResult,
    "step_before_delegation": Step,
    "agent_definition_before_delegation": AgentDefinition,
    "plan_before_patterns": Plan,
    "job_spec_before_patterns": JobSpec,
    "job_spec_before_replans": JobSpec,
    "job_spec_least_before_replans": JobSpec,
    "step_before_patterns": Step,
    "agent_definition_before_versions": AgentDefinition,
    "step_before_versions": Step,
    "step_least_before_versions": Step,
    "worker_presence_before_versions": WorkerPresence,
    "step_before_approvals": Step,
    "step_least_before_approvals": Step,
    "plan_before_approvals": Plan,
    "job_spec_before_approvals": JobSpec,
    "job_result_before_approvals": JobResult,
    "job_spec_before_traces": JobSpec,
    "job_spec_least_before_traces": JobSpec,
    "job_spec_before_forks": JobSpec,
    "job_spec_least_before_forks": JobSpec,
    "job_result_before_forks": JobResult,
    "job_summary_before_tenants": JobSummary,
}
"""Forms of earlier releases, each without what came after it: read, and in the same words by default."""
EVENTS = sorted(
    str(kind.model_fields["type"].default)
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, BaseEvent) and kind not in {BaseEvent, OtherEvent}
)


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_read_and_written_as_before(name: str) -> None:
    text = golden(name)
    assert MODELS[name].model_validate_json(text).model_dump_json(indent=2) + "\n" == text


@pytest.mark.parametrize("name", BEFORE)
def test_an_earlier_form_is_read_and_stored_without_what_came_later(name: str) -> None:
    """So that releases before and after can work in one fleet, as long as nobody uses what is new."""
    text = golden(name)
    model = BEFORE[name].model_validate_json(text)

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            return set(fields) | {one for item in fields.values() for one in keys(item)}
        if isinstance(value, list):
            return {one for item in cast("list[object]", value) for one in keys(item)}
        return set[str]()

    stored = json.loads(model.model_dump_json(exclude_defaults=True))
    assert keys(stored) <= keys(json.loads(text))
    assert BEFORE[name].model_validate(stored) == model


def test_a_planners_model_is_not_asked_for_limits() -> None:
    seen = Plan.model_json_schema()["$defs"]["PlannedStep"]["properties"]
    assert list(seen) == ["id", "description", "agent", "capability", "depends_on", "join"]


@pytest.mark.parametrize("name", MODELS)
def test_what_has_a_default_may_be_left_out_as_the_store_does(name: str) -> None:
    model = MODELS[name].model_validate_json(golden(name))
    for form in (model.model_dump_json(exclude_defaults=True), model.model_dump_json(exclude_unset=True)):
        assert MODELS[name].model_validate_json(form) == model


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_read_and_written_as_before(name: str) -> None:
    text = golden(f"event_{name}")
    event = EVENT.validate_json(text)
    assert event.type == name
    assert not isinstance(event, OtherEvent)
    assert event.model_dump_json(indent=2) + "\n" == text


def test_an_event_of_a_later_release_keeps_what_it_says() -> None:
    text = golden("event_other")
    event = EVENT.validate_json(text)
    assert isinstance(event, OtherEvent)
    assert event.model_dump_json(indent=2) + "\n" == text
    content = json.loads(text)
    flat = {**content, **content.pop("data")}
    del flat["data"]
    assert EVENT.validate_python(flat) == event


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_read_as_before_it_had_a_form(name: str) -> None:
    text = golden(f"event_{name}")
    assert EVENT.validate_json(text.replace('  "v": 1,\n', "")) == EVENT.validate_json(text)


@pytest.mark.parametrize("name", EVENTS)
def test_what_a_later_release_adds_to_an_event_is_left_out(name: str) -> None:
    content = json.loads(golden(f"event_{name}"))

    def grown(value: object) -> object:
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            return {**{key: grown(item) for key, item in fields.items()}, "from_next_year": 1}
        return value

    assert EVENT.validate_python(grown(content)) == EVENT.validate_python(content)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_in_a_later_form_is_an_event_all_the_same(name: str) -> None:
    content = {**json.loads(golden(f"event_{name}")), "v": 2}
    event = EVENT.validate_python(content)
    assert isinstance(event, OtherEvent)
    assert (event.type, event.seq, event.v) == (name, content["seq"], 2)


def test_every_golden_file_is_used() -> None:
    files = {path.name.removesuffix(".json") for path in GOLDEN.iterdir()}
    assert files == {
        *MODELS,
        *BEFORE,
        *(f"event_{name}" for name in [*EVENTS, "other"]),
        "job_result.schema",
        "trace.schema",
    }


def test_every_event_can_be_told_apart() -> None:
    choices = KNOWN.json_schema()["discriminator"]["mapping"]
    assert sorted(choices) == EVENTS


@pytest.mark.parametrize("name", MODELS)
def test_a_field_of_a_newer_release_is_refused(name: str) -> None:
    content = {**json.loads(golden(name)), "from_next_year": 1}
    with pytest.raises(ValidationError, match="from_next_year"):
        MODELS[name].model_validate(content)


@pytest.mark.parametrize(("name", "field"), [("job_spec", "version"), ("step_message", "v")])
def test_a_newer_version_is_refused(name: str, field: str) -> None:
    content = json.loads(golden(name))
    assert content[field] == 1
    with pytest.raises(ValidationError, match=field):
        MODELS[name].model_validate({**content, field: 2})
