"""A trace in Graphviz' DOT language."""

from typing import Final

from orchestrator.tracing import wording
from orchestrator.tracing.graph import EdgeKind, ExecutionGraph, GraphNode, family
from tasks.trace import Trace

MAX_LABEL_CHARS: Final = 60
COLOURS: Final = {
    "good": ("#d9f2e1", "#1f8a4c"),
    "bad": ("#fbdcdc", "#c62f2f"),
    "busy": ("#d8e8fb", "#2468b4"),
    "waits": ("#fdeccb", "#b7791f"),
    "off": ("#ececef", "#8a8a94"),
    "still": ("#ffffff", "#a9a9b4"),
}
"""Fill and line by family of status."""


def dot(trace: Trace) -> str:
    """A digraph of the steps with their status, time and cost; dashed edges lead to what was delegated."""
    graph = ExecutionGraph.of(trace)
    lines = [
        f"digraph {quoted(trace.job_id)} {{",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
        '  edge [color="#8a8a94", arrowsize=0.7];',
    ]
    lines += [f"  {quoted(node.id)} [{_attributes(node)}];" for node in graph.nodes]
    for edge in graph.edges:
        style = ' [style=dashed, label="delegates", fontsize=9]' if edge.kind is EdgeKind.DELEGATES else ""
        lines.append(f"  {quoted(edge.source)} -> {quoted(edge.target)}{style};")
    return "\n".join([*lines, "}"]) + "\n"


def quoted(text: str) -> str:
    r"""A DOT string. A line break is written `\n`; nothing else in it means anything to Graphviz,
    or to a terminal."""
    plain = "\n".join(map(wording.printable, text.splitlines()))
    safe = plain.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return '"' + safe.replace("\n", "\\n") + '"'


def _attributes(node: GraphNode) -> str:
    facts = [node.status, wording.duration(node.duration_ms), wording.money(node.cost_usd)]
    lines = [*node.label.split("\n"), " · ".join(fact for fact in facts if fact)]
    lines += [f"{node.attempts} attempts"] if node.attempts > 1 else []
    lines += [node.error.code] if node.error is not None else []
    label = "\n".join(line[:MAX_LABEL_CHARS] for line in lines)
    fill, line = COLOURS[family(node.status)]
    tooltip = f", tooltip={quoted(node.error.message[:200])}" if node.error is not None else ""
    return f"label={quoted(label)}, fillcolor={quoted(fill)}, color={quoted(line)}{tooltip}"
