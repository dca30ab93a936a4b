"""What a fleet needs, checked from the outside: each finding says what to do."""

import asyncio
import os
import socket
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from kombu.exceptions import KombuError

from orchestrator.findings import Finding, ok, problem, warning
from orchestrator.progress import progress_findings
from tasks.address import hide_password
from tasks.app import make_app
from tasks.errors import BadSetting, TroupeError
from tasks.presence import WorkerPresence
from tasks.queues import QUEUES
from tasks.settings import StoreSettings
from tasks.store import FleetStore, Store
from tasks.store.server import ServerFacts, read_servers
from tasks.store.survey import survey

OLDEST_SERVER: Final = (7, 0)
SKEW_MS: Final = 5000
"""No clock but Redis' judges anything; a difference makes logs and reports hard to read."""
NEARLY_FULL: Final = 0.8
FULL: Final = 0.95
"""Shares of `maxmemory`."""


async def examine_role(settings: StoreSettings, role: str) -> list[Finding]:
    """Look whether this host has a living process of a role, `worker` or `orchestrator`: for its health check.

    It asks the store for nothing that a process of the role may not ask itself.
    """
    store = Store(settings)
    fleet = FleetStore(store)
    try:
        living = await (fleet.workers() if role == "worker" else fleet.orchestrators())
    except TroupeError as error:
        return [_no_store(error)]
    finally:
        await store.close()
    return [_alive(role, any(one.host == socket.gethostname() for one in living))]


async def examine(settings: StoreSettings, home: Path) -> list[Finding]:
    """Look at the store, the broker, the fleet and this machine."""
    store = Store(settings)
    try:
        try:
            before = time.time_ns() // 1_000_000
            facts = await read_servers(store)
            skew_ms = facts[0].unix_ms - (before + time.time_ns() // 1_000_000) // 2
        except TroupeError as error:
            return [_no_store(error)]
        fleet = FleetStore(store)
        workers, orchestrators = await fleet.workers(), await fleet.orchestrators()
        partitions = max([settings.partitions, *(one.partitions for one in orchestrators)])
        surveys = [await survey(store, partition) for partition in range(partitions)]
    finally:
        await store.close()
    return [
        *(finding for one in facts for finding in _server_findings(settings, one)),
        _clock(skew_ms),
        await asyncio.to_thread(_broker, settings),
        _orchestrators(len(orchestrators)),
        *progress_findings(settings, surveys, {one.name for one in orchestrators}),
        *_queues(workers),
        _versions({one.version for one in [*workers, *orchestrators]}),
        _partitions(settings.partitions, {one.partitions for one in orchestrators}),
        _home(home),
    ]


def _no_store(error: TroupeError) -> Finding:
    return problem("store", str(error), "start Redis, or set TROUPE_REDIS_URL")


def _server_findings(settings: StoreSettings, facts: ServerFacts) -> list[Finding]:
    where = facts.node or hide_password(settings.redis_url.get_secret_value())
    return [_server(where, facts), _eviction(facts), _memory(facts), _persistence(facts)]


def _server(where: str, facts: ServerFacts) -> Finding:
    if facts.release < OLDEST_SERVER:
        return problem("store", f"{facts.version} at {where} is older than 7.0", "upgrade it: scripts need 7.0")
    if facts.replica:
        return problem("store", f"{facts.version} at {where} is a replica", "name the master, or sentinel://…")
    return ok("store", f"{facts.version} at {where}")


def _eviction(facts: ServerFacts) -> Finding:
    if facts.policy in {"noeviction", ""}:
        return ok("eviction", f"maxmemory-policy {facts.policy or 'unknown'}")
    return problem("eviction", f"maxmemory-policy is {facts.policy}: Redis may forget jobs", "set it to noeviction")


def _memory(facts: ServerFacts) -> Finding:
    used = f"{facts.used_memory / 2**20:.0f} MB used"
    if not facts.maxmemory:
        return ok("memory", f"{used}, no limit")
    text = f"{used} of {facts.maxmemory / 2**20:.0f} MB"
    advice = "raise maxmemory, or lower TROUPE_RETENTION_S"
    if facts.used_memory >= FULL * facts.maxmemory:
        return problem("memory", f"{text}: new jobs are refused when it is full", advice)
    if facts.used_memory >= NEARLY_FULL * facts.maxmemory:
        return warning("memory", text, advice)
    return ok("memory", text)


def _persistence(facts: ServerFacts) -> Finding:
    if facts.persistent:
        return ok("persistence", "append-only file or snapshots are on")
    return warning("persistence", "none: a restart of Redis forgets all jobs", "set appendonly yes")


def _clock(skew_ms: int) -> Finding:
    text = f"Redis' clock is {abs(skew_ms) / 1000:.1f} s {'ahead of' if skew_ms > 0 else 'behind'} ours"
    if abs(skew_ms) <= SKEW_MS:
        return ok("clock", text)
    return warning("clock", text, "set both by NTP; deadlines go by Redis' clock, logs by each machine's")


def _broker(settings: StoreSettings) -> Finding:
    try:
        app: Any = make_app(settings)
    except BadSetting as error:
        return problem("broker", str(error), "set TROUPE_BROKER_URL")
    where, connection = hide_password(settings.broker), app.connection_for_write()
    failures = (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)
    try:
        with connection:
            connection.ensure_connection(max_retries=1, timeout=settings.store_timeout_s)
    except failures as error:
        return problem("broker", f"{where}: {error}", "start it, or set TROUPE_BROKER_URL")
    finally:
        app.close()
    return ok("broker", where)


def _orchestrators(count: int) -> Finding:
    if count == 0:
        return problem("orchestrator", "none is alive: no job goes on", "start one: troupe orchestrator")
    return ok("orchestrator", f"{count} alive")


def _queues(workers: list[WorkerPresence]) -> list[Finding]:
    findings: list[Finding] = []
    listened = {queue for worker in workers for queue in worker.queues}
    for queue in sorted({*QUEUES, *listened}):
        count = sum(1 for worker in workers if queue in worker.queues)
        if count:
            findings.append(ok(f"queue {queue}", f"{count} workers"))
        else:
            findings.append(
                problem(f"queue {queue}", "nobody listens: its steps wait", f"start one: troupe worker {queue}")
            )
    return findings


def _versions(found: set[str]) -> Finding:
    ours = version("troupe")
    if found <= {ours}:
        return ok("versions", f"all processes run {ours}")
    return warning("versions", f"{', '.join(sorted(found | {ours}))} at once", "finish the rolling upgrade")


def _partitions(ours: int, theirs: set[int]) -> Finding:
    if theirs <= {ours}:
        return ok("partitions", str(ours))
    text = f"TROUPE_PARTITIONS is {ours} here, and {', '.join(map(str, sorted(theirs)))} at the orchestrators"
    if min(theirs) < ours:
        return problem("partitions", f"{text}: jobs of the others are not served by all of them", "set one number")
    return warning("partitions", text, "set one number for the whole fleet")


def _home(home: Path) -> Finding:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return ok("home", str(home))
    return problem("home", f"{home} cannot be written", "set TROUPE_HOME")


def _alive(role: str, alive: bool) -> Finding:
    if alive:
        return ok(role, "alive on this host")
    return problem(role, "none on this host has announced itself", "look at its log")
