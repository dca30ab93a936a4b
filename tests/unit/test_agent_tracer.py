"""Traces of agents outside a fleet, and of jobs in the same form."""

from datetime import UTC, timedelta

import pytest

from orchestrator import AgentTrace, AgentTracer, generate_execution_graph
from orchestrator.tracing.entries import TraceAction
from tasks.errors import ContractError
from tests.support.traces import JOB, a_rich_trace
from tests.unit.pages import loaded, others


@pytest.fixture
def tracer() -> AgentTracer:
    """A lead that has had a reader read."""
    made = AgentTracer()
    made.start("t", "lead", "Compare.")
    made.delegate("t", "lead", "reader", "Read it.")
    made.start("t", "reader", "Read it.")
    made.log_tool_call("t", "reader", "open_file", {"path": "a.pdf", "api_key": "sk-1234"}, {"pages": 12})
    made.complete("t", "reader", "It costs 100.", 840)
    made.complete("t", "lead", "x" * 150, 0)
    return made


def test_entries_are_those_that_were_logged_in_their_order(tracer: AgentTracer) -> None:
    entries = tracer.get_trace("t")
    assert [(one.agent_name, one.action.value, one.input, one.output) for one in entries[:5]] == [
        ("lead", "start", "Compare.", None),
        ("lead", "delegate", "reader", None),
        ("reader", "start", "Read it.", None),
        ("reader", "tool_call", "open_file", "{'pages': 12}"),
        ("reader", "complete", "", "It costs 100."),
    ]
    assert (entries[4].duration_ms, entries[5].duration_ms) == (840, 0)
    assert all(one.timestamp.utcoffset() == timedelta(0) and one.timestamp.tzinfo is UTC for one in entries)


def test_no_control_characters_reach_a_terminal(tracer: AgentTracer) -> None:
    tracer.start("t9", "lead\x1b[2J", "go\x1b]0;title\x07")
    tracer.complete("t9", "lead\x1b[2J", "\x1b[31mred", duration_ms=1)
    assert all(line.isprintable() for line in tracer.visualize_trace("t9").splitlines())


def test_secrets_in_the_input_of_a_tool_are_masked(tracer: AgentTracer) -> None:
    assert tracer.get_trace("t")[3].metadata["tool_input"] == {"path": "a.pdf", "api_key": "***"}


def test_what_is_no_json_is_logged_as_text() -> None:
    tracer = AgentTracer()
    tracer.start("t", "a", "")
    tracer.log_tool_call("t", "a", "f", {"value": object}, None)
    assert tracer.get_trace("t")[1].metadata["tool_input"] == {"value": "<class 'object'>"}


def test_the_text_is_indented_by_depth_and_not_by_place(tracer: AgentTracer) -> None:
    lines = tracer.visualize_trace("t").splitlines()
    assert lines[0] == "Trace: t"
    heads = [line for line in lines if "[" in line]
    assert [len(line) - len(line.lstrip()) for line in heads] == [2, 4, 4, 6, 4, 2]
    assert "    Duration: 840 ms" in tracer.visualize_trace("t")
    assert f"Output: {'x' * 99}…" in lines[-1]
    assert lines[-2].strip() == "Duration: 0 ms", "nothing is a duration too"


def test_agents_side_by_side_are_not_each_others_part() -> None:
    tracer = AgentTracer()
    for name in ("one", "two"):
        tracer.start("t", name, "")
    for name in ("one", "two"):
        tracer.complete("t", name, "", 1)
    assert [one.metadata["depth"] for one in tracer.get_trace("t")] == [0, 0, 0, 0]
    assert generate_execution_graph("t", tracer)["edges"] == []


