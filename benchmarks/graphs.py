"""Graphs of real workflows: a generator of the shapes of the WfCommons collection, and a reader of its files.

Shapes (https://wfcommons.org): chain, fork-join, blast, montage, epigenomics, cycles. Run times are drawn, then scaled
so that a run takes some seconds; what is measured is the makespan over what no scheduler can beat.
"""

import asyncio
import gzip
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from random import Random
from typing import Any, Final, cast

from benchmarks.stage import Side, troupe_side
from orchestrator import AsyncTroupe
from orchestrator.local.redis_server import RedisServer
from orchestrator.planning.graph import dependents, layers
from tasks.models import Plan, PlannedStep

Line = dict[str, Any]
PLENTY: Final = 50
"""Threads of each of two workers, as shipped: more than any of the graphs is wide."""
SCARCE: Final = 4
"""Threads of each of two workers: then the order of steps matters too."""
BOUND_S: Final = 6.0
"""Seconds that the best schedule of each graph takes, after scaling."""
SEED: Final = 11


@dataclass(frozen=True, slots=True)
class Graph:
    """Tasks with their run times in seconds, and what each waits for."""

    name: str
    seconds: dict[str, float]
    needs: dict[str, list[str]]

    def bound_s(self, workers: int) -> float:
        """No schedule on so many workers is shorter: the critical path, or the work shared out evenly."""
        path: dict[str, float] = {}
        for layer in layers(self.needs):
            for name in layer:
                path[name] = self.seconds[name] + max((path[before] for before in self.needs[name]), default=0.0)
        return max(max(path.values()), sum(self.seconds.values()) / workers)

    def list_schedule_s(self, workers: int) -> float:
        """What a scheduler without any cost reaches that always starts what has been ready for longest."""
        left = {name: len(self.needs[name]) for name in self.needs}
        after = dependents(self.needs)
        ready = deque(name for name, count in left.items() if count == 0)
        running: list[tuple[float, str]] = []
        now = 0.0
        while ready or running:
            while ready and len(running) < workers:
                name = ready.popleft()
                heappush(running, (now + self.seconds[name], name))
            now, ended = heappop(running)
            for child in after[ended]:
                left[child] -= 1
                if left[child] == 0:
                    ready.append(child)
        return now

    def scaled(self, bound_s: float, workers: int) -> "Graph":
        """The same graph with run times that make its bound the given one."""
        factor = bound_s / self.bound_s(workers)
        return Graph(self.name, {name: one * factor for name, one in self.seconds.items()}, self.needs)

    def plan(self) -> Plan:
        """As Troupe runs it: steps that wait."""
        names = {name: f"t{at}" for at, name in enumerate(self.needs)}
        return Plan(
            steps=[
                PlannedStep(
                    id=names[name],
                    description=f"wait {self.seconds[name]:.4f}",
                    agent="search",
                    depends_on=[names[before] for before in self.needs[name]],
                )
                for name in self.needs
            ]
        )


def generated(seed: int = SEED) -> list[Graph]:
    """One graph of each shape."""
    draw = Random(seed)
    return [
        _graph("chain", draw, {f"c{at}": [f"c{at - 1}"] if at else [] for at in range(12)}),
        _graph("fork-join", draw, _fork_join(16)),
        _graph("blast", draw, _blast(40)),
        _graph("montage", draw, _montage(12)),
        _graph("epigenomics", draw, _epigenomics(9, 4)),
        _graph("cycles", draw, _cycles(9, 5)),
        _graph("random", draw, _random(60, draw)),
    ]


def read_folder(folder: Path) -> list[Graph]:
    """Graphs of WfFormat files (schema 1.4 or 1.5, `.json` or `.json.gz`).

    Raises:
        ValueError: none is there, or one is no workflow.
    """
    files = sorted(path for path in folder.iterdir() if path.name.endswith((".json", ".json.gz")))
    if not files:
        raise ValueError(f"{folder}: no .json or .json.gz file is there")
    return [read_file(path) for path in files]


