"""Which fleet a command talks to."""

import json
import os
from pathlib import Path

import pytest

from orchestrator.cli.place import connect, given_redis_url, home, store_settings
from orchestrator.local.stack import STATE_FILE, forget_state, running_stack, write_state
from tasks.settings import DEFAULT_REDIS_URL

STACK, OWN = "redis://stack:1/0", "redis://own:1/0"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPE_CONFIG", raising=False)
    monkeypatch.delenv("TROUPE_REDIS_URL", raising=False)
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path))
    return tmp_path


def chosen() -> str:
    return store_settings().redis_url.get_secret_value()


def test_without_anything_it_is_the_usual_port() -> None:
    assert chosen() == DEFAULT_REDIS_URL
    assert given_redis_url() is None


def test_a_stack_that_runs_here_is_found(place: Path) -> None:
    write_state(place, STACK, {"flower": "http://localhost:5555"})
    assert chosen() == STACK
    assert given_redis_url() is None
    assert running_stack(place) == {"pid": str(os.getpid()), "redis_url": STACK, "flower": "http://localhost:5555"}


def test_a_redis_that_was_set_goes_before_the_stack_that_runs_here(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(place, STACK, {})
    monkeypatch.setenv("TROUPE_REDIS_URL", OWN)
    assert chosen() == given_redis_url() == OWN


@pytest.mark.parametrize("source", ["environment", "file"])
def test_also_the_usual_port_can_be_set(place: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(place, STACK, {})
    if source == "file":
        (place / "troupe.toml").write_text(f'redis_url = "{DEFAULT_REDIS_URL}"')
    else:
        monkeypatch.setenv("TROUPE_REDIS_URL", DEFAULT_REDIS_URL)
    assert chosen() == given_redis_url() == DEFAULT_REDIS_URL


def test_an_empty_variable_sets_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(place, STACK, {})
    monkeypatch.setenv("TROUPE_REDIS_URL", "")
    assert chosen() == STACK
    assert given_redis_url() is None


def test_a_client_is_made_for_that_fleet(place: Path) -> None:
    write_state(place, STACK, {})
    with connect() as troupe:
        assert troupe.jobs


def test_home_is_absolute_whatever_was_set(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_HOME", "deep/er")
    assert home() == place / "deep/er"
    monkeypatch.setenv("TROUPE_HOME", "~/x")
    assert home() == Path.home() / "x"


def test_the_state_of_a_stack_is_for_its_user_alone_and_replaced_whole(place: Path) -> None:
    (place / STATE_FILE).write_text("old")
    write_state(place, STACK, {})
    write_state(place, STACK, {"again": "1"})
    assert (place / STATE_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.iterdir()] == [STATE_FILE]


def test_a_stack_that_has_ended_is_forgotten(place: Path) -> None:
    write_state(place, STACK, {})
    forget_state(place)
    forget_state(place)
    assert running_stack(place) is None


GONE = 2**22 + 1
"""More than any process number on Linux."""


@pytest.mark.parametrize(
    "state",
    ["", "{", "[]", "5", "{}", '{"pid": "x", "redis_url": "r"}', '{"redis_url": "r"}', '{"pid": 1}',
     json.dumps({"pid": GONE, "redis_url": "r"}), json.dumps({"pid": 10**30, "redis_url": "r"}), "\udcff"],
)  # fmt: skip
def test_a_state_file_that_says_nothing_of_use_is_no_stack(place: Path, state: str) -> None:
    (place / STATE_FILE).write_bytes(state.encode("utf-8", "surrogateescape"))
    assert running_stack(place) is None
    assert chosen() == DEFAULT_REDIS_URL
