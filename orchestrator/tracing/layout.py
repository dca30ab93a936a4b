"""Places for the nodes of a graph: in layers from left to right, wide layers folded, with few crossings. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Final

from orchestrator.tracing.graph import EdgeKind, ExecutionGraph

SWEEPS: Final = 4
"""Times that layers are put in order by their neighbours, there and back; more change little."""
LEAST_ROWS: Final = 8
"""A layer is folded into several columns when it has more nodes than this, and than a square of all would have."""
MOST_ROUTED: Final = 120
"""Nodes of a graph whose long edges go around the nodes between; in larger ones they pass behind them."""
Route = tuple[str, int]
"""Where the long edges of a node pass a layer: the node, and how many layers behind it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node is."""

    column: int
    row: float
    """From 0; columns that are shorter than others stand in their middle."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where all nodes are."""

    places: Mapping[str, Place]
    columns: int
    rows: int
    routes: Mapping[tuple[str, str], tuple[Place, ...]]
    """By its ends, where an edge passes between them; empty where it goes straight."""


def layout(graph: ExecutionGraph) -> Layout:
    """Place the nodes: each to the right of all that it comes after."""
    order = [node.id for node in graph.nodes]
    before = _before(graph)
    layers = _layers(order, before)
    most = max(LEAST_ROWS, ceil(sqrt(len(order))))
    routed = len(order) <= MOST_ROUTED and max(map(len, layers), default=0) <= most
    passes = _passes(graph, layers) if routed else {}
    columns = _columns(layers, before, passes, most)
    rows = max(map(len, columns), default=0)
    places = {
        one: Place(at, row + (rows - len(column)) / 2)
        for at, column in enumerate(columns)
        for row, one in enumerate(column)
    }
    nodes = {one: place for one, place in places.items() if isinstance(one, str)}
    routes = {
        (edge.source, edge.target): tuple(
            places[edge.source, step] for step in range(1, nodes[edge.target].column - nodes[edge.source].column)
        )
        for edge in graph.edges
        if routed
    }
    return Layout(nodes, len(columns), rows, routes)


def _columns(
    layers: Sequence[Sequence[str]],
    before: Mapping[str, Sequence[str]],
    passes: Mapping[Route, int],
    most: int,
) -> list[Sequence[str | Route]]:
    """Layers in order, with room where edges pass, and folded where they are wide."""
    filled: list[list[str | Route]] = [list(layer) for layer in layers]
    neighbours: dict[str | Route, list[str | Route]] = {name: list(ones) for name, ones in before.items()}
    for (name, step), layer in passes.items():
        filled[layer].append((name, step))
        neighbours[name, step] = [(name, step - 1) if step > 1 else name]
    ordered = _in_order(filled, neighbours)
    return [column for layer in ordered for column in _folded(layer, most if not passes else len(layer))]


def _passes(graph: ExecutionGraph, layers: Sequence[Sequence[str]]) -> dict[Route, int]:
    """Where edges pass layers that they neither begin nor end in: one way for all edges of a node, and the layer."""
    depth = {name: at for at, layer in enumerate(layers) for name in layer}
    return {
        (edge.source, step): depth[edge.source] + step
        for edge in graph.edges
        for step in range(1, depth[edge.target] - depth[edge.source])
    }


def _before(graph: ExecutionGraph) -> dict[str, list[str]]:
    """What each node comes after: what it depends on, who delegated it; and what those delegated whom it depends on."""
    before: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    delegated: dict[str, list[str]] = {}
    for edge in graph.edges:
        before[edge.target].append(edge.source)
        if edge.kind is EdgeKind.DELEGATES:
            delegated.setdefault(edge.source, []).append(edge.target)
    for edge in graph.edges:
        if edge.kind is EdgeKind.DEPENDS:
            before[edge.target] += delegated.get(edge.source, ())
    return before


def _layers(order: Sequence[str], before: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Each node one layer behind the last of those that it comes after."""
    waits = {name: len(before[name]) for name in order}
    after: dict[str, list[str]] = {name: [] for name in order}
    for name in order:
        for one in before[name]:
            after[one].append(name)
    depth = dict.fromkeys(order, 0)
    free = [name for name in order if not waits[name]]
    for name in free:
        for one in after[name]:
            depth[one] = max(depth[one], depth[name] + 1)
            waits[one] -= 1
            if not waits[one]:
                free.append(one)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in order:
        layers[depth[name]].append(name)
    return [layer for layer in layers if layer]


def _in_order(
    layers: list[list[str | Route]], before: Mapping[str | Route, Sequence[str | Route]]
) -> list[list[str | Route]]:
    """Each layer in the order of its neighbours' middles, from the left and from the right in turns."""
    after: dict[str | Route, list[str | Route]] = {}
    for name, ones in before.items():
        for one in ones:
            after.setdefault(one, []).append(name)
    for sweep in range(SWEEPS):
        there = sweep % 2 == 0
        neighbours = before if there else after
        place = {name: at / len(layer) for layer in layers for at, name in enumerate(layer)}
        for layer in layers if there else reversed(layers):
            middles = {name: _middle(name, neighbours, place) for name in layer}
            layer.sort(key=middles.__getitem__)
            place |= {name: at / len(layer) for at, name in enumerate(layer)}
    return layers


def _middle(
    name: str | Route, neighbours: Mapping[str | Route, Sequence[str | Route]], place: Mapping[str | Route, float]
) -> float:
    ones = neighbours.get(name, ())
    return sum(place[one] for one in ones) / len(ones) if ones else place[name]


def _folded(layer: Sequence[str | Route], most: int) -> list[Sequence[str | Route]]:
    """A layer as columns of about the same length."""
    columns = ceil(len(layer) / most)
    length = ceil(len(layer) / columns)
    return [layer[at : at + length] for at in range(0, len(layer), length)]
