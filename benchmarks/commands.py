"""Counts the commands that clients send, with MONITOR; what scripts call inside the server is not among them."""

import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

OWN: frozenset[str] = frozenset({"PING", "MONITOR", "CLIENT", "HELLO", "INFO", "SELECT", "AUTH", "ECHO"})
"""Of connections and of the counting itself."""
END = "end of counting"


class Sent:
    """Commands of all clients while the block runs, by name."""

    def __init__(self, redis: Any) -> None:
        self.redis = redis
        self.by_name: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._monitor: Any = self.redis.monitor()
        self._monitor.__enter__()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.redis.echo(END)
        self._thread.join(30)
        self._monitor.__exit__(None, None, None)

    def _listen(self) -> None:
        while True:
            seen: dict[str, Any] = self._monitor.next_command()
            command: str = seen["command"]
            if END in command:
                return
            name = command.split(" ", 1)[0].upper()
            if seen["client_type"] != "lua" and name not in OWN:
                self.by_name[name] += 1
