"""The forms of a trace: tree, Mermaid, DOT, and the graph and layout behind them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestrator.tracing import wording
from orchestrator.tracing.dot import dot, quoted
from orchestrator.tracing.graph import EdgeKind, ExecutionGraph, GraphEdge, GraphNode, family
from orchestrator.tracing.layout import Layout, layout
from orchestrator.tracing.mermaid import escape, mermaid
from orchestrator.tracing.tree import LEAST_WIDTH, SHOWN_CALLS, Depth, notices, tree
from tasks.models import Failure, StepKind
from tasks.results import UsageReport
from tasks.states import StepStatus, TaskStatus
from tasks.trace import SpanKind, Trace
from tasks.usage import Usage
from tests.support.traces import REFUSED, a_large_trace, a_rich_trace, called, jobbed, stepped, traced, tried

QUOTED = r'"(?:[^"\\\n]|\\.)*"'
DOT_LINE = re.compile(
    rf"  (?:rankdir=LR|node \[.*\]|edge \[.*\]|{QUOTED} \[\w+={QUOTED}(?:, \w+={QUOTED})*\]"
    rf"|{QUOTED} -> {QUOTED}(?: \[style=dashed, label=\"delegates\", fontsize=9\])?);"
)
MERMAID_LINE = re.compile(
    r'    (?:s\d+\["(?:[\w .,:;/+()$%·–-]|#\d+;|<br/>)*"\]:::[a-z]+|s\d+ (?:-->|-\.->) s\d+|classDef [a-z]+ [\w:#,]+)'
)
NASTY = 'a"]; rm -rf / <b>&amp;\\ `x` {y} |z| %%{init}%% #quot; end\nnew'


def a_nasty_trace() -> Trace:
    failure = Failure(code='x"];y', message=NASTY)
    return traced(jobbed(stepped("end", "failed", tried("end", 1, 1, 2, "failed"), agent="graph", failure=failure)))


def lines_of(trace: Trace, width: int = 100, depth: Depth = Depth.CALLS) -> list[str]:
    return tree(trace, width, depth).plain.splitlines()


def test_a_tree_has_a_line_for_each_span_with_its_figures() -> None:
    said = "\n".join(lines_of(a_rich_trace(), 140))
    assert re.search(r"✓ find  search  Do find\. +6\.6 s +1,500 +\$0\.012345  search", said)
    assert re.search(r"✗ attempt 1  failed  rate_limited: the provider is busy +900 ms", said)
    assert re.search(r"✗ sql  raised: no such table: sales +3\.0 s", said)
    assert re.search(r"✓ parked  for children +3\.6 s", said)
    assert re.search(r"· later  summary  blocked", said)


def test_calls_of_a_single_attempt_stand_under_their_step() -> None:
    trace = traced(jobbed(stepped("a", "succeeded", tried("a", 1, 1, 5))), calls=[called("a", 1, 4)])
    assert [line[:6] for line in lines_of(trace)[2:]] == ["└ ✓ a ", "  └ ✓ "]


def test_a_delegated_step_stands_under_the_attempt_that_delegated_it() -> None:
    lines = lines_of(a_rich_trace())
    at = next(number for number, line in enumerate(lines) if "lead_1" in line)
    assert lines[at].startswith("│ │ └ ✓ lead_1")
    assert "attempt 1  parked" in lines[at - 2]


@pytest.mark.parametrize("depth", Depth)
def test_a_tree_is_as_deep_as_was_asked_for(depth: Depth) -> None:
    said = "\n".join(lines_of(a_rich_trace(), depth=depth))
    assert ("attempt 2" in said, "claude" in said) == (depth is not Depth.STEPS, depth is Depth.CALLS)
    assert "lead_1" in said, "what was delegated is a step too"


def test_very_many_calls_are_elided_but_no_error_is() -> None:
    calls = [called("a", 1, 1 + at / 10, id=f"m{at}", code="x" if at == 50 else None) for at in range(100)]
    lines = lines_of(traced(jobbed(stepped("a", "succeeded", tried("a", 1, 1, 20))), calls=calls))
    assert len(lines) == 3 + SHOWN_CALLS + 1 + 2
    assert [line.strip("├│└ ") for line in lines if "more calls" in line] == ["… 30 more calls", "… 29 more calls"]
    assert sum("✗" in line for line in lines) == 1


@pytest.mark.parametrize("width", [10, 40, 80, 200])
def test_a_tree_is_never_wider_than_it_may_be(width: int) -> None:
    least = LEAST_WIDTH + 48
    assert max(map(len, lines_of(a_rich_trace(), width))) <= max(width, least)


def test_control_characters_of_foreign_texts_do_not_reach_the_terminal() -> None:
    step = stepped("a", "ready", step={"description": "red \x1b[31m\r\n and \x07 bell"})
    said = tree(traced(jobbed(step)), 150).plain
    assert "\x1b" not in said
    assert "red [31m and bell" in said


def test_a_tree_says_what_stands_still_and_what_was_taken_over() -> None:
    reused = stepped("a", "succeeded", finished_at=jobbed().created_at)
    lines = lines_of(traced(jobbed(reused, paused=True)))
    assert "in_progress  paused" in lines[1]
    assert "a  search  reused" in lines[2]


def test_what_runs_again_is_not_shown_with_the_failure_of_an_earlier_attempt() -> None:
    running = stepped("a", "running", tried("a", 1, 1, 2, "lost"), attempt=2, failure=REFUSED)
    step, first, _ = lines_of(traced(jobbed(running)))[2:]
    assert "Do a." in step
    assert "rate_limited" not in step
    assert "lost" in first


def test_no_name_that_a_model_made_up_reaches_the_terminal_as_it_is() -> None:
    calls = [
        called("a", 1, 4, name="\x1b[2J\nnowhere", kind=SpanKind.TOOL_CALL),
        called("a", 1, 5, code="\x1b]0;title\x07", name="look", kind=SpanKind.TOOL_CALL),
    ]
    lines = lines_of(traced(jobbed(stepped("a", "succeeded", tried("a", 1, 1, 6))), calls=calls))
    assert len(lines) == 5
    assert not {"\x1b", "\x07"} & set("".join(lines))


def test_a_tree_has_no_colours_where_nobody_sees_them() -> None:
    console = Console(width=120, force_terminal=False)
    with console.capture() as captured:
        console.print(tree(a_rich_trace(), 120), highlight=False)
    assert "\x1b" not in captured.get()


def test_notices_say_what_is_missing() -> None:
    trace = traced(jobbed(), cut=1200)
    assert notices(trace) == ["1,200 calls not kept any more: the oldest ones"]
    assert notices(a_rich_trace()) == ["1 model call unanswered: only the provider knows the cost"]


def test_a_graph_has_steps_with_status_time_and_cost() -> None:
    graph = ExecutionGraph.of(a_rich_trace())
    find = next(node for node in graph.nodes if node.id == "find")
    assert (find.kind, find.agent, find.status, find.cost_usd, find.tokens, find.attempts) == (
        "work", "search", "succeeded", 0.012345, 1500, 2,
    )  # fmt: skip
    edges = {(edge.source, edge.target): edge.kind for edge in graph.edges}
    assert edges["find", "later"] is EdgeKind.DEPENDS
    assert edges["lead", "lead_1"] is EdgeKind.DELEGATES
    assert {target for (source, target), kind in edges.items() if kind is EdgeKind.PLANS and source == "plan"} == {
        "find", "count", "lead",
    }  # fmt: skip


def test_steps_of_a_later_plan_come_after_that_plan() -> None:
    again = tried("replan", 1, 4, 5)
    graph = ExecutionGraph.of(
        traced(
            jobbed(
                stepped("plan", "succeeded", tried("plan", 1, 0, 1), kind=StepKind.PLAN),
                stepped("replan", "succeeded", again, kind=StepKind.PLAN, step={"depends_on": ("a",)}),
                stepped("a", "failed", tried("a", 1, 2, 3, "failed")),
                stepped("b", "ready"),
            )
        )
    )
    plans = {edge.target: edge.source for edge in graph.edges if edge.kind is EdgeKind.PLANS}
    assert plans == {"a": "plan", "b": "replan"}


def test_a_graph_as_data_has_the_keys_of_drawing_tools() -> None:
    drawn = ExecutionGraph.of(a_rich_trace()).as_dict()
    assert {"id", "label", "timestamp", "status", "duration_ms", "cost_usd"} <= set(drawn["nodes"][0])
    assert set(drawn["edges"][0]) == {"from", "to", "label"}
    later = next(node for node in drawn["nodes"] if node["id"] == "later")
    assert later["timestamp"] is None


def test_every_status_has_a_colour() -> None:
    attempts = ["running", "succeeded", "failed", "lost", "returned", "parked", "cancelled", "ok", "error"]
    known = {family(status) for status in [*StepStatus, *TaskStatus, *attempts]}
    assert known == {"good", "bad", "busy", "waits", "off", "still"}
    assert {status for status in [*StepStatus, *TaskStatus] if family(status) == "still"} == {"blocked", "pending"}


@pytest.mark.parametrize("trace", [a_rich_trace(), a_nasty_trace(), a_large_trace(40, 1), traced(jobbed())])
def test_mermaid_is_well_formed(trace: Trace) -> None:
    first, *lines = mermaid(trace).splitlines()
    assert first == "flowchart LR"
    assert [line for line in lines if MERMAID_LINE.fullmatch(line) is None] == []


def test_mermaid_says_status_time_cost_and_attempts() -> None:
    assert 's3["find<br/>search<br/>succeeded · 6.6 s · $0.012345<br/>2 attempts"]:::good' in mermaid(a_rich_trace())


@given(st.text())
def test_no_text_breaks_out_of_a_mermaid_label(text: str) -> None:
    assert re.fullmatch(r"(?:[\w .,:;/+()$%·–-]|#\d+;)*", escape(text))


@pytest.mark.parametrize("trace", [a_rich_trace(), a_nasty_trace(), a_large_trace(40, 1), traced(jobbed())])
def test_dot_is_well_formed(trace: Trace) -> None:
    first, *lines, last = dot(trace).splitlines()
    assert re.fullmatch(rf"digraph {QUOTED} {{", first)
    assert last == "}"
    assert [line for line in lines if DOT_LINE.fullmatch(line) is None] == []


def test_dot_draws_what_was_delegated_dashed() -> None:
    assert '"lead" -> "lead_1" [style=dashed, label="delegates", fontsize=9];' in dot(a_rich_trace())


@given(st.text())
def test_no_text_breaks_out_of_a_dot_string(text: str) -> None:
    assert re.fullmatch(QUOTED, quoted(text))
    assert quoted(text).isprintable()


def graph_of(*edges: tuple[str, str], nodes: str = "", kind: EdgeKind = EdgeKind.DEPENDS) -> ExecutionGraph:
    names = dict.fromkeys([*nodes, *(name for edge in edges for name in edge)])
    return ExecutionGraph(
        nodes=tuple(GraphNode(id=name, label=name, kind="work", status="ready") for name in names),
        edges=tuple(GraphEdge(source=one, target=two, kind=kind) for one, two in edges),
    )


def check_places(graph: ExecutionGraph, found: Layout) -> None:
    spots = {(place.column, place.row) for place in found.places.values()}
    assert len(spots) == len(found.places) == len(graph.nodes)
    for edge in graph.edges:
        before, after = found.places[edge.source], found.places[edge.target]
        assert before.column < after.column
        way = found.routes.get((edge.source, edge.target), ())
        assert [place.column for place in way] == list(range(before.column + 1, after.column)) or not way
        assert not spots & {(place.column, place.row) for place in way}
    assert all(0 <= place.column < found.columns for place in found.places.values())
    assert all(0 <= place.row <= found.rows - 1 for place in found.places.values())


def test_a_diamond_has_three_columns() -> None:
    graph = graph_of(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))
    found = layout(graph)
    check_places(graph, found)
    assert [found.places[name].column for name in "abcd"] == [0, 1, 1, 2]
    assert found.places["a"].row == found.places["d"].row == 0.5


def test_an_edge_goes_around_what_stands_between() -> None:
    graph = graph_of(("a", "b"), ("b", "c"), ("a", "c"))
    found = layout(graph)
    check_places(graph, found)
    assert len(found.routes["a", "c"]) == 1


def test_what_depends_on_a_step_stands_behind_what_that_delegated() -> None:
    delegated = GraphEdge(source="a", target="c", kind=EdgeKind.DELEGATES)
    graph = graph_of(("a", "b"), nodes="abc")
    found = layout(graph.model_copy(update={"edges": (*graph.edges, delegated)}))
    assert [found.places[name].column for name in "acb"] == [0, 1, 2]


def test_a_wide_layer_is_folded() -> None:
    graph = graph_of(*(("a", f"b{at}") for at in range(200)), *((f"b{at}", "c") for at in range(200)))
    found = layout(graph)
    check_places(graph, found)
    assert found.rows <= 15
    assert found.columns >= 14


def test_nothing_has_a_layout_too() -> None:
    assert layout(graph_of()) == Layout({}, 0, 0, {})


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=80))
def test_every_graph_is_laid_out_from_left_to_right(pairs: list[tuple[int, int]]) -> None:
    graph = graph_of(*((f"n{one}", f"n{one + more}") for one, more in dict.fromkeys(pairs)))
    check_places(graph, layout(graph))


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, ""), (0, "0 ms"), (999.4, "999 ms"), (999.6, "1.0 s"), (59_949, "59.9 s"), (59_951, "1 min 00 s"),
        (200_000, "3 min 20 s"), (3_599_499, "59 min 59 s"), (3_599_501, "1 h 00 min"), (7_500_000, "2 h 05 min"),
        (86_369_000, "23 h 59 min"), (86_371_000, "1 d 0 h"), (273_600_000, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_in_words(ms: float | None, text: str) -> None:
    assert wording.duration(ms) == text


@pytest.mark.parametrize(
    ("usd", "text"), [(0, ""), (0.0123, "$0.0123"), (0.000001, "$0.000001"), (2, "$2.00"), (1.5, "$1.50")]
)
def test_money_in_words(usd: float, text: str) -> None:
    assert wording.money(usd) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, ""), (9_999, "9,999"), (35_100, "35.1k"), (999_949, "999.9k"), (2_400_000, "2.4M")]
)
def test_tokens_in_words(count: int, text: str) -> None:
    assert wording.tokens(UsageReport.of(Usage(input_tokens=count))) == text
    assert (wording.tokens(None), wording.cost(None)) == ("", "")


def test_kinds_of_spans_are_drawn_in_every_form() -> None:
    assert {span.kind for span in a_rich_trace().spans} == set(SpanKind)
