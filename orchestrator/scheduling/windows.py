"""How many steps may be in flight for each queue: what its living workers can do, or what is set. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tasks.presence import WorkerPresence

AHEAD: Final = 1.25
"""Steps in flight for each thread: a quarter as many again wait in the queue, so that no thread waits for
a dispatch; more would be waited for by jobs that come after them."""
LEAST: Final = 8
"""Smallest window: a worker that is just starting finds something to do."""


def windows(workers: Sequence[WorkerPresence], limits: str, partitions: int) -> dict[str, int]:
    """The window of each queue, for one partition.

    Args:
        limits: `queue=steps` pairs, separated by commas; they win over what the workers could do.
        partitions: A limit holds for the fleet; each partition gets its share of it, at least one.
    """
    threads: Counter[str] = Counter()
    for worker in workers:
        for queue in worker.queues:
            threads[queue] += worker.concurrency
    found = {queue: max(math.ceil(count * AHEAD), LEAST) for queue, count in threads.items()}
    for queue, steps in read_limits(limits).items():
        found[queue] = min(steps, found.get(queue, steps))
    return {queue: max(math.ceil(window / partitions), 1) for queue, window in sorted(found.items())}


def read_limits(limits: str) -> dict[str, int]:
    """Steps in flight for each queue that is named: `queue=steps` pairs, separated by commas."""
    pairs = (pair.partition("=") for pair in limits.split(",") if pair)
    return {queue: int(steps) for queue, _, steps in pairs}
