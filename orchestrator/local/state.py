"""The one `troupe up` of a home: its lock, and the file that says where it is, so that other shells find it."""

import json
import os
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

from tasks.errors import BadSetting

STATE_FILE: Final = "stack.json"
"""Under TROUPE_HOME: where the running `troupe up` is."""
LOCK_FILE: Final = "stack.lock"
"""Held as long as it runs. The lock is the system's (flock), so the death of its holder frees it."""
LOCK_WITHIN_S: Final = 0.5
"""Who only looks whether a stack runs holds the lock for a moment too."""


@contextmanager
def only_stack(home: Path) -> Generator[None]:
    """Be the only `troupe up` of this home: two Redis servers on one append-only file would spoil it.

    Raises:
        BadSetting: another one runs, or the home cannot be written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / LOCK_FILE).open("ab")
    except OSError as error:
        raise BadSetting(f"TROUPE_HOME: {home} cannot be written: {error.strerror}") from error
    with lock:
        end = time.monotonic() + LOCK_WITHIN_S
        while not _locked(lock, alone=True):
            if time.monotonic() >= end:
                other = running_stack(home)
                who = f"process {other['pid']}" if other else "it is starting"
                raise BadSetting(f"a stack runs here already ({who}); stop it, or set another TROUPE_HOME")
            time.sleep(0.01)
        forget_state(home)  # of one that was killed
        try:
            yield
        finally:
            forget_state(home)


def write_state(home: Path, url: str, others: Mapping[str, str]) -> None:
    """Say where the running `troupe up` is."""
    state = {"pid": os.getpid(), "redis_url": url, **others}
    path = home / STATE_FILE
    draft = path.with_suffix(".tmp")  # put in place whole: another shell may be reading
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(state, indent=2) + "\n")
    draft.replace(path)


def forget_state(home: Path) -> None:
    """The stack has ended."""
    (home / STATE_FILE).unlink(missing_ok=True)


def running_stack(home: Path) -> dict[str, str] | None:
    """Where the running `troupe up` of this home is; None when none runs.

    A stack runs while its lock is held: a process id alone may be another process's by now.
    """
    try:
        with (home / LOCK_FILE).open("rb") as lock:
            if _locked(lock, alone=False):
                return None
        state = cast("dict[str, Any]", json.loads((home / STATE_FILE).read_text()))
        return {name: str(state[name]) for name in ("pid", "redis_url", *state)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _locked(lock: IO[bytes], *, alone: bool) -> bool:
    """Take the lock if it is free; closing the file gives it back."""
    if sys.platform == "win32":
        return True
    import fcntl  # a producer on Windows imports this module too

    try:
        fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
