"""The event loop of a worker process."""

import asyncio
import threading

import pytest

from workers.loop import EventLoopThread


async def name_of_thread() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise ValueError("no")


def test_coroutines_run_in_the_loops_thread() -> None:
    loop = EventLoopThread()
    loop.start()
    assert loop.run(name_of_thread()) == "event-loop"
    loop.stop()


def test_many_threads_may_hand_work_over() -> None:
    loop = EventLoopThread()
    loop.start()
    futures = [loop.submit(asyncio.sleep(0, at)) for at in range(100)]
    assert [one.result() for one in futures] == list(range(100))
    loop.stop()


def test_errors_come_back_to_the_waiting_thread() -> None:
    loop = EventLoopThread()
    loop.start()
    with pytest.raises(ValueError, match="no"):
        loop.run(fail())
    loop.stop()


def test_a_loop_that_was_not_started_is_named() -> None:
    with pytest.raises(RuntimeError, match="is not running"):
        _ = EventLoopThread().loop


def test_stopping_ends_the_thread_and_a_second_stop_does_nothing() -> None:
    loop = EventLoopThread()
    loop.stop()
    loop.start()
    thread = loop.run(asyncio.to_thread(threading.main_thread))
    assert thread.is_alive()
    loop.stop()
    loop.stop()
    assert loop.loop.is_closed()
    assert "event-loop" not in {one.name for one in threading.enumerate()}
