"""Child processes of a stack: started, restarted when they die, ended together."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tasks.parent import PARENT_VARIABLE

WATCH_S: Final = 0.2
ENDED_S: Final = 0.02
QUICK_DEATH_S: Final = 5.0
"""A child that ends sooner than this after its start was not able to start, unless somebody killed it."""
MAX_QUICK_DEATHS: Final = 3
TAIL_LINES: Final = 5


@dataclass(slots=True)
class Child:
    """One process to keep alive."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    quick_deaths: int = 0
    log_begin: int = 0
    """Size of the log at its last start."""
    again: Callable[[], subprocess.Popen[bytes]] | None = None
    """How one that was adopted is started again."""
    leaving: bool = False
    """Whether it was told to end, and is not brought back."""

    def last_words(self) -> str:
        """The end of what it has logged since its last start, on one line."""
        try:
            lines = self.log.read_bytes()[self.log_begin :].decode(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " | ".join(line.strip() for line in lines[-TAIL_LINES:] if line.strip()) or "it left an empty log"


@dataclass(slots=True)
class Children:
    """The children of this process."""

    environment: Mapping[str, str]
    log_folder: Path
    lifeline: int | None = None
    """File descriptor that every child holds open until it ends."""
    children: list[Child] = field(default_factory=list[Child])
    failed: str | None = None
    """Why a child is given up, once one is."""
    _watcher: threading.Thread | None = None
    _ending: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Start `troupe ARGUMENTS…` as a process of its own; its output goes to a log file."""
        self.log_folder.mkdir(parents=True, exist_ok=True)
        child = Child(name, tuple(arguments), self.log_folder / f"{name}.log")
        self._spawn(child)
        self.children.append(child)
        return child

    def adopt(
        self, name: str, process: subprocess.Popen[bytes], log: Path, again: Callable[[], subprocess.Popen[bytes]]
    ) -> None:
        """Keep a process alive that another has started and will end: `stop` and `kill` leave it running."""
        self.children.append(Child(name, (), log, process, time.monotonic(), again=again))

    def retire(self, child: Child) -> None:
        """Let one end in order: it finishes what it does, and is not brought back. `stop` and `kill` end it all the
        same."""
        child.leaving = True
        if child.process is not None and child.process.poll() is None:
            child.process.terminate()

    def watch(self) -> None:
        """Restart children that die, from a thread of its own, until `stop`."""
        self._watcher = threading.Thread(target=self._watch, name="children", daemon=True)
        self._watcher.start()

    def stop(self, within_s: float, at_once: Callable[[], bool] = lambda: False) -> None:
        """End all: SIGTERM, and SIGKILL for those that are still there after `within_s`. A second call does nothing.

        Args:
            at_once: Asked again and again whether to wait no longer.
        """
        self._ending.set()
        if self._watcher is not None:
            self._watcher.join()
        running = self._own()
        for process in running:
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + within_s
        while any(process.poll() is None for process in running) and time.monotonic() < end and not at_once():
            time.sleep(ENDED_S)
        self._kill(running)

    def kill(self) -> None:
        """End all at once; what they ran is found again by another worker's fleet. Not for signal handlers: what they
        interrupt may be doing the same."""
        self._ending.set()
        if self._watcher is not None:  # it may be about to start one
            self._watcher.join()
        self._kill(self._own())

    def _kill(self, running: Iterable[subprocess.Popen[bytes]]) -> None:
        left = [process for process in running if process.poll() is None]
        for process in left:
            process.kill()
        for process in left:
            process.wait()

    def _own(self) -> list[subprocess.Popen[bytes]]:
        return [child.process for child in self.children if child.process is not None and child.again is None]

    def _spawn(self, child: Child) -> None:
        with child.log.open("ab") as log:
            child.log_begin = log.tell()
            child.process = subprocess.Popen(  # noqa: S603 - our own program with arguments of our own
                [sys.executable, "-m", "orchestrator.cli", *child.arguments],
                env={**os.environ, **self.environment, PARENT_VARIABLE: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=() if self.lifeline is None else (self.lifeline,),
                start_new_session=True,  # Ctrl-C is for the parent alone, which ends them in order
            )
        child.started = time.monotonic()

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_S):
            for child in list(self.children):  # others may be started and retired meanwhile
                if child.process is None or child.process.poll() is None:
                    continue
                if child.leaving:
                    self.children.remove(child)
                else:
                    self._bring_back(child)

    def _bring_back(self, child: Child) -> None:
        if child.quick_deaths >= MAX_QUICK_DEATHS:
            return
        killed = child.again is None and child.process is not None and child.process.poll() == -signal.SIGKILL
        if killed or time.monotonic() - child.started >= QUICK_DEATH_S:
            child.quick_deaths = 0
        else:
            child.quick_deaths += 1
        if child.quick_deaths >= MAX_QUICK_DEATHS:
            self.failed = self.failed or f"{child.name} does not start: {child.last_words()}"
            return
        if child.again is None:
            self._spawn(child)
            return
        child.log_begin = child.log.stat().st_size if child.log.exists() else 0
        child.started = time.monotonic()
        child.process = child.again()
