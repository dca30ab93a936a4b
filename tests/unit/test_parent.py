"""A process of a local stack ends with its parent."""

import os
import signal
import threading

import pytest

from tasks.parent import PARENT_VARIABLE, end_with_parent


class Killed(threading.Event):
    """Takes the place of os.kill."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int]] = []

    def __call__(self, pid: int, number: int) -> None:
        self.calls.append((pid, number))
        self.set()


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Killed:
    event = Killed()
    monkeypatch.setattr("tasks.parent.os.kill", event)
    return event


def test_a_child_whose_parent_is_gone_ends_as_if_by_sigterm(killed: Killed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, str(os.getppid() + 1))
    end_with_parent()
    assert killed.wait(10)
    assert killed.calls == [(os.getpid(), signal.SIGTERM)]


def test_a_child_lives_as_long_as_its_parent(killed: Killed, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []

    def parent() -> int:
        looks.append(len(looks))
        return 7 if len(looks) < 4 else 1

    monkeypatch.setattr("tasks.parent.os.getppid", parent)

    def at_once(_seconds: float) -> None: ...

    monkeypatch.setattr("tasks.parent.time.sleep", at_once)
    monkeypatch.setenv(PARENT_VARIABLE, "7")
    end_with_parent()
    assert killed.wait(10)
    assert len(looks) == 4


def test_a_process_of_no_stack_watches_nobody(killed: Killed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PARENT_VARIABLE, raising=False)
    end_with_parent()
    assert "parent-watch" not in {thread.name for thread in threading.enumerate()}
    assert killed.calls == []
