"""A fleet put together by hand, on stores and brokers that `troupe up` does not start."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from tasks.errors import TroupeError
from tasks.models import Plan, PlannedStep
from tasks.settings import StoreSettings
from tasks.states import TaskStatus
from tests.acceptance.stage import START_WITHIN_S, Command, Stage, copy_actors, wait_until

JOB_WITHIN_S = 90.0


@dataclass(slots=True)
class HandMade:
    """An orchestrator, and workers for napping and summaries."""

    stage: Stage
    orchestrator: Command
    workers: list[Command]
    troupe: Troupe

    def naps(self, *lengths: str) -> JobHandle:
        """Submit a job of naps one after the other; of each the seconds of its first attempt, its second …"""
        steps = [
            PlannedStep(
                id=f"nap-{at}", description=f"nap {length}", agent="napper", depends_on=[f"nap-{at - 1}"] if at else []
            )
            for at, length in enumerate(lengths)
        ]
        return self.troupe.submit("Sleep well.", plan=Plan(steps=steps))

    def napping(self, job: JobHandle, step: str = "nap-0", attempt: int = 1) -> int:
        """Wait until that attempt has begun; gives the process that runs it."""
        naps, wanted = self.stage.folder / "naps.txt", [str(job.id), step, str(attempt)]

        def found() -> int | None:
            lines = naps.read_text().splitlines() if naps.exists() else []
            return next((int(line.split()[0]) for line in lines if line.split()[1:] == wanted), None)

        return wait_until(found, within=JOB_WITHIN_S) or 0

    def starts(self) -> list[str]:
        """`job step attempt` of each nap that has begun."""
        lines = (self.stage.folder / "naps.txt").read_text().splitlines()
        return [line.partition(" ")[2] for line in lines]

    def add_worker(self, **variables: str) -> Command:
        """One more worker."""
        words = ("worker", "planner", "summary", "napper", "--concurrency", "8")
        self.workers.append(self.stage.start(*words, **variables))
        return self.workers[-1]

    def kill(self, pid: int) -> None:
        """End a worker without a word."""
        os.kill(pid, signal.SIGKILL)


@contextmanager
def hand_made(stage: Stage, url: str, **variables: str) -> Generator[HandMade]:
    """A fleet that is ready; at the end its processes must end in order."""
    copy_actors(stage)
    own = {"TROUPE_REDIS_URL": url, "TROUPE_AGENTS": "actors", "TROUPE_MODEL": "offline", "TROUPE_LEASE_S": "5"}
    own |= {"TROUPE_REPUBLISH_S": "2", "NAPS": str(stage.folder / "naps.txt")}
    stage.variables.update({**own, **variables})
    settings = {
        name.removeprefix("TROUPE_").lower(): value
        for name, value in stage.variables.items()
        if name.removeprefix("TROUPE_").lower() in StoreSettings.model_fields
    }
    with Troupe(settings=StoreSettings.model_validate({**settings, "redis_url": SecretStr(url)})) as troupe:
        fleet = HandMade(stage, stage.start("orchestrator"), [], troupe)
        fleet.add_worker()

        def ready() -> bool:
            for command in (fleet.orchestrator, *fleet.workers):
                assert command.process.poll() is None, command.said
            try:
                return bool(troupe.workers()) and bool(troupe.orchestrators())
            except TroupeError:
                return False

        wait_until(ready, within=START_WITHIN_S)
        yield fleet
    commands = [fleet.orchestrator, *fleet.workers]
    living = [command for command in commands if command.process.poll() is None]
    for command in living:
        command.process.terminate()
    assert [command.wait(40).code for command in living] == [0 for _ in living]


def completed(jobs: list[JobHandle]) -> None:
    """Wait until all jobs have their answer."""
    results = [job.wait(JOB_WITHIN_S) for job in jobs]
    assert [one.status for one in results] == [TaskStatus.COMPLETED] * len(jobs), [one.error for one in results]


def log_of(stage: Stage) -> str:
    """What all commands of a stage have said on stderr."""
    return "".join(path.read_text(errors="replace") for path in Path(stage.folder).glob("*.err"))
