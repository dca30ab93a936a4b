"""A process that is told to end by signals learns of it, whatever they interrupt."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from orchestrator.local.ending import TOGETHER_S, Ending


@pytest.fixture
def ending() -> Iterator[Ending]:
    before = signal.getsignal(signal.SIGUSR1)
    with Ending([signal.SIGUSR1]) as found:
        yield found
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    signal.signal(signal.SIGUSR1, before)


def test_nothing_was_said_at_first(ending: Ending) -> None:
    began = time.monotonic()
    assert not ending.wait(0.02)
    assert time.monotonic() - began >= 0.02
    assert (ending.is_set(), ending.at_once()) == (False, False)


def test_whoever_waits_is_woken_and_waits_no_more(ending: Ending) -> None:
    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    assert ending.wait(30)
    assert ending.wait(30)
    assert not ending.at_once()


def test_the_second_time_means_at_once_unless_it_comes_with_the_first(ending: Ending) -> None:
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert (ending.is_set(), ending.at_once()) == (True, False)
    time.sleep(TOGETHER_S)
    assert not ending.at_once()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert ending.at_once()


def test_signals_at_any_moment_hold_nobody_up(ending: Ending) -> None:
    def send() -> None:
        for _ in range(1_000):
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0)  # the other thread's turn

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        ending.wait(0.0001)
    sender.join()
    assert ending.is_set()
