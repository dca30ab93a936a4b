"""The guard of the embedded server: it ends the server once nobody holds the other end of its input."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.local import guard

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def server() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for the server."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def started(server_pid: int, *folders: Path) -> tuple[subprocess.Popen[bytes], int]:
    reading, writing = os.pipe()
    words = [sys.executable, "-I", "-S", guard.__file__, str(server_pid), *map(str, folders)]
    process = subprocess.Popen(words, stdin=reading)
    os.close(reading)
    return process, writing


def test_the_server_lives_as_long_as_one_owner_does(server: subprocess.Popen[bytes]) -> None:
    process, lifeline = started(server.pid)
    with subprocess.Popen(["sleep", "60"], pass_fds=(lifeline,)) as owner:
        os.close(lifeline)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        assert server.poll() is None
        owner.kill()
    assert server.wait(10) != 0
    assert process.wait(15) == 0


def test_what_is_left_of_a_run_goes_with_the_server(server: subprocess.Popen[bytes], tmp_path: Path) -> None:
    folder = tmp_path / "run-17"
    folder.mkdir()
    (folder / "redis.log").touch()
    process, lifeline = started(server.pid, folder)
    os.close(lifeline)
    server.wait(10)
    assert process.wait(15) == 0
    assert not folder.exists()


def test_a_server_that_has_ended_already_is_no_error(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
    guard.end_process(server.pid)


def test_a_server_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "END_WITHIN_S", 0.1)
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        guard.end_process(deaf.pid)
        assert deaf.wait(10) == -9


def test_the_guard_waits_for_the_end_of_its_input(
    server: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "END_WITHIN_S", 0.1)
    empty = tmp_path / "input"
    empty.touch()
    with empty.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        guard.main(server.pid, [])
    assert server.wait(10) != 0
