"""Runs jobs in a peer's own process and prints one line. Imports nothing but the standard library."""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

STEPS = 5
WARM = 3


def main(version: str, one: Callable[[str], object]) -> None:
    """Call `one(name)` for each job: arguments are the number of jobs, and how many at a time."""
    jobs, window = int(sys.argv[1]), int(sys.argv[2])
    for at in range(WARM):
        one(f"warm-{at}")
    latencies: list[float] = []

    def timed(at: int) -> None:
        begin = time.perf_counter()
        one(f"job-{at}")
        latencies.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    with ThreadPoolExecutor(window) as threads:
        list(threads.map(timed, range(jobs)))
    seconds = time.perf_counter() - begin
    ordered = sorted(latencies)
    line = {
        "version": version,
        "jobs_per_s": round(jobs / seconds, 1),
        "steps_per_s": round(jobs * STEPS / seconds, 1),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 1),
        "p95_ms": round(ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)] * 1000, 1),
        "jobs": jobs,
        "window": window,
    }
    print(json.dumps(line), flush=True)
