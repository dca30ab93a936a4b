"""A reader of a job's events that is killed again and again has seen each of them once, in order."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from orchestrator import Troupe
from orchestrator.blocking import JobHandle
from tasks.events import EVENT, OtherEvent, StepStarted
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance import talkers
from tests.acceptance.conftest import start_fleet
from tests.acceptance.stage import START_WITHIN_S, Stage, Stages, wait_until

KILLS: Final = 20
SEED: Final = 6
TALKERS: Final = 3
MOST_BYTES: Final = 60_000
"""What a reader may have printed when it is killed, at most: between nothing and some 250 events."""


class Talk:
    """A job that says much until it is told to stop, and the fleet that it runs on."""

    def __init__(self, stage: Stage, url: str, troupe: Troupe) -> None:
        self.stage = stage
        self.url = url
        steps = [PlannedStep(id=f"talk-{at}", description="Talk.", agent="talker") for at in range(TALKERS)]
        self.job: JobHandle = troupe.submit("Talk much.", plan=Plan(steps=steps))

    def stop(self) -> None:
        """Let the job come to its end."""
        (self.stage.folder / "enough").touch()

    def read(self, since: int, *, most: int | None) -> list[str]:
        """Watch from there on; killed when it has printed `most` bytes, else until the job's end. Its whole lines."""
        reader = self.stage.start("watch", str(self.job.id), "--json", "--since", str(since), TROUPE_REDIS_URL=self.url)
        if most is None:
            assert reader.wait(START_WITHIN_S).code == 0, reader.said
        else:
            wait_until(lambda: reader.out.stat().st_size >= most, within=START_WITHIN_S)
            assert reader.process.poll() is None, reader.said
            reader.end()  # SIGKILL
        return reader.out.read_text().split("\n")[:-1]


@pytest.fixture(scope="module")
def talk(stages: Stages) -> Iterator[Talk]:
    stage = stages.new(TROUPE_AGENTS="talkers", TROUPE_MODEL="offline", TROUPE_EVENTS_MAX="1000000")
    stage.variables["ENOUGH"] = str(stage.folder / "enough")
    shutil.copy(Path(talkers.__file__), stage.work / "talkers.py")
    up, url, _ = start_fleet(stage, "--concurrency", "4", flower=False)
    with Troupe(url) as troupe:
        yield Talk(stage, url, troupe)
    up.process.terminate()
    up.wait()


def test_a_reader_that_is_killed_twenty_times_has_every_event_once(talk: Talk) -> None:
    draw = random.Random(SEED)
    lines: list[str] = []
    kills: list[int] = []
    for _ in range(KILLS):
        found = talk.read(seq_of(lines), most=draw.randrange(MOST_BYTES))
        kills.append(len(found))
        lines += found
    talk.stop()
    lines += talk.read(seq_of(lines), most=None)
    events = [EVENT.validate_json(line) for line in lines]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].type == "job_finished"
    assert not [event for event in events if isinstance(event, OtherEvent)]
    assert sum(isinstance(event, StepStarted) for event in events) > TALKERS
    assert len(events) > 1000
    assert sum(count > 0 for count in kills) > KILLS / 2, kills
    outcome = talk.job.snapshot()
    assert outcome.status is TaskStatus.COMPLETED
    assert [event.seq for event in talk.job.events()] == [event.seq for event in events]


def seq_of(lines: list[str]) -> int:
    """The number of the last event; 0 when there is none yet."""
    last: dict[str, Any] = json.loads(lines[-1]) if lines else {"seq": 0}
    return int(last["seq"])
