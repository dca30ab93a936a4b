"""Keeps Flower true: what it believes to run is looked up in the store, which knows.

Celery's events may be lost, and Flower sees none while it is off. A worker that was killed sends none either. Without
this, Flower would show such attempts as running for ever. A user of Redis that may read no results sees how an attempt
ended, and not what was said of it.
"""

import time
from datetime import datetime
from typing import Any, Final, assert_never

import structlog
from celery import states
from tornado.ioloop import PeriodicCallback

from tasks.errors import BadSetting, InvalidId, TroupeError, UnknownJob
from tasks.ids import AttemptRef
from tasks.models import Attempt, AttemptOutcome
from tasks.settings import StoreSettings
from tasks.states import FINAL_STEP, StepStatus
from tasks.store.glance import Glance, glance
from tasks.store.snapshot import Snapshots, StepRecord
from tasks.store.store import Store

log = structlog.get_logger("flower")

LOOK_EACH_S: Final = 5.0
QUIET_S: Final = 5.0
"""Age of what Flower last heard of an attempt; of a younger one the events may be under way."""
MOST: Final = 500
"""Attempts that are looked up at a time, oldest first."""
UNFINISHED: Final = frozenset({states.STARTED, states.RECEIVED})
Missed = tuple[str, dict[str, object], float | None]


class Truth:
    """Looks up what Flower shows as running, and gives it the events that it has missed."""

    def __init__(self, settings: StoreSettings, events: Any) -> None:
        self.settings = settings
        self.events = events
        self.timer = PeriodicCallback(self.look, LOOK_EACH_S * 1000)
        self._store: Store | None = None
        self._away = False
        self._glances = False

    def start(self) -> None:
        """Look every few seconds, in the running loop."""
        self.timer.start()

    async def look(self) -> None:
        """Look once."""
        if self._store is None:
            self._store = Store(self.settings)
        before = time.time() - QUIET_S
        tasks = [(one.timestamp or 0.0, uuid, one) for uuid, one in list(self.events.state.tasks.data.items())]
        old = sorted(one[:2] for one in tasks if one[2].state in UNFINISHED and one[0] < before)
        try:
            for _, uuid in old[:MOST]:
                await self._check(self._store, uuid)
        except TroupeError as error:
            if not self._away:
                log.warning("flower_cannot_look", reason=str(error))
            self._away = True
            return
        self._away = False

    async def _check(self, store: Store, uuid: str) -> None:
        try:
            ref = AttemptRef.parse(uuid)
        except InvalidId:
            return
        missed = await self._missed(store, ref)
        task = self.events.state.tasks.data.get(uuid)
        if missed is None or task is None or task.state not in UNFINISHED:
            return
        kind, fields, at = missed
        # Without `local_received`, which would count as a sign of life of a worker that is dead.
        event = {"type": kind, "uuid": uuid, "hostname": task.worker.hostname, "timestamp": at or time.time()}
        self.events.state.event({**event, "local_received": None, "clock": 0, "pid": 0, **fields})

    async def _missed(self, store: Store, ref: AttemptRef) -> Missed | None:
        if not self._glances:
            try:
                return missed_event(ref.attempt, await Snapshots(store).step(ref.job, ref.step))
            except UnknownJob:
                return missed_event(ref.attempt, None)
            except BadSetting as error:
                log.info("flower_reads_no_results", reason=str(error))
                self._glances = True
        return missed_at_a_glance(ref.attempt, await glance(store, ref.job, ref.step))


EVENTS: Final = {
    AttemptOutcome.SUCCEEDED: "task-succeeded",
    AttemptOutcome.FAILED: "task-failed",
    AttemptOutcome.LOST: "task-failed",
    AttemptOutcome.PARKED: "task-retried",
    AttemptOutcome.RETURNED: "task-retried",
}


def missed_event(attempt: int, record: StepRecord | None) -> Missed | None:
    """The event that tells of an attempt's end, and when that was; None: it runs.

    Args:
        record: Its step; None when the job is not kept any more.
    """
    if record is None:
        return "task-revoked", {"exception": "gone: its job is past its retention"}, None
    ended = next((one for one in record.attempts if one.number == attempt), None)
    if ended is not None:
        return _of(ended)
    if record.attempt == attempt and record.status is StepStatus.SUCCEEDED:
        return "task-succeeded", {"result": "succeeded"}, _seconds(record.finished_at)
    if record.attempt == attempt and record.status not in FINAL_STEP:
        return None
    return "task-revoked", {"exception": f"stopped: the step is {record.status.value}"}, _seconds(record.finished_at)


def missed_at_a_glance(attempt: int, seen: Glance | None) -> Missed | None:
    """The same, of a step of which no attempt's record may be read."""
    if seen is None:
        return "task-revoked", {"exception": "gone: its job is past its retention"}, None
    at = _seconds(seen.finished_at)
    if seen.attempt != attempt:
        return "task-retried", {"exception": "over: the step was begun again"}, at
    match seen.status:
        case StepStatus.RUNNING | StepStatus.DISPATCHED:
            return None
        case StepStatus.SUCCEEDED:
            return "task-succeeded", {"result": "succeeded"}, at
        case StepStatus.FAILED:
            return "task-failed", {"exception": "failed: troupe show says why"}, at
        case StepStatus.SKIPPED | StepStatus.CANCELLED:
            return "task-revoked", {"exception": f"stopped: the step is {seen.status.value}"}, at
        case StepStatus.BLOCKED | StepStatus.READY | StepStatus.DELAYED | StepStatus.PARKED:
            return "task-retried", {"exception": f"over: the step is {seen.status.value}"}, at
        case _:
            assert_never(seen.status)


def _of(ended: Attempt) -> Missed:
    failure = ended.failure
    said = f"{failure.code}: {failure.message}" if failure is not None else ended.outcome.value
    fields: dict[str, object] = {"exception": said}
    if ended.started_at is not None:
        fields["runtime"] = (ended.finished_at - ended.started_at).total_seconds()
    kind = EVENTS[ended.outcome]
    if kind == "task-succeeded":
        fields = {**fields, "exception": None, "result": "succeeded"}
    return kind, fields, _seconds(ended.finished_at)


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()
