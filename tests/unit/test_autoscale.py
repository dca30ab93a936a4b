"""Local workers follow what their queues want: up at once, down after a quiet time, one at a time."""

from collections import Counter
from collections.abc import Iterable

import pytest

from orchestrator.local.autoscale import LOOK, QUIET, Autoscale, parse_range
from orchestrator.scaling import Scale
from tasks.errors import ContractError, StoreUnavailable

QUIET_S = QUIET.total_seconds()
LOOK_S = LOOK.total_seconds()


class Workers:
    """Workers that come and go when they are told to."""

    def __init__(self, **alive: int) -> None:
        self.count = Counter(alive)

    def alive(self, queue: str) -> int:
        return self.count[queue]

    def add(self, queue: str) -> None:
        self.count[queue] += 1

    def retire(self, queue: str) -> None:
        self.count[queue] -= 1


class Scene:
    """Two queues, a clock that is moved, and what is wanted."""

    def __init__(self) -> None:
        self.now = 100.0
        self.wanted = {"search": 1, "summary": 1}
        self.away = False
        self.workers = Workers(search=1, summary=1)
        self.scaling = Autoscale(self.workers, ("search", "summary"), self.read, clock=lambda: self.now)

    def read(self) -> Iterable[Scale]:
        if self.away:
            raise StoreUnavailable("away")
        return [scale(queue, wanted) for queue, wanted in self.wanted.items()]

    def after(self, seconds: float) -> dict[str, int]:
        """Look every second for so long; who is alive then."""
        end = self.now + seconds
        while self.now < end:
            self.now += LOOK_S
            self.scaling.look()
        return dict(self.workers.count)


def scale(queue: str, wanted: int) -> Scale:
    return Scale(
        queue=queue,
        ready=0,
        dispatched=0,
        running=0,
        oldest_ready_s=0,
        workers=1,
        slots=1,
        wanted=wanted,
        reason="because",
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_workers_are_added_at_once_as_many_as_are_wanted(scene: Scene) -> None:
    scene.wanted["search"] = 4
    assert scene.after(LOOK_S) == {"search": 4, "summary": 1}


def test_workers_go_one_at_a_time_after_a_quiet_time(scene: Scene) -> None:
    scene.wanted["search"] = 4
    scene.after(LOOK_S)
    scene.wanted["search"] = 1
    assert scene.after(QUIET_S)["search"] == 4
    assert [scene.after(LOOK_S)["search"] for _ in range(5)] == [3, 2, 1, 1, 1]


def test_a_short_lull_lets_nobody_go(scene: Scene) -> None:
    scene.wanted["search"] = 3
    scene.after(LOOK_S)
    for _ in range(4):
        scene.wanted["search"] = 1
        scene.after(QUIET_S - 2 * LOOK_S)
        scene.wanted["search"] = 3
        assert scene.after(LOOK_S)["search"] == 3


def test_one_queue_does_not_move_another(scene: Scene) -> None:
    scene.wanted |= {"summary": 3}
    scene.after(LOOK_S)
    scene.wanted |= {"summary": 1, "search": 2}
    assert scene.after(QUIET_S + 5 * LOOK_S) == {"search": 2, "summary": 1}


def test_queues_of_others_are_left_alone(scene: Scene) -> None:
    scene.wanted["elsewhere"] = 9
    assert scene.after(LOOK_S) == {"search": 1, "summary": 1}


def test_a_store_that_is_away_changes_nothing(scene: Scene) -> None:
    scene.away = True
    assert scene.after(QUIET_S * 3) == {"search": 1, "summary": 1}


def test_it_looks_no_more_often_than_it_should(scene: Scene) -> None:
    scene.after(LOOK_S)
    scene.wanted["search"] = 2
    scene.now += LOOK_S / 10
    scene.scaling.look()
    assert scene.workers.alive("search") == 1


def test_a_range_is_two_numbers() -> None:
    bounds = parse_range(" 1:4 ", slots=8)
    assert (bounds.least, bounds.most, bounds.slots) == (1, 4, 8)


@pytest.mark.parametrize("text", ["", "4", "0:4", "4:1", "1:65", "-1:2", "1:2:3", "a:b", "1: 2", "٣:٤"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ContractError, match="--autoscale"):
        parse_range(text)
