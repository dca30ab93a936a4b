"""The buckets of `tasks.histogram`, put together into the few that Prometheus gets.

Every bound is the end of a bucket, so nothing is guessed.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from tasks.histogram import GROWTH, LEAST_MS

ENDS: Final = tuple(range(72, 209, 8))
"""Buckets that end where a bound is: 18, from 10 ms to 68 min, each 2.14 times the one before."""
DIGITS: Final = 4
"""Of a bound: the last digits of a power may differ from machine to machine, and a bound is a name in Prometheus."""


def _seconds(bucket: int) -> float:
    return float(f"{LEAST_MS * GROWTH**bucket / 1000:.{DIGITS}g}")


BOUNDS_S: Final = tuple(_seconds(bucket) for bucket in ENDS)
"""Upper ends, in seconds; what is longer than the last is beyond them."""


def cumulated(buckets: Mapping[int, int]) -> list[int]:
    """How many durations do not exceed each of BOUNDS_S, and then how many there are."""
    first = sum(count for bucket, count in buckets.items() if bucket <= ENDS[0])
    found = [first]
    for low, high in pairwise(ENDS):
        found.append(found[-1] + sum(buckets.get(bucket, 0) for bucket in range(low + 1, high + 1)))
    return [*found, sum(buckets.values())]
