"""Which fleet a command talks to."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import AsyncTroupe, Troupe
from orchestrator.cli.place import connect
from orchestrator.local.state import LOCK_FILE, STATE_FILE, forget_state, only_stack, running_stack, write_state
from orchestrator.place import given_redis_url, home, store_settings
from tasks.errors import BadSetting
from tasks.settings import DEFAULT_REDIS_URL

STACK, OWN = "redis://stack:1/0", "redis://own:1/0"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPE_CONFIG", raising=False)
    monkeypatch.delenv("TROUPE_REDIS_URL", raising=False)
    monkeypatch.setenv("TROUPE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def up(place: Path) -> Iterator[Path]:
    """A home whose lock is held, as `troupe up` holds it."""
    with only_stack(place):
        yield place


def chosen() -> str:
    return store_settings().redis_url.get_secret_value()


def test_without_anything_it_is_the_usual_port() -> None:
    assert chosen() == DEFAULT_REDIS_URL
    assert given_redis_url() is None


def test_a_stack_that_runs_here_is_found(up: Path) -> None:
    write_state(up, STACK, {"flower": "http://localhost:5555"})
    assert chosen() == STACK
    assert given_redis_url() is None
    assert running_stack(up) == {"pid": str(os.getpid()), "redis_url": STACK, "flower": "http://localhost:5555"}


def test_a_redis_that_was_set_goes_before_the_stack_that_runs_here(up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(up, STACK, {})
    monkeypatch.setenv("TROUPE_REDIS_URL", OWN)
    assert chosen() == given_redis_url() == OWN


@pytest.mark.parametrize("source", ["environment", "file"])
def test_also_the_usual_port_can_be_set(up: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(up, STACK, {})
    if source == "file":
        (up / "troupe.toml").write_text(f'redis_url = "{DEFAULT_REDIS_URL}"')
    else:
        monkeypatch.setenv("TROUPE_REDIS_URL", DEFAULT_REDIS_URL)
    assert chosen() == given_redis_url() == DEFAULT_REDIS_URL


def test_an_empty_variable_sets_nothing(up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(up, STACK, {})
    monkeypatch.setenv("TROUPE_REDIS_URL", "")
    assert chosen() == STACK
    assert given_redis_url() is None


@pytest.mark.parametrize("make", [Troupe, connect])
def test_a_client_without_an_address_finds_the_stack_that_runs_here(make: Callable[[], Troupe], up: Path) -> None:
    write_state(up, STACK, {})
    with make() as troupe:
        assert troupe._troupe.settings.redis_url.get_secret_value() == STACK


def test_an_address_that_is_given_goes_before_the_stack_that_runs_here(up: Path) -> None:
    write_state(up, STACK, {})
    assert AsyncTroupe(OWN).settings.redis_url.get_secret_value() == OWN
    assert AsyncTroupe().settings.redis_url.get_secret_value() == STACK


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


def test_a_stack_that_was_killed_does_not_run_whoever_has_its_process_number(place: Path) -> None:
    write_state(place, STACK, {})
    assert running_stack(place) is None
    (place / LOCK_FILE).touch()
    assert running_stack(place) is None
    with only_stack(place):
        assert running_stack(place) is None, "what the killed one left says nothing of the next"


def test_a_second_stack_is_refused_and_told_who_runs(up: Path) -> None:
    with pytest.raises(BadSetting, match="it is starting"), only_stack(up):
        pass
    write_state(up, STACK, {})
    with pytest.raises(BadSetting, match=f"process {os.getpid()}"), only_stack(up):
        pass


def test_who_looks_does_not_keep_a_stack_from_starting(place: Path) -> None:
    with only_stack(place):
        pass
    with (place / LOCK_FILE).open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, [looking, fcntl.LOCK_UN]).start()
        with only_stack(place):
            assert chosen() == DEFAULT_REDIS_URL


def test_a_stack_that_has_ended_is_forgotten(place: Path) -> None:
    write_state(place, STACK, {})
    forget_state(place)
    forget_state(place)
    assert running_stack(place) is None


@pytest.mark.parametrize(
    "state",
    ["", "{", "[]", "5", "{}", '{"redis_url": "r"}', '{"pid": 1}',
     "\udcff"],
)  # fmt: skip
def test_a_state_file_that_says_nothing_of_use_is_no_stack(up: Path, state: str) -> None:
    (up / STATE_FILE).write_bytes(state.encode("utf-8", "surrogateescape"))
    assert running_stack(up) is None
    assert chosen() == DEFAULT_REDIS_URL
