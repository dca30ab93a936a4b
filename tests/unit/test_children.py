"""Child processes of a stack: brought back when they die, given up when they do not start."""

import subprocess
import threading
from pathlib import Path
from typing import cast

import pytest

from orchestrator.local import children as module
from orchestrator.local.children import MAX_QUICK_DEATHS, QUICK_DEATH_S, Child, Children
from tests.support.waiting import wait_until_sync

# pyright: reportPrivateUsage=false


class FakeProcess:
    """A process that ends when it is told to, or does not."""

    def __init__(self, *, deaf: bool = False) -> None:
        self.code: int | None = None
        self.deaf = deaf
        self.told: list[str] = []

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.told.append("terminate")
        if not self.deaf:
            self.code = -15

    def kill(self) -> None:
        self.told.append("kill")
        self.code = -9

    def wait(self, timeout: float | None = None) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired("troupe", timeout or 0)
        return self.code


class FakeChildren(Children):
    """Starts fake processes; time stands still until it is moved."""

    def __init__(self, log_folder: Path) -> None:
        super().__init__({}, log_folder)
        self.now = 1000.0
        self.deaf = False
        self.spawned: list[FakeProcess] = []
        self.back = threading.Event()
        """Set when one was brought back."""

    def _spawn(self, child: Child) -> None:
        process = FakeProcess(deaf=self.deaf)
        self.spawned.append(process)
        child.process = cast("subprocess.Popen[bytes]", process)
        child.started = self.now
        if len(self.spawned) > 1:
            self.back.set()

    def die(self, child: Child, after: float, code: int = 1) -> None:
        """Let it die, and be looked at."""
        assert child.process is not None
        cast(FakeProcess, child.process).code = code
        self.now += after
        self._bring_back(child)


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeChildren:
    made = FakeChildren(tmp_path / "logs")
    monkeypatch.setattr(module.time, "monotonic", lambda: made.now)
    return made


def test_a_child_that_dies_is_brought_back(children: FakeChildren) -> None:
    child = children.start("worker", ["worker", "search"])
    children.die(child, QUICK_DEATH_S + 1)
    assert len(children.spawned) == 2
    assert child.process is cast("subprocess.Popen[bytes]", children.spawned[1])
    assert children.failed is None


def test_a_child_that_does_not_start_is_given_up_with_its_last_words(children: FakeChildren) -> None:
    child = children.start("worker", ["worker"])
    child.log.write_text("first\n\nno such agent\n")
    for _ in range(MAX_QUICK_DEATHS):
        children.die(child, 0.1)
    assert len(children.spawned) == MAX_QUICK_DEATHS
    assert children.failed == "worker does not start: first | no such agent"


def test_a_child_that_was_given_up_stays_given_up(children: FakeChildren) -> None:
    child = children.start("worker", ["worker"])
    for _ in range(MAX_QUICK_DEATHS):
        children.die(child, 0.1)
    children.die(child, QUICK_DEATH_S * 10)
    assert len(children.spawned) == MAX_QUICK_DEATHS


def test_a_long_life_makes_up_for_quick_deaths(children: FakeChildren) -> None:
    child = children.start("worker", ["worker"])
    for after in (0.1, 0.1, QUICK_DEATH_S + 1, 0.1, 0.1):
        children.die(child, after)
    assert children.failed is None


def test_a_child_that_somebody_kills_again_and_again_is_brought_back_each_time(children: FakeChildren) -> None:
    child = children.start("worker", ["worker"])
    for _ in range(MAX_QUICK_DEATHS * 2):
        children.die(child, 0.1, code=-9)
    assert len(children.spawned) == MAX_QUICK_DEATHS * 2 + 1
    assert children.failed is None


def test_the_first_that_is_given_up_is_named(children: FakeChildren) -> None:
    for name in ("one", "two"):
        child = children.start(name, [])
        for _ in range(MAX_QUICK_DEATHS):
            children.die(child, 0.1)
    assert children.failed is not None
    assert children.failed.startswith("one does not start")


