"""Since when nobody listens on a queue."""

from orchestrator.scheduling.absence import Absences, Patience


def test_the_first_look_says_nothing() -> None:
    assert Absences(forget_s=10).look("search", living=False, now=1000.0) == 0.0


def test_an_absence_grows_from_look_to_look() -> None:
    absences = Absences(forget_s=10)
    assert [absences.look("search", living=False, now=now) for now in (1.0, 8.0, 15.0)] == [0.0, 7.0, 14.0]


def test_a_living_worker_ends_an_absence() -> None:
    absences = Absences(forget_s=10)
    absences.look("search", living=False, now=1.0)
    assert absences.look("search", living=True, now=5.0) == 0.0
    assert absences.look("search", living=False, now=9.0) == 0.0
    assert absences.look("search", living=False, now=11.0) == 2.0


def test_looks_that_lie_far_apart_are_no_absence() -> None:
    absences = Absences(forget_s=10)
    absences.look("search", living=False, now=1.0)
    assert absences.look("search", living=False, now=12.0) == 0.0
    assert absences.look("search", living=False, now=13.0) == 1.0


def test_queues_are_told_apart() -> None:
    absences = Absences(forget_s=10)
    absences.look("search", living=False, now=1.0)
    assert absences.look("summary", living=False, now=5.0) == 0.0


def test_a_plan_waits_so_long_and_no_longer() -> None:
    patience = Patience(most_s=10)
    assert [patience.waits("plan", now) for now in (100.0, 109.0, 110.0, 119.0)] == [True, True, False, False]


def test_plans_wait_each_for_itself_and_are_forgotten() -> None:
    patience = Patience(most_s=10)
    assert patience.waits("one", 100.0)
    assert patience.waits("two", 109.0)
    assert not patience.waits("one", 111.0)
    assert patience.waits("two", 118.0)
    assert patience.waits("one", 121.0), "long gone: this one has the same name"
