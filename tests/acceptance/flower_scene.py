"""What there is to see in Flower: a job that retries, one that fails, one that is planned, one that goes on."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import start_fleet
from tests.acceptance.stage import Command, Stage, copy_actors, get_json, wait_until

SHOWN_WITHIN_S = 60.0
VARIABLES = {"TROUPE_AGENTS": "actors,stumblers", "TROUPE_MODEL": "offline", "TROUPE_LEASE_S": "5"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A stack with Flower, and jobs on it."""

    stage: Stage
    up: Command
    url: str
    flower: str
    troupe: Troupe

    def submit(self, task: str, *steps: tuple[str, str, str]) -> JobHandle:
        """Submit steps one after the other, each an id, an agent and a description."""
        planned = [
            PlannedStep(id=name, agent=agent, description=said, depends_on=[steps[at - 1][0]] if at else [])
            for at, (name, agent, said) in enumerate(steps)
        ]
        return self.troupe.submit(task, plan=Plan(steps=planned))

    def retried(self) -> JobHandle:
        """A job whose first step fails once."""
        return self.submit("Take a trip.", ("trip", "stumbler", "stumble 1 time"), ("rest", "napper", "nap 0.2"))

    def failed(self) -> JobHandle:
        """A job that fails."""
        return self.submit("Fall.", ("fall", "faller", "fall from the roof"))

    def endless(self) -> JobHandle:
        """A job that goes on until somebody ends it."""
        return self.submit("Sleep long.", ("long", "napper", "nap 600"))

    def tasks(self, job: JobHandle | None = None) -> dict[str, dict[str, Any]]:
        """What Flower's API shows of a job, or of all: by task id."""
        found = get_json(f"{self.flower}/api/tasks?limit=1000" + (f"&search={job.id}" if job else ""))
        return {name: task for name, task in found.items() if job is None or name.startswith(str(job.id))}

    def task(self, job: JobHandle, step: str, attempt: int, *states: str) -> dict[str, Any]:
        """One task, as soon as it is in one of these states."""

        def found() -> dict[str, Any] | None:
            task = self.tasks(job).get(f"{job.id}:{step}:{attempt}")
            return task if task is not None and task["state"] in states else None

        return wait_until(found, within=SHOWN_WITHIN_S) or {}

    def worker(self, queue: str) -> str:
        """The name of the worker of a queue, as soon as Flower knows all about it."""

        def found() -> str | None:
            workers = get_json(f"{self.flower}/api/workers?refresh=1")
            return next((name for name, one in workers.items() if name.startswith(queue) and "stats" in one), None)

        return wait_until(found, within=SHOWN_WITHIN_S) or ""

    def wait_until_shown(self) -> None:
        """Flower shows nothing from before it listens, and says nowhere that it does: until a job comes through."""

        def seen() -> bool:
            job = self.submit("Look.", ("look", "napper", "nap 0"))
            assert job.wait(60).status is TaskStatus.COMPLETED
            return bool(self.tasks(job))

        wait_until(seen, within=SHOWN_WITHIN_S)


@contextmanager
def flower_scene(stage: Stage) -> Generator[Scene]:
    """A stack with Flower that is ready."""
    stage.variables.update({**VARIABLES, "NAPS": str(stage.folder / "naps.txt")})
    copy_actors(stage)
    shutil.copy(Path(__file__).with_name("stumblers.py"), stage.work / "stumblers.py")
    up, url, flower = start_fleet(stage, "--concurrency", "8", flower=True)
    with Troupe(url) as troupe:
        yield Scene(stage, up, url, flower, troupe)
    up.process.terminate()
    up.wait()
