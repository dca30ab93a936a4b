"""A blocking read that is waited for at most so long, and never done twice at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import structlog

from tasks.errors import TroupeError

log = structlog.get_logger("orchestrator")

T = TypeVar("T")


class Bounded(Generic[T]):
    """Reads in a thread of its own. One that hangs is waited for by those who come later, each for its time."""

    def __init__(self, what: str, read: Callable[[], T], within_s: float) -> None:
        self._what = what
        self._read = read
        self._within_s = within_s
        self._lock = threading.Lock()
        self._running: Future[T] | None = None

    def get(self) -> T | None:
        """What is read; None when it failed, or did not come in time."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future[T]()
                # A daemon: one that hangs must not keep the process from ending.
                threading.Thread(target=self._work, args=(self._running,), name=self._what, daemon=True).start()
            running = self._running
        try:
            return running.result(self._within_s)
        except TimeoutError:
            log.warning("metrics_without", what=self._what, reason=f"no answer within {self._within_s:g} s")
        except TroupeError as error:
            log.warning("metrics_without", what=self._what, reason=str(error))
        except Exception:  # a defect here must not cost the process its other figures
            log.exception("metrics_failed", what=self._what)
        return None

    def _work(self, running: "Future[T]") -> None:
        try:
            running.set_result(self._read())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            running.set_exception(error)
