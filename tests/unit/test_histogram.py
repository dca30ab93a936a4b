"""Durations in buckets: percentiles that are nearly the exact ones, whatever the durations."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.histogram import GROWTH, LAST, LEAST_MS, bucket_of, percentile

ERROR = 0.05
DAY_MS = 86_400_000.0

durations = st.floats(min_value=LEAST_MS, max_value=DAY_MS)


def exact(values: list[float], share: float) -> float:
    return sorted(values)[max(math.ceil(len(values) * share), 1) - 1]


@given(st.lists(durations, min_size=1, max_size=300), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_five_percent_of_the_exact_one(values: list[float], share: float) -> None:
    found = percentile(Counter(map(bucket_of, values)), share)
    assert found == pytest.approx(exact(values, share), rel=ERROR)


def test_the_promised_error_is_what_the_growth_gives() -> None:
    assert (GROWTH - 1) / (GROWTH + 1) < ERROR


@given(durations, durations)
def test_a_longer_duration_is_never_in_an_earlier_bucket(one: float, other: float) -> None:
    short, long = sorted((one, other))
    assert 0 <= bucket_of(short) <= bucket_of(long) <= LAST


def test_what_is_shorter_or_longer_than_all_buckets_is_counted_in_the_outer_ones() -> None:
    assert [bucket_of(ms) for ms in (0.0, -1.0, LEAST_MS, 1e300)] == [0, 0, 0, LAST]
    assert bucket_of(DAY_MS) == LAST


def test_of_no_durations_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
