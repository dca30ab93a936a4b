"""Durations in buckets that grow by a tenth: constant memory, and percentiles that are off by less than 5 percent."""

import math
from collections.abc import Mapping
from typing import Final

GROWTH: Final = 1.1
"""Each bucket ends at so many times the end of the one before. A bucket is read as the middle between its ends, so a
percentile is off by at most (GROWTH - 1) / (GROWTH + 1), 4.8 percent."""
LEAST_MS: Final = 0.01
"""End of the first bucket; what is shorter counts as this."""
LAST: Final = 241
"""The last bucket, of one day; what is longer counts as this."""


def bucket_of(duration_ms: float) -> int:
    """The bucket that a duration is counted in, from 0 to LAST."""
    if duration_ms <= LEAST_MS:
        return 0
    return min(math.ceil(math.log(duration_ms / LEAST_MS, GROWTH)), LAST)


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """The duration, in ms, that `share` of all do not exceed (nearest rank); None when there are none.

    Args:
        buckets: How many durations each bucket holds.
        share: Above 0, at most 1.
    """
    rank = max(math.ceil(sum(buckets.values()) * share), 1)
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return middle_of(bucket)
    return None


def middle_of(bucket: int) -> float:
    """What a duration in this bucket is read as, in ms."""
    return LEAST_MS * GROWTH**bucket * 2 / (GROWTH + 1)
