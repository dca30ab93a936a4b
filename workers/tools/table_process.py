"""The parent's side of the table processes: starts them, asks them, ends those that do not answer or are not needed."""

import json
import os
import selectors
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

from tasks.models import TableRef
from workers import confined
from workers.tools.base import ToolError
from workers.tools.table_settings import TableSettings

GRACE_S: Final = 1.0
"""How long after its own time limit a child may take to say so."""
START_S: Final = 10.0
"""How long a child may take to start, on a busy machine."""
Key = tuple[str, tuple[TableRef, ...]]
Json = dict[str, object]


class TableProcess:
    """One child with the tables of one job. One question at a time."""

    def __init__(self, files: tuple[TableRef, ...], settings: TableSettings) -> None:
        self._settings = settings
        handed = {**settings.limits(), "idle_s": settings.table_idle_s, "files": {ref.name: ref.path for ref in files}}
        self._child = confined.start("workers.tools.table_child", handed)
        self._load_s = START_S + settings.table_load_s

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    def ask(self, request: Json) -> object:
        """Send a request and wait for its result; the first one also waits for the tables to be loaded.

        Raises:
            ToolError: what the child answers as a fault; timeout, when it does not answer; out_of_memory, when it ends.
        """
        allowed, self._load_s = self._settings.table_query_s + GRACE_S + self._load_s, 0.0
        assert self._child.stdin is not None  # noqa: S101 (for the type checker: made with a pipe)
        try:
            self._child.stdin.write(json.dumps(request).encode() + b"\n")
            self._child.stdin.flush()
            line = self._line(time.monotonic() + allowed)
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            raise ToolError("out_of_memory", "the query ended its process: it needs too much memory; ask for less")
        reply = cast("Json", json.loads(line))
        if "error" in reply:
            fault = cast("dict[str, str]", reply["error"])
            raise ToolError(fault["code"], fault["message"])
        return reply["result"]

    def close(self) -> None:
        """End the child, whatever it does."""
        confined.end(self._child)

    def _line(self, deadline: float) -> bytes:
        """The next line of the answer; empty when the child has ended."""
        assert self._child.stdout is not None  # noqa: S101 (for the type checker: made with a pipe)
        descriptor, parts = self._child.stdout.fileno(), list[bytes]()
        with selectors.DefaultSelector() as selector:  # select() itself refuses descriptors over 1023.
            selector.register(descriptor, selectors.EVENT_READ)
            while not (parts and parts[-1].endswith(b"\n")):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.close()
                    limit = f"{self._settings.table_query_s:g} s"
                    raise ToolError("timeout", f"stopped after {limit}; ask for less: filter, aggregate, join on keys")
                part = os.read(descriptor, 1 << 16)
                if not part:
                    return b""
                parts.append(part)
        return b"".join(parts)


@dataclass(slots=True)
class _Seat:
    process: TableProcess
    busy: bool = True


class TableProcesses:
    """At most so many table processes, one for each job that asks; the longest unused one makes room. Thread-safe."""

    def __init__(self, settings: TableSettings) -> None:
        self._settings = settings
        self._seats: dict[Key, _Seat] = {}
        """Least recently used first."""
        self._change = threading.Condition()

    def ask(self, key: Key, request: Json) -> object:
        """Ask the process of the job's tables; questions about the same tables wait for each other.

        Raises:
            ToolError: as `TableProcess.ask`; busy, when no process got free within the time that loading may take.
        """
        with self._seat(key) as process:
            return process.ask(request)

    def close(self) -> None:
        """End all of them."""
        with self._change:
            for seat in self._seats.values():
                seat.process.close()
            self._seats.clear()
            self._change.notify_all()

    @contextmanager
    def _seat(self, key: Key) -> Generator[TableProcess]:
        until = time.monotonic() + self._settings.table_load_s
        with self._change:
            while (seat := self._take(key)) is None:
                if not self._change.wait(until - time.monotonic()):
                    raise ToolError("busy", "other queries are still running; try again, one query at a time")
        try:
            yield seat.process
        finally:
            with self._change:
                seat.busy = False
                self._change.notify_all()

    def _take(self, key: Key) -> _Seat | None:
        for other in [one for one, seat in self._seats.items() if not seat.busy and not seat.process.alive]:
            self._seats.pop(other).process.close()
        seat = self._seats.get(key)
        if seat is None:
            return self._start(key)
        if seat.busy:
            return None
        seat.busy = True
        self._seats[key] = self._seats.pop(key)
        return seat

    def _start(self, key: Key) -> _Seat | None:
        if len(self._seats) >= self._settings.table_processes:
            idle = next((one for one, seat in self._seats.items() if not seat.busy), None)
            if idle is None:
                return None
            self._seats.pop(idle).process.close()
        self._seats[key] = _Seat(TableProcess(key[1], self._settings))
        return self._seats[key]
