"""A whole stack on one machine: own Redis unless one is named, an orchestrator, a worker for every queue."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from orchestrator.local.children import Child, Children
from orchestrator.local.ending import Ending
from orchestrator.local.redis_server import LOG_FILE, RedisServer
from tasks.errors import BadSetting, TransientError, TroupeError

STOP_WITHIN_S: Final = 25.0
READY_WITHIN_S: Final = 60.0


class StackError(TransientError):
    """The stack did not start, or a process of it cannot be kept alive."""

    code = "stack_failed"


@dataclass(slots=True)
class LocalStack:
    """Processes of one stack. Use it as a context manager: nothing of it is left after."""

    home: Path
    queues: Sequence[Sequence[str]]
    """One worker process for each; the queues that it listens on."""
    redis_url: str | None = None
    """A Redis that is there; None for one of our own."""
    redis_port: int | None = None
    """Loopback port of our own Redis; None for a private socket."""
    keep: bool = False
    """Keep the store's data under home for the next stack; else they go with this one."""
    concurrency: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ending: Ending = field(default_factory=Ending)
    """Told that the stack is to end: it is not waited for then, and told again, no process of it is."""
    _started: Counter[str] = field(default_factory=Counter[str])
    """How many workers of each kind there have been."""
    redis: RedisServer | None = None
    children: Children | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop(at_once=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(at_once=kind is KeyboardInterrupt)

    @property
    def url(self) -> str:
        """The store's URL."""
        return self.redis_url or (self.redis.url if self.redis else "")

    @property
    def folder(self) -> Path:
        """Where the stack keeps its data and logs."""
        return self.home / ("stack" if self.keep else f"run-{os.getpid()}")

    def start(self) -> None:
        """Start Redis, then all processes at once. They are not ready yet: see `wait_until_ready`.

        Raises:
            BadSetting: no Redis server, a port that is taken, or a home that cannot be written.
            StoreUnavailable: our Redis did not start, or the one that is named does not answer.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadSetting(f"TROUPE_HOME: {self.home} cannot be written: {error.strerror}") from error
        if self.redis_url is None:
            leavings = [] if self.keep else [self.folder]
            self.redis = RedisServer.start(self.folder / "redis", port=self.redis_port, leavings=leavings)
        else:
            self._greet()
        variables = {**self.environment, "TROUPE_REDIS_URL": self.url, "TROUPE_HOME": str(self.home)}
        self.children = Children(variables, self.folder / "logs", self.redis.lifeline if self.redis else None)
        if self.redis is not None:
            log = self.redis.folder / LOG_FILE
            self.children.adopt("the embedded Redis", self.redis.process, log, self.redis.bring_back)
        self.children.start("orchestrator", ["orchestrator"])
        for names in self.queues:
            self.add_worker(names)
        self.children.watch()

    def add_worker(self, queues: Sequence[str]) -> None:
        """Start one more worker that listens on these queues."""
        options = ["--concurrency", str(self.concurrency)] if self.concurrency else []
        name = _worker(queues)
        self._started[name] += 1
        number = f"-{self._started[name]}" if self._started[name] > 1 else ""  # each has a log of its own
        if self.children is not None:
            self.children.start(name + number, ["worker", *queues, *options])

    def alive(self, queue: str) -> int:
        """Workers of one queue alone, without those that were retired."""
        return len(self._workers(queue))

    def add(self, queue: str) -> None:
        """Start one more worker of one queue."""
        self.add_worker([queue])

    def retire(self, queue: str) -> None:
        """Let the worker of a queue that was started last end what it does, and go."""
        if self.children is not None and (workers := self._workers(queue)):
            self.children.retire(workers[-1])

    def _workers(self, queue: str) -> list[Child]:
        found = self.children.children if self.children is not None else []
        return [one for one in list(found) if one.arguments[:2] == ("worker", queue) and not one.leaving]

    def _greet(self) -> None:
        """Learn now whether the Redis that is named answers: processes would wait for it for ever."""
        from orchestrator.blocking import Troupe

        with Troupe(self.url) as troupe:
            troupe.orchestrators()

    def wait_until_ready(self) -> None:
        """Return when the orchestrator and a worker for every queue have announced themselves, or it is to end.

        Raises:
            StackError: they did not in time, or one cannot start; the message ends with the last lines of its log.
        """
        from orchestrator.blocking import Troupe

        wanted = Counter(queue for names in self.queues for queue in names)
        end = time.monotonic() + READY_WITHIN_S
        with Troupe(self.url) as troupe:
            while time.monotonic() < end:
                if self.ending.is_set():
                    return
                self.check()
                try:
                    alive = Counter(queue for worker in troupe.workers() for queue in worker.queues)
                    if wanted <= alive and troupe.orchestrators():
                        return
                except TroupeError:
                    pass
                time.sleep(0.05)
        raise StackError(f"not all processes started within {READY_WITHIN_S:g} s; logs: {self.folder / 'logs'}")

    def check(self) -> None:
        """Raise StackError when a process cannot be kept alive."""
        if self.children is not None and self.children.failed is not None:
            raise StackError(self.children.failed)

    def stop(self, *, at_once: bool = False) -> None:
        """End every process, Redis last. A second call does nothing."""
        if self.children is not None:
            if at_once:
                self.children.kill()
            else:
                self.children.stop(STOP_WITHIN_S, self.ending.at_once)
        if self.redis is not None:
            self.redis.stop()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def _worker(queues: Sequence[str]) -> str:
    return f"worker-{'-'.join(queues)}"
