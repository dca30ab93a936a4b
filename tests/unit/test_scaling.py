"""How many workers a queue wants."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.scaling import USUAL_SLOTS, QueueLoad, ScaleBounds, loads, scale
from tasks.errors import ContractError
from tasks.figures import Durations, QueueFigures
from tests.support.builders import a_worker
from tests.support.figures import durations

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COUNTS = st.integers(0, 5000)
SECONDS = st.floats(0, 10_000)
MOST = ScaleBounds(most=100_000)
LOADS = st.builds(
    QueueLoad,
    queue=st.just("search"),
    ready=COUNTS,
    dispatched=COUNTS,
    running=COUNTS,
    oldest_s=SECONDS,
    workers=st.integers(0, 50),
    slots=COUNTS,
    attempt_s=st.none() | SECONDS,
    limit=st.none() | COUNTS,
)
ONE_SLOT = ScaleBounds(slots=1, within=timedelta(seconds=10))


def wanted(bounds: ScaleBounds = ONE_SLOT, **fields: float) -> int:
    return scale(QueueLoad("search", **fields), bounds).wanted  # pyright: ignore[reportArgumentType]


@given(LOADS, st.sampled_from(["ready", "dispatched", "running", "oldest_s"]), st.integers(1, 1000))
def test_more_work_or_a_longer_wait_never_wants_fewer_workers(load: QueueLoad, what: str, more: int) -> None:
    heavier = {name: getattr(load, name) for name in QueueLoad.__slots__} | {what: getattr(load, what) + more}
    assert scale(QueueLoad(**heavier), MOST).wanted >= scale(load, MOST).wanted


@given(LOADS, st.integers(0, 5), st.integers(0, 5))
def test_what_is_wanted_keeps_to_its_bounds_and_is_never_nothing_while_there_are_steps(
    load: QueueLoad, least: int, more: int
) -> None:
    bounds = ScaleBounds(least=least, most=max(least + more, 1))
    found = scale(load, bounds)
    assert bounds.least <= found.wanted <= bounds.most
    assert found.wanted >= 1 or not load.ready + load.dispatched + load.running


@given(LOADS, LOADS)
def test_the_same_load_always_wants_the_same(load: QueueLoad, other: QueueLoad) -> None:
    first = scale(load, MOST)
    scale(other, MOST)
    assert scale(load, MOST) == first


def test_every_running_attempt_needs_a_slot() -> None:
    assert wanted(running=7, attempt_s=0.1) == 7


def test_a_slot_begins_several_short_steps_in_the_time_that_they_may_wait() -> None:
    assert wanted(ready=100, attempt_s=1.0) == 10
    assert wanted(ready=100, attempt_s=60.0) == wanted(ready=100) == 100


def test_what_waits_too_long_already_counts_for_more() -> None:
    assert wanted(ready=100, attempt_s=1.0, oldest_s=10.0) == 10
    assert wanted(ready=100, attempt_s=1.0, oldest_s=20.0) == 20
    assert wanted(ready=100, attempt_s=1.0, oldest_s=1e6) == 100


def test_workers_have_the_slots_of_the_living_ones_or_the_usual_number() -> None:
    assert scale(QueueLoad("search", ready=120, workers=2, slots=80), ScaleBounds()).wanted == 3
    nobody = scale(QueueLoad("search", ready=120), ScaleBounds())
    assert (nobody.slots, nobody.wanted) == (USUAL_SLOTS, 3)


def test_a_limit_of_the_queue_is_not_exceeded_but_by_what_runs() -> None:
    assert wanted(ready=100, running=3, limit=20) == 20
    assert wanted(ready=100, running=30, limit=20) == 30


def test_reasons_say_what_the_number_comes_from() -> None:
    def reason(bounds: ScaleBounds = ONE_SLOT, **fields: float) -> str:
        return scale(QueueLoad("search", **fields), bounds).reason  # pyright: ignore[reportArgumentType]

    assert reason() == "nothing to do"
    assert reason(ScaleBounds(least=2)) == "nothing to do: at least 2"
    assert reason(ready=4, running=1) == "1 running, 4 waiting; each of these needs a slot"
    assert "a slot can begin 10 of these in time" in reason(ready=4, attempt_s=1.0)
    assert "no more than 2 are let in" in reason(ready=4, limit=2)
    assert "4 workers would do, 3 are the most" in reason(ScaleBounds(slots=1, most=3), ready=4)
    assert "1 workers would do, 3 are the least" in reason(ScaleBounds(slots=9, least=3), ready=4)


@pytest.mark.parametrize(
    "bounds", [{"least": -1}, {"least": 5, "most": 4}, {"most": 0}, {"slots": 0}, {"within": timedelta(0)}]
)
def test_bounds_that_cannot_be_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ContractError):
        ScaleBounds(**bounds)  # pyright: ignore[reportArgumentType]


def test_loads_are_of_all_queues_with_steps_or_workers() -> None:
    since = NOW - timedelta(seconds=30)
    queues = [
        QueueFigures(queue="slow", ready=2, dispatched=1, running=4, oldest_ready=NOW, oldest_dispatched=since),
        QueueFigures(queue="gone", ready=1, dispatched=0, running=0, oldest_ready=None, oldest_dispatched=None),
    ]
    workers = [
        a_worker("w1", ["search", "slow"]).model_copy(update={"concurrency": 8}),
        a_worker("w2", ["search"]).model_copy(update={"concurrency": 4}),
    ]
    running = {
        ("search", "succeeded"): durations(1000, 1000, 1000),
        ("search", "failed"): durations(5000),
        ("gone", "lost"): Durations(),
    }
    found = loads(queues, workers, running, NOW, {"slow": 9})
    assert [(one.queue, one.workers, one.slots, one.waiting, one.running) for one in found] == [
        ("gone", 0, 0, 1, 0),
        ("search", 2, 12, 0, 0),
        ("slow", 1, 8, 3, 4),
    ]
    assert [(one.oldest_s, one.attempt_s, one.limit) for one in found] == [
        (0, None, None),
        (0, pytest.approx(2.0, rel=0.05), None),
        (30, None, 9),
    ]