def test_a_parent_can_be_named_at_the_start() -> None:
    tracer = AgentTracer()
    tracer.start("t", "lead", "")
    tracer.start("t", "helper", "", parent="lead")
    tracer.start("t", "helper", "again", parent="helper")
    assert [one.metadata["depth"] for one in tracer.get_trace("t")] == [0, 1, 2]
    with pytest.raises(ContractError, match="'nobody' is not at work"):
        tracer.start("t", "late", "", parent="nobody")


@pytest.mark.parametrize(
    ("act", "arguments"), [("log_tool_call", ("f", {"x": 1}, 1)), ("delegate", ("b",)), ("complete", ("", 1.0))]
)
def test_an_agent_that_has_not_started_can_do_nothing(act: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(ContractError, match="call start first"):
        getattr(AgentTracer(), act)("t", "a", *arguments)


def test_an_agent_that_has_completed_is_not_at_work_any_more(tracer: AgentTracer) -> None:
    with pytest.raises(ContractError, match="call start first"):
        tracer.complete("t", "lead", "", 1)


def test_a_trace_that_is_not_known_is_empty() -> None:
    tracer = AgentTracer()
    assert tracer.get_trace("t") == []
    assert tracer.visualize_trace("t") == "Trace: t"
    assert generate_execution_graph("t", tracer) == {"nodes": [], "edges": []}
    assert "t" not in tracer.traces


def test_the_graph_of_agents_has_their_runs_and_tool_calls(tracer: AgentTracer) -> None:
    tracer.start("t", "lead", "once more")
    drawn = generate_execution_graph("t", tracer)
    assert [(node["id"], node["label"], node["status"], node["duration_ms"]) for node in drawn["nodes"]] == [
        ("lead_0", "lead\nstart", "succeeded", 0),
        ("reader_2", "reader\nstart", "succeeded", 840),
        ("open_file_3", "open_file\ntool_call", "ok", None),
        ("lead_6", "lead\nstart", "running", None),
    ]
    assert drawn["edges"] == [
        {"from": "lead_0", "to": "reader_2", "label": "delegates"},
        {"from": "reader_2", "to": "open_file_3", "label": "calls"},
    ]


def test_a_job_has_the_same_form() -> None:
    trace = a_rich_trace()
    tracer = AgentTracer.of(trace)
    entries = tracer.get_trace(trace.trace_id)
    assert entries == tracer.get_trace(JOB)
    assert [one.timestamp for one in entries] == sorted(one.timestamp for one in entries)
    child = [one for one in entries if one.metadata["step"] == "lead_1"]
    of_child = [(one.agent_name, one.action, one.metadata["depth"]) for one in child]
    assert of_child == [
        ("lead", TraceAction.DELEGATE, 1),
        ("search", TraceAction.START, 1),
        ("search", TraceAction.COMPLETE, 1),
    ]
    tool = next(one for one in entries if one.input == "sql")
    assert (tool.agent_name, tool.metadata["error"], tool.metadata["depth"]) == ("analysis", "raised", 1)
    assert f"Trace: {JOB}" in tracer.visualize_trace(JOB)


def test_the_graph_of_a_job_has_its_steps() -> None:
    trace = a_rich_trace()
    drawn = generate_execution_graph(JOB, AgentTracer.of(trace))
    assert sorted(str(node["id"]) for node in drawn["nodes"]) == [
        "count", "find", "later", "lead", "lead_1", "plan", "synthesis",
    ]  # fmt: skip
    assert {"from": "lead", "to": "lead_1", "label": "delegates"} in drawn["edges"]


def test_an_entry_is_read_as_it_is_written(tracer: AgentTracer) -> None:
    for entry in tracer.get_trace("t"):
        assert AgentTrace.model_validate_json(entry.model_dump_json()) == entry


def test_the_example_of_the_page_shows_who_delegated_what(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = [one for one in others("docs/observability.md") if "AgentTracer" in one.text]
    names = loaded(example)
    assert "reader - complete" in capsys.readouterr().out
    assert [edge["label"] for edge in names["graph"]["edges"]] == ["delegates", "calls"]
