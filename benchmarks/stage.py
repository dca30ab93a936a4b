"""Processes of both sides on one embedded server, equal in number of workers, started and ended together."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from benchmarks import bare
from orchestrator import Troupe
from orchestrator.local.children import Children
from orchestrator.local.redis_server import RedisServer

ROOT: Final = Path(__file__).resolve().parent.parent
START_WITHIN_S: Final = 90.0
LIMITS: Final = {
    "TROUPE_MAX_STEPS": "10000",
    "TROUPE_MAX_FAN_OUT": "10000",
    "TROUPE_MAX_DEPTH": "1000",
    "TROUPE_MAX_OPEN_JOBS": "1000000",
}
OURS: Final = ("TROUPE_", "ANTHROPIC_", "FLOWER_", "BARE_")


@dataclass(frozen=True, slots=True)
class Side:
    """One side, ready to work."""

    url: str
    processes: int
    """All of it that take part in jobs, the server not counted."""
    pids: Mapping[str, int]
    """By name."""


def clean_environment() -> None:
    """Nothing that the user has set decides about a measurement."""
    for name in list(os.environ):
        if name.startswith(OURS):
            del os.environ[name]
    os.environ.update(LIMITS)
    os.environ["TROUPE_CONFIG"] = os.devnull


@contextmanager
def troupe_side(
    server: RedisServer, folder: Path, *, workers: int = 2, concurrency: int = 32, **settings: str
) -> Generator[Side]:
    """An orchestrator, and worker processes that each listen on all queues."""
    environment = {
        **LIMITS,
        "TROUPE_REDIS_URL": server.url,
        "TROUPE_HOME": str(folder),
        "TROUPE_AGENTS": "benchmarks.agents",
        "TROUPE_MODEL": "offline",
        "TROUPE_LOG_LEVEL": "warning",
        "TROUPE_CONFIG": os.devnull,
        "PYTHONPATH": str(ROOT),
        **settings,
    }
    children = Children(environment, folder / "logs", server.lifeline)
    try:
        children.start("orchestrator", ["orchestrator"])
        for number in range(workers):
            children.start(f"worker-{number}", ["worker", "--concurrency", str(concurrency)])
        _wait_for_fleet(server.url, workers)
        pids = {child.name: child.process.pid for child in children.children if child.process is not None}
        yield Side(server.url, workers + 1, pids)
    finally:
        children.stop(20)


@contextmanager
def celery_side(server: RedisServer, *, workers: int = 2, concurrency: int = 32) -> Generator[Side]:
    """Worker processes of bare Celery with the threads pool, and its result backend, on the same server."""
    path = server.url.removeprefix("unix://").partition("?")[0]
    broker, backend = f"redis+socket://{path}?virtual_host=8", f"redis+socket://{path}?virtual_host=9"
    os.environ.update(BARE_BROKER=broker, BARE_BACKEND=backend)
    bare.connect(broker, backend)
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "benchmarks.bare:app", "worker", "--pool", "threads"]
    command += ["--concurrency", str(concurrency), "--without-gossip", "--without-mingle", "--loglevel", "ERROR"]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(workers):
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            name = ["--hostname", f"bare-{number}@%h"]
            running.append(
                subprocess.Popen(  # noqa: S603 - our own program with arguments of our own
                    [*command, *name], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        _wait_for_celery(workers)
        yield Side(broker, workers, {f"worker-{at}": one.pid for at, one in enumerate(running)})
    finally:
        bare.disconnect()
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_fleet(url: str, workers: int) -> None:
    end = time.monotonic() + START_WITHIN_S
    with Troupe(url) as troupe:
        while time.monotonic() < end:
            if len(troupe.workers()) == workers and troupe.orchestrators():
                return
            time.sleep(0.1)
    raise TimeoutError(f"the fleet did not start within {START_WITHIN_S:g} s")


def _wait_for_celery(workers: int) -> None:
    end = time.monotonic() + START_WITHIN_S
    while time.monotonic() < end:
        if len(cast(Any, bare.app).control.ping(timeout=1.0) or []) >= workers:
            return
    raise TimeoutError(f"bare Celery did not start within {START_WITHIN_S:g} s")