def read_file(path: Path) -> Graph:
    """One graph. Tasks without a run time are given one second."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        workflow = cast("dict[str, Any]", json.loads(text))["workflow"]
        tasks: list[dict[str, Any]] = workflow["specification"]["tasks"]
        runs: list[dict[str, Any]] = workflow.get("execution", {}).get("tasks", [])
        times = {str(run["id"]): float(run.get("runtimeInSeconds") or 0.0) for run in runs}
        needs = {str(task["id"]): [str(before) for before in task.get("parents", [])] for task in tasks}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a workflow in WfFormat: {error!r}") from error
    return Graph(path.name.partition(".")[0], {name: max(times.get(name, 1.0), 1e-3) for name in needs}, needs)


def run_graphs(server: RedisServer, folder: Path, graphs: Sequence[Graph], *, quick: bool) -> Iterator[Line]:
    """Each graph alone: on a fleet with threads for all that may run at once, then on one with few."""
    bound_s, wanted = (0.5, graphs[:2]) if quick else (BOUND_S, graphs)
    for case, each in (("graph", PLENTY), ("graph_scarce", SCARCE)):
        with troupe_side(server, folder / case, workers=2, concurrency=each) as side:
            lines = [_measure(case, side, graph.scaled(bound_s, 2 * each), 2 * each) for graph in wanted]
        yield from lines
        yield {
            "case": case.replace("graph", "graphs"),
            "system": "troupe",
            "graphs": len(lines),
            "threads": 2 * each,
            "processes": side.processes,
            **_mean(lines, "makespan_over_bound"),
            **_mean(lines, "makespan_over_list_schedule"),
        }


def _measure(case: str, side: Side, graph: Graph, threads: int) -> Line:
    took = asyncio.run(_makespan(side, graph))
    return {
        "case": case,
        "system": "troupe",
        "graph": graph.name,
        "steps": len(graph.needs),
        "threads": threads,
        "processes": side.processes,
        "makespan_s": round(took, 3),
        "bound_s": round(graph.bound_s(threads), 3),
        "makespan_over_bound": round(took / graph.bound_s(threads), 3),
        "makespan_over_list_schedule": round(took / graph.list_schedule_s(threads), 3),
    }


def _mean(lines: Sequence[Line], name: str) -> Line:
    values = [float(line[name]) for line in lines]
    return {name: round(sum(values) / len(values), 3), f"worst_{name}": max(values)}


async def _makespan(side: Side, graph: Graph) -> float:
    """From the submit to the end of the last task; writing the answer is not part of the graph."""
    async with AsyncTroupe(side.url) as troupe:
        begin = time.time()
        job = await (await troupe.submit(graph.name, plan=graph.plan(), timeout=600)).wait(600)
        if job.status != "completed":
            raise RuntimeError(f"{graph.name} is {job.status}: {job.error}")
        ends = [step.finished_at for step in job.steps if step.id != "synthesis" and step.finished_at is not None]
        return max(ends).timestamp() - begin


def _graph(name: str, draw: Random, needs: dict[str, list[str]]) -> Graph:
    return Graph(name, {task: draw.lognormvariate(0.0, 0.5) for task in needs}, needs)


def _fork_join(width: int) -> dict[str, list[str]]:
    forks: dict[str, list[str]] = {f"f{at}": ["split"] for at in range(width)}
    return {"split": [], **forks, "join": list(forks)}


def _blast(width: int) -> dict[str, list[str]]:
    searches: dict[str, list[str]] = {f"b{at}": ["split"] for at in range(width)}
    return {"split": [], **searches, "cat": list(searches), "cat-err": list(searches)}


def _montage(width: int) -> dict[str, list[str]]:
    projects: dict[str, list[str]] = {f"p{at}": [] for at in range(width)}
    diffs = {f"d{at}": [f"p{at}", f"p{(at + 1) % width}"] for at in range(width)}
    backs = {f"g{at}": ["model", f"p{at}"] for at in range(width)}
    tail = {"table": list(backs), "add": ["table"], "shrink": ["add"], "view": ["shrink"]}
    return {**projects, **diffs, "fit": list(diffs), "model": ["fit"], **backs, **tail}


def _epigenomics(lanes: int, length: int) -> dict[str, list[str]]:
    needs: dict[str, list[str]] = {"split": []}
    for lane in range(lanes):
        for at in range(length):
            needs[f"l{lane}-{at}"] = [f"l{lane}-{at - 1}"] if at else ["split"]
    ends = [f"l{lane}-{length - 1}" for lane in range(lanes)]
    return {**needs, "merge": ends, "index": ["merge"], "pileup": ["index"]}


def _cycles(points: int, crops: int) -> dict[str, list[str]]:
    needs: dict[str, list[str]] = {}
    for point in range(points):
        needs[f"base{point}"] = []
        for crop in range(crops):
            needs[f"run{point}-{crop}"] = [f"base{point}"]
    return {**needs, "summary": [name for name in needs if name.startswith("run")], "plots": ["summary"]}


def _random(count: int, draw: Random) -> dict[str, list[str]]:
    names = [f"r{at}" for at in range(count)]
    return {
        name: sorted(draw.sample(names[:at], min(at, draw.choice((0, 1, 1, 2, 3))))) for at, name in enumerate(names)
    }
