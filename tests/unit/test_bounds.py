"""Few buckets of many."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tasks.bounds import BOUNDS_S, ENDS, cumulated
from tasks.histogram import LAST, bucket_of


@given(st.lists(st.integers(0, LAST)))
def test_every_duration_is_counted_once_below_the_bounds_that_it_does_not_exceed(found: list[int]) -> None:
    counts = cumulated(Counter(found))
    assert counts == [*(sum(bucket <= end for bucket in found) for end in ENDS), len(found)]


@given(st.floats(0.001, 1e8))
def test_a_duration_is_within_its_bound(duration_ms: float) -> None:
    counts = cumulated(Counter([bucket_of(duration_ms)]))
    for bound, count in zip(BOUNDS_S, counts, strict=False):
        assert count == (duration_ms / 1000 <= bound) or abs(duration_ms / 1000 / bound - 1) < 1e-3


def test_bounds_grow_and_are_a_handful() -> None:
    assert sorted(set(BOUNDS_S)) == list(BOUNDS_S)
    assert 10 < len(BOUNDS_S) < 20
    assert BOUNDS_S[0] < 0.01 < 3600 < BOUNDS_S[-1]
