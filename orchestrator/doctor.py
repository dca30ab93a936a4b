"""What a fleet needs, checked from the outside: each finding says what to do."""

import asyncio
import os
import socket
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from kombu.connection import Connection
from kombu.exceptions import KombuError

from tasks.address import hide_password
from tasks.errors import TroupeError
from tasks.models import Wire, WorkerPresence
from tasks.queues import QUEUES
from tasks.settings import StoreSettings
from tasks.store import FleetStore, Store
from tasks.store.server import ServerFacts, read_server


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Works, with a risk."""
    PROBLEM = "problem"
    """Jobs will not run, or may be lost."""


class Finding(Wire):
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    message: str
    advice: str = ""


async def examine(settings: StoreSettings, home: Path, role: str | None = None) -> list[Finding]:
    """Look at the store, the broker, the fleet and this machine.

    Args:
        role: `worker` or `orchestrator`: only what a health check of such a process on this host is about.
    """
    store = Store(settings)
    try:
        try:
            facts = await read_server(store)
        except TroupeError as error:
            return [_problem("store", str(error), "start Redis, or set TROUPE_REDIS_URL")]
        fleet = FleetStore(store)
        workers, orchestrators = await fleet.workers(), await fleet.orchestrators()
    finally:
        await store.close()
    here = socket.gethostname()
    if role == "worker":
        return [_alive("worker", any(one.host == here for one in workers))]
    if role == "orchestrator":
        return [_alive("orchestrator", any(one.host == here for one in orchestrators))]
    return [
        *_server_findings(settings, facts),
        await asyncio.to_thread(_broker, settings),
        _orchestrators(len(orchestrators)),
        *_queues(workers),
        _versions({one.version for one in [*workers, *orchestrators]}),
        _home(home),
    ]


def _server_findings(settings: StoreSettings, facts: ServerFacts) -> list[Finding]:
    where = hide_password(settings.redis_url.get_secret_value())
    findings = [_ok("store", f"{facts.version} at {where}")]
    if facts.policy in {"noeviction", ""}:
        findings.append(_ok("eviction", f"maxmemory-policy {facts.policy or 'unknown'}"))
    else:
        findings.append(
            _problem("eviction", f"maxmemory-policy is {facts.policy}: Redis may forget jobs", "set it to noeviction")
        )
    if facts.persistent:
        findings.append(_ok("persistence", "append-only file or snapshots are on"))
    else:
        findings.append(_warning("persistence", "none: a restart of Redis forgets all jobs", "set appendonly yes"))
    return findings


def _broker(settings: StoreSettings) -> Finding:
    connection: Any = cast(Any, Connection)(settings.broker, connect_timeout=settings.store_timeout_s)
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=settings.store_timeout_s)
    except (KombuError, OSError, *connection.connection_errors) as error:
        return _problem("broker", f"{hide_password(settings.broker)}: {error}", "start it, or set TROUPE_BROKER_URL")
    return _ok("broker", hide_password(settings.broker))


def _orchestrators(count: int) -> Finding:
    if count == 0:
        return _problem("orchestrator", "none is alive: no job goes on", "start one: troupe orchestrator")
    return _ok("orchestrator", f"{count} alive")


def _queues(workers: list[WorkerPresence]) -> list[Finding]:
    findings: list[Finding] = []
    listened = {queue for worker in workers for queue in worker.queues}
    for queue in sorted({*QUEUES, *listened}):
        count = sum(1 for worker in workers if queue in worker.queues)
        if count:
            findings.append(_ok(f"queue {queue}", f"{count} workers"))
        else:
            findings.append(
                _problem(f"queue {queue}", "nobody listens: its steps wait", f"start one: troupe worker {queue}")
            )
    return findings


def _versions(found: set[str]) -> Finding:
    ours = version("troupe")
    if found <= {ours}:
        return _ok("versions", f"all processes run {ours}")
    return _warning("versions", f"{', '.join(sorted(found | {ours}))} at once", "finish the rolling upgrade")


def _home(home: Path) -> Finding:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return _ok("home", str(home))
    return _problem("home", f"{home} cannot be written", "set TROUPE_HOME")


def _alive(role: str, alive: bool) -> Finding:
    if alive:
        return _ok(role, "alive on this host")
    return _problem(role, "none on this host has announced itself", "look at its log")


def _make(verdict: Verdict) -> Callable[[str, str, str], Finding]:
    def make(check: str, message: str, advice: str = "") -> Finding:
        return Finding(check=check, verdict=verdict, message=message, advice=advice)

    return make


def _ok(check: str, message: str) -> Finding:
    return Finding(check=check, verdict=Verdict.OK, message=message)


_warning = _make(Verdict.WARNING)
_problem = _make(Verdict.PROBLEM)
