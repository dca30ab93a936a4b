"""Cases with two sides: diamond, wide fans, a chain. Rounds alternate, so that foreign load meets both."""

import asyncio
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import bare
from benchmarks.drive import Sample, quantile, send_to_celery, send_to_troupe
from benchmarks.stage import Side, celery_side, troupe_side
from orchestrator import AsyncTroupe
from orchestrator.local.redis_server import RedisServer

Line = dict[str, Any]
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """One graph, as both sides build it."""

    case: str
    task: str
    """For Troupe's planner."""
    send: Callable[[str], Any]
    """For Celery."""
    steps: int
    """Plan and answer counted."""
    jobs: int
    """A round."""
    window: int
    """Jobs at a time."""


SHAPES: Final = (
    Shape("diamond", "fan 3", lambda job: bare.fan(job, 3), 5, 160, 16),
    Shape("diamond_alone", "fan 3", lambda job: bare.fan(job, 3), 5, 25, 1),
    Shape("chain", "line 3", lambda job: bare.line(job, 5), 5, 160, 16),
    Shape("fan_100", "fan 100", lambda job: bare.fan(job, 100), 102, 6, 2),
    Shape("fan_300", "fan 300", lambda job: bare.fan(job, 300), 302, 3, 1),
)


def run(server: RedisServer, folder: Path, wanted: set[str], *, quick: bool) -> Iterator[Line]:
    """All shapes of those wanted, on one pair of sides."""
    shapes = [shape for shape in SHAPES if shape.case in wanted]
    if not shapes:
        return
    rounds = 1 if quick else ROUNDS
    with troupe_side(server, folder) as ours, celery_side(server) as theirs:
        for shape in shapes:
            count = max(shape.jobs // 10, 2) if quick else shape.jobs
            yield from _compare(shape, ours, theirs, rounds, count)


def _compare(shape: Shape, ours: Side, theirs: Side, rounds: int, count: int) -> Iterator[Line]:
    samples: dict[str, list[Sample]] = {"troupe": [], "celery": []}
    warm = max(count // 5, 2)
    asyncio.run(_troupe(ours, shape, warm))
    send_to_celery(shape.send, [str(at) for at in range(warm)], shape.window)
    for _ in range(rounds):
        samples["troupe"].append(asyncio.run(_troupe(ours, shape, count)))
        samples["celery"].append(send_to_celery(shape.send, [str(at) for at in range(count)], shape.window))
    lines = {name: _line(shape, name, found) for name, found in samples.items()}
    lines["troupe"]["processes"], lines["celery"]["processes"] = ours.processes, theirs.processes
    ratios = [one.per_s / other.per_s for one, other in zip(samples["troupe"], samples["celery"], strict=True)]
    lines["troupe"]["times_celery"] = round(statistics.median(ratios), 2)
    lines["troupe"]["times_celery_rounds"] = [round(one, 2) for one in ratios]
    yield from lines.values()


async def _troupe(side: Side, shape: Shape, count: int) -> Sample:
    async with AsyncTroupe(side.url) as troupe:
        return await send_to_troupe(troupe, [shape.task] * count, shape.window, look=True)


def _line(shape: Shape, system: str, samples: list[Sample]) -> Line:
    per_s = statistics.median(sample.per_s for sample in samples)
    latencies = [one * 1000 for sample in samples for one in sample.latencies_s]
    line: Line = {
        "case": shape.case,
        "system": system,
        "jobs_per_s": round(per_s, 1),
        "steps_per_s": round(per_s * shape.steps, 1),
        "p50_ms": round(quantile(latencies, 0.5), 1),
        "p95_ms": round(quantile(latencies, 0.95), 1),
        "jobs": len(latencies),
        "steps": shape.steps,
        "window": shape.window,
        "workers": 2,
    }
    hand_overs = [one for sample in samples for one in sample.hand_overs_ms]
    if hand_overs:
        line |= {"hand_over_p50_ms": round(quantile(hand_overs, 0.5), 1)}
        line |= {"hand_over_p95_ms": round(quantile(hand_overs, 0.95), 1)}
    return line
