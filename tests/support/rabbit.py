"""A RabbitMQ of our own: own node name, ports, folders and port mapper, all on loopback."""

import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from kombu.connection import Connection

from orchestrator.local.redis_server import free_port
from tests.support.waiting import wait_until_sync

DEBIAN: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself; the one on PATH changes to a user and folders of the system first."""
START_WITHIN_S: Final = 90.0
STOP_WITHIN_S: Final = 20.0


def find_rabbitmq() -> Path | None:
    """The server's program; None when it is not installed."""
    found = DEBIAN if DEBIAN.exists() else shutil.which("rabbitmq-server")
    return Path(found) if found and shutil.which("epmd") else None


@contextmanager
def rabbitmq(folder: Path) -> Generator[str]:
    """Start one; gives its URL. It and its port mapper are ended by their process groups."""
    program = find_rabbitmq()
    assert program is not None
    port, mapper = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")} | {
        "HOME": str(folder),  # for its cookie
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"troupe-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
    }
    epmd = _start(["epmd", "-port", str(mapper), "-address", "127.0.0.1"], environment, folder)
    server = _start([str(program)], environment, folder)
    try:
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        wait_until_sync(lambda: _answers(url, server), within=START_WITHIN_S)
        yield url
    finally:
        for process in (server, epmd):
            _end(process)


def _start(words: list[str], environment: dict[str, str], folder: Path) -> "subprocess.Popen[bytes]":
    with (folder / "out.log").open("ab") as log:
        return subprocess.Popen(
            words, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(STOP_WITHIN_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _answers(url: str, server: "subprocess.Popen[bytes]") -> bool:
    assert server.poll() is None, "RabbitMQ did not start"
    connection: Any = cast(Any, Connection)(url, connect_timeout=2)
    try:
        with connection:
            connection.connect()
            return True
    except (OSError, *connection.connection_errors):
        return False
