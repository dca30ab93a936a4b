"""A trace as a Mermaid flow chart, which Markdown pages show."""

import re
from typing import Final

from orchestrator.tracing import wording
from orchestrator.tracing.graph import EdgeKind, ExecutionGraph, GraphNode, family
from tasks.trace import Trace

MAX_LABEL_CHARS: Final = 60
COLOURS: Final = {
    "good": "fill:#d9f2e1,stroke:#1f8a4c,color:#0b3d21",
    "bad": "fill:#fbdcdc,stroke:#c62f2f,color:#5c0f0f",
    "busy": "fill:#d8e8fb,stroke:#2468b4,color:#0c2f57",
    "waits": "fill:#fdeccb,stroke:#b7791f,color:#553503",
    "off": "fill:#ececef,stroke:#8a8a94,color:#4a4a52",
    "still": "fill:#ffffff,stroke:#a9a9b4,color:#4a4a52",
}
_PLAIN: Final = re.compile(r"[^\w .,:;/+()$%·–-]")


def mermaid(trace: Trace) -> str:
    """A flow chart of the steps with their status, time and cost; dotted arrows lead to what was delegated."""
    graph = ExecutionGraph.of(trace)
    names = {
        node.id: f"s{at}" for at, node in enumerate(graph.nodes)
    }  # `end` and `graph` are steps, and Mermaid's words
    lines = ["flowchart LR"]
    lines += [f'    {names[node.id]}["{_label(node)}"]:::{family(node.status)}' for node in graph.nodes]
    for edge in graph.edges:
        arrow = "-.->" if edge.kind is EdgeKind.DELEGATES else "-->"
        lines.append(f"    {names[edge.source]} {arrow} {names[edge.target]}")
    used = {family(node.status) for node in graph.nodes}
    lines += [f"    classDef {name} {colour}" for name, colour in COLOURS.items() if name in used]
    return "\n".join(lines) + "\n"


def _label(node: GraphNode) -> str:
    facts = [node.status, wording.duration(node.duration_ms), wording.money(node.cost_usd)]
    lines = [*node.label.split("\n"), " · ".join(fact for fact in facts if fact)]
    lines += [f"{node.attempts} attempts"] if node.attempts > 1 else []
    lines += [node.error.code] if node.error is not None else []
    return "<br/>".join(escape(line[:MAX_LABEL_CHARS]) for line in lines)


def escape(text: str) -> str:
    """Text for a quoted label: whatever could mean something there as Mermaid's entity, `#35;`."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", " ".join(text.split()))
