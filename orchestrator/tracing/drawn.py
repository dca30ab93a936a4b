"""A graph with places for its nodes, for pages that draw it."""

from orchestrator.tracing.graph import EdgeKind, ExecutionGraph, GraphNode
from orchestrator.tracing.layout import layout
from tasks.trace import Trace
from tasks.wire import Wire


class DrawnNode(GraphNode):
    """A node, and where it is: columns from left to right, rows from top to bottom, both from 0."""

    column: int
    row: float


class DrawnEdge(Wire):
    """An arrow, and the places that it passes between its ends: `[column, row]` each."""

    source: str
    target: str
    kind: EdgeKind
    by: tuple[tuple[int, float], ...] = ()


class DrawnGraph(Wire):
    """An `ExecutionGraph` that can be drawn."""

    columns: int
    rows: int
    nodes: tuple[DrawnNode, ...]
    edges: tuple[DrawnEdge, ...]

    @classmethod
    def of(cls, trace: Trace) -> "DrawnGraph":
        """The graph of a trace's steps, laid out. O(steps × layers)."""
        graph = ExecutionGraph.of(trace)
        found = layout(graph)
        nodes = tuple(
            DrawnNode(**dict(node), column=found.places[node.id].column, row=found.places[node.id].row)
            for node in graph.nodes
        )
        edges = tuple(
            DrawnEdge(
                **dict(edge),
                by=tuple((place.column, place.row) for place in found.routes.get((edge.source, edge.target), ())),
            )
            for edge in graph.edges
        )
        return cls(columns=found.columns, rows=found.rows, nodes=nodes, edges=edges)