def test_last_words_are_said_also_when_there_are_none(tmp_path: Path) -> None:
    child = Child("w", (), tmp_path / "w.log")
    assert child.last_words() == "it left no log"
    child.log.write_bytes(b"\n \n")
    assert child.last_words() == "it left an empty log"
    child.log.write_bytes(b"\xff" + b"x\n" * 100)
    assert child.last_words() == "x | x | x | x | x"


def test_all_are_asked_to_end_before_any_is_waited_for(children: FakeChildren) -> None:
    for name in ("one", "two"):
        children.start(name, [])
    children.stop(5)
    children.stop(5)
    assert [process.told for process in children.spawned] == [["terminate"], ["terminate"]]


def test_a_child_that_does_not_end_is_killed(children: FakeChildren) -> None:
    children.deaf = True
    children.start("one", [])
    children.stop(0)
    assert children.spawned[0].told == ["terminate", "kill"]


def test_whoever_is_in_a_hurry_waits_for_no_child(children: FakeChildren) -> None:
    children.deaf = True
    children.start("one", [])
    asked = iter([False, False, True])
    children.stop(30, lambda: next(asked))  # time stands still: it would wait for ever
    assert children.spawned[0].told == ["terminate", "kill"]


def test_killing_asks_nobody(children: FakeChildren) -> None:
    first = children.start("one", [])
    children.start("two", [])
    assert first.process is not None
    cast(FakeProcess, first.process).code = 0
    children.kill()
    assert [process.told for process in children.spawned] == [[], ["kill"]]


def adopted(children: FakeChildren) -> tuple[Child, list[FakeProcess]]:
    started = [FakeProcess()]

    def again() -> "subprocess.Popen[bytes]":
        started.append(FakeProcess())
        return cast("subprocess.Popen[bytes]", started[-1])

    process = cast("subprocess.Popen[bytes]", started[0])
    children.adopt("Redis", process, children.log_folder / "redis.log", again)
    return children.children[-1], started


def test_an_adopted_process_that_dies_is_brought_back_by_who_knows_how(children: FakeChildren) -> None:
    child, started = adopted(children)
    children.die(child, QUICK_DEATH_S + 1)
    assert child.process is cast("subprocess.Popen[bytes]", started[1])
    assert (children.spawned, children.failed) == ([], None)


def test_an_adopted_process_that_cannot_be_kept_alive_is_given_up(children: FakeChildren) -> None:
    child, started = adopted(children)
    children.log_folder.mkdir()
    child.log.write_text("old\n")
    for _ in range(MAX_QUICK_DEATHS):
        children.die(child, 0.1)
        if len(started) == MAX_QUICK_DEATHS:
            child.log.write_text("old\nBad file format\n")
    assert len(started) == MAX_QUICK_DEATHS
    assert children.failed == "Redis does not start: Bad file format"


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_adopted_process_is_not_ended_with_the_others(children: FakeChildren, how: str) -> None:
    _, started = adopted(children)
    children.start("one", [])
    children.stop(1) if how == "stop" else children.kill()
    assert started[0].told == []
    assert children.spawned[0].told != []


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_nothing_is_brought_back_after_the_end(
    children: FakeChildren, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_S", 0.001)
    child = children.start("one", [])
    children.watch()
    assert child.process is not None
    cast(FakeProcess, child.process).code = 1
    assert children.back.wait(10)
    children.stop(1) if how == "stop" else children.kill()
    assert children._watcher is not None
    assert not children._watcher.is_alive()
    assert all(process.code is not None for process in children.spawned)


def test_one_that_was_retired_is_told_to_end_and_not_brought_back(tmp_path: Path) -> None:
    children = FakeChildren(tmp_path)
    first, second = children.start("worker-1", ["worker"]), children.start("worker-2", ["worker"])
    children.retire(first)
    assert children.spawned[0].told == ["terminate"]
    children.watch()
    wait_until_sync(lambda: children.children == [second])
    children.stop(1)
    assert len(children.spawned) == 2


def test_one_that_is_leaving_and_deaf_is_ended_with_the_others(tmp_path: Path) -> None:
    children = FakeChildren(tmp_path)
    children.deaf = True
    children.retire(children.start("worker-1", ["worker"]))
    children.kill()
    assert children.spawned[0].told == ["terminate", "kill"]
