"""A fleet whose agents work in loops, and the fake provider that they call. Loopback only."""

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pydantic import SecretStr

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from tasks.models import Plan, PlannedStep
from tasks.settings import StoreSettings
from tests.chaos.conduct import OURS, ROOT
from tests.chaos.fleet import Fleet, free_ports
from tests.chaos.loop_agents import CALLS_VARIABLE
from tests.chaos.provider import Provider
from tests.support.waiting import wait_until_sync
from workers.testing import FakeMessages

TURNS: Final = 12
"""Of a loop."""
WORKERS: Final = 4
CALLERS: Final = 64
START_WITHIN_S: Final = 90.0
JOB_WITHIN_S: Final = 120.0
PERIODS: Final[dict[str, float]] = {
    "lease_s": 8, "heartbeat_s": 0.5, "sweep_s": 0.25, "republish_s": 1, "presence_s": 4,
}  # fmt: skip


@dataclass(slots=True)
class Stage:
    """A fleet, the provider that it calls, and a client."""

    fleet: Fleet
    fake: FakeMessages
    provider: Provider
    troupe: Troupe
    log: Path

    def submit(self, number: int, steps: int, **options: Any) -> JobHandle:
        """A job of loops that need nothing of each other."""
        plan = [PlannedStep(id=f"s{at}", description=f"Count, part {at}.", agent="counter") for at in range(steps)]
        return self.troupe.submit(f"Count to the end: {mark(number)}.", plan=Plan(steps=plan), **options)

    def ended_calls(self) -> list[dict[str, Any]]:
        """Tool calls that came to their end, by what the tool itself has noted."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [cast("dict[str, Any]", json.loads(line)) for line in lines]


def mark(number: int) -> str:
    """How the provider knows a job."""
    return f"loop-{number:04}"


@contextmanager
def staged(folder: Path, provider: Provider, concurrency: int) -> Generator[Stage]:
    """Everything started and ready; ended afterwards."""
    fleet = Fleet(folder, free_ports(1)[0])
    folder.mkdir(parents=True, exist_ok=True)
    fleet.start_redis()
    url, log = f"redis://127.0.0.1:{fleet.port}/0", folder / "calls.jsonl"
    settings = StoreSettings.model_validate({"redis_url": SecretStr(url), "prefix": "loops", **PERIODS})
    with FakeMessages(provider) as fake:
        environment = _environment(url, fake.url, folder, log)
        try:
            fleet.add("orchestrator-0", ("orchestrator",), environment)
            for number in range(WORKERS):
                words = ("worker", "counter", "summary", "--concurrency", str(concurrency))
                fleet.add(f"worker-{number}", words, environment)
            with Troupe(settings=settings) as troupe:
                wait_until_sync(
                    lambda: len(troupe.workers()) == WORKERS and bool(troupe.orchestrators()), START_WITHIN_S
                )
                yield Stage(fleet, fake, provider, troupe, log)
        finally:
            fleet.stop()


def _environment(url: str, provider: str, folder: Path, log: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    fixed: dict[str, object] = {
        "TROUPE_REDIS_URL": url,
        "TROUPE_HOME": folder / "home",
        "TROUPE_CONFIG": os.devnull,
        "TROUPE_PREFIX": "loops",
        "TROUPE_AGENTS": "tests.chaos.loop_agents",
        "TROUPE_MODEL": "claude-sonnet-5-5",
        "TROUPE_ALLOW_MODEL_REQUESTS": "false",
        "TROUPE_DRAIN_S": 2,
        "TROUPE_MAX_STEPS": CALLERS,
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "ANTHROPIC_BASE_URL": provider,
        "PYTHONPATH": ROOT,
        CALLS_VARIABLE: log,
    }
    fixed |= {f"TROUPE_{name.upper()}": value for name, value in PERIODS.items()}
    return kept | {name: str(value) for name, value in fixed.items()}
