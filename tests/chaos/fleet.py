"""The processes of a run: started, killed, frozen and restarted by their process ids, and nobody else's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.local.redis_server import RedisServer, port_is_free
from tasks.parent import PARENT_VARIABLE

STOP_WITHIN_S: Final = 15.0
LOWEST_PORT: Final = 20_000
HIGHEST_PORT: Final = 32_000
"""Below the ports that outgoing connections get: a client that tries to reach a server that is down cannot take its
port, as one with a port of that range may by connecting to itself."""


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on."""
    found: list[int] = []
    port = LOWEST_PORT + os.getpid() % 9000
    while len(found) < count:
        port += 1
        if port > HIGHEST_PORT:
            raise RuntimeError("no free ports")
        if port_is_free(port):
            found.append(port)
    return found


@dataclass(slots=True)
class Member:
    """One worker or orchestrator, through all its lives."""

    name: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    frozen: bool = False

    @property
    def pid(self) -> int:
        """Process id of its present life."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process.pid

    @property
    def dead(self) -> bool:
        """Whether its process has ended."""
        return self.process is None or self.process.poll() is not None

    def start(self) -> None:
        """Begin a life."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", *self.arguments],
                env={**self.environment, PARENT_VARIABLE: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> tuple[int, float]:
        """SIGKILL; its process id and the time."""
        pid, at = self.pid, time.time()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.frozen = False
        return pid, at

    def signal(self, number: signal.Signals) -> None:
        """Any other signal; nothing when it has ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


@dataclass(slots=True)
class Fleet:
    """A Redis server, orchestrators and workers."""

    folder: Path
    port: int
    redis: RedisServer | None = None
    members: list[Member] = field(default_factory=list[Member])
    redis_down: bool = False

    def start_redis(self) -> None:
        """Start the server, or restart it on its data.

        `appendfsync always`: with `everysec` Redis may put off writing while a sync takes long, and a killed server
        may then forget what it has answered.
        """
        self.redis = RedisServer.start(
            self.folder / "redis", port=self.port, options=["--appendfsync", "always", "--maxclients", "4000"]
        )
        self.redis_down = False

    def kill_redis(self) -> None:
        """SIGKILL of the server; its data stay."""
        if self.redis is not None:
            self.redis_down = True
            self.redis.process.kill()
            self.redis.process.wait()
            self.redis.stop()  # its guard

    def signal_redis(self, number: signal.Signals) -> None:
        """Freeze or wake the server."""
        if self.redis is not None and self.redis.process.poll() is None:
            self.redis.process.send_signal(number)

    def add(self, name: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Member:
        """One more process."""
        member = Member(name, arguments, dict(environment), self.folder / f"{name}.log")
        member.start()
        self.members.append(member)
        return member

    def of(self, role: str) -> list[Member]:
        """Workers, or orchestrators."""
        return [member for member in self.members if member.name.startswith(role)]

    def heal(self) -> None:
        """All are awake and alive."""
        if self.redis_down:
            self.start_redis()
        self.signal_redis(signal.SIGCONT)
        for member in self.members:
            member.signal(signal.SIGCONT)
            member.frozen = False
            if member.dead:
                member.start()

    def stop(self) -> None:
        """End everything, the server last."""
        for member in self.members:
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        end = time.monotonic() + STOP_WITHIN_S
        for member in self.members:
            try:
                if member.process is not None:
                    member.process.wait(max(end - time.monotonic(), 0.05))
            except subprocess.TimeoutExpired:
                member.kill()
        if self.redis is not None and not self.redis_down:
            self.signal_redis(signal.SIGCONT)
            self.redis.stop()

    def remove(self) -> None:
        """Forget all that the processes have written."""
        shutil.rmtree(self.folder, ignore_errors=True)
