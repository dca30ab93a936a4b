"""The graph of a plan: cycles, order, depth, sinks. Pure functions over `step -> what it depends on`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


def dependents(needs: Needs) -> dict[str, list[str]]:
    """For each step those that depend on it, in the order of the mapping."""
    found: dict[str, list[str]] = {step: [] for step in needs}
    for step, before in needs.items():
        for one in dict.fromkeys(before):
            found[one].append(step)
    return found


def layers(needs: Needs) -> list[list[str]]:
    """Steps in layers: each depends only on earlier layers. Steps on or behind a cycle are in none."""
    waits = {step: len(set(before)) for step, before in needs.items()}
    after = dependents(needs)
    layer = [step for step, count in waits.items() if count == 0]
    found: list[list[str]] = []
    while layer:
        found.append(layer)
        following: list[str] = []
        for step in layer:
            for child in after[step]:
                waits[child] -= 1
                if waits[child] == 0:
                    following.append(child)
        layer = following
    return found


def cycle(needs: Needs) -> list[str] | None:
    """One cycle as a path that ends where it begins; None when there is none."""
    ordered = {step for layer in layers(needs) for step in layer}
    rest = [step for step in needs if step not in ordered]
    if not rest:
        return None
    path: list[str] = []
    at: dict[str, int] = {}
    step = rest[0]
    while step not in at:  # every step of the rest has a predecessor in the rest, so this walk meets itself
        at[step] = len(path)
        path.append(step)
        step = next(one for one in needs[step] if one not in ordered)
    return [*path[at[step] :], step][::-1]


def depth(needs: Needs) -> int:
    """Steps on the longest path of a graph without cycles."""
    return len(layers(needs))


def sinks(needs: Needs) -> list[str]:
    """Steps that nothing depends on, in the order of the mapping."""
    return [step for step, after in dependents(needs).items() if not after]


def critical_path(needs: Needs, cost: Mapping[str, float]) -> float:
    """Least possible time of a graph without cycles when every step takes its cost and nothing else waits."""
    end: dict[str, float] = defaultdict(float)
    for layer in layers(needs):
        for step in layer:
            end[step] = cost[step] + max((end[before] for before in needs[step]), default=0.0)
    return max(end.values(), default=0.0)
