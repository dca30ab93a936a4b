"""All that a run found: every job judged, times from kills to new starts, what is left in the store."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from tasks.events import JobEvent
from tasks.ids import JobId
from tasks.models import AttemptOutcome
from tasks.store import EventStore, JobRecord, Snapshots, Store
from tests.chaos.conduct import Run
from tests.chaos.history import History, Note, judge

MAX_SHOWN: Final = 20


@dataclass(slots=True)
class Findings:
    """What is wrong, and what was measured. Lines begin with the job's number and id."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    stuck: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])
    steps: int = 0
    attempts: int = 0
    statuses: dict[str, int] = field(default_factory=dict[str, int])
    reruns_s: list[float] = field(default_factory=list[float])
    """From the kill of a worker until the next attempt of a step that it held had begun."""

    in_vain: list[str] = field(default_factory=list[str])
    """Attempts that an agent had begun and that ended with their worker: their work is done again."""

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.stuck or self.wrong)

    def rerun(self, share: float) -> float | None:
        """A quantile of the times to the next start, in seconds; None when no step was hit."""
        if not self.reruns_s:
            return None
        ordered = sorted(self.reruns_s)
        return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3)

    @property
    def median_rerun(self) -> float | None:
        """Half of the steps began again sooner."""
        return round(statistics.median(self.reruns_s), 3) if self.reruns_s else None


async def examine(run: Run) -> Findings:
    """Read every accepted job and judge it."""
    notes: dict[str, list[Note]] = defaultdict(list)
    for note in read_notes(run.log):
        notes[note.job].append(note)
    findings = Findings()
    store = Store(run.settings)
    try:
        for job, plan in run.accepted.items():
            record = await Snapshots(store).job(JobId(job))
            events = await _events(store, JobId(job))
            cost = int(await cast(Any, store.redis).hget(store.keys.job(JobId(job)), "cost"))
            add(findings, f"{plan.number} {job}", History(plan, record, events, notes[job], cost))
            if job in run.open:
                findings.stuck.append(f"{plan.number} {job}: {record.status}")
            findings.reruns_s += reruns(
                record, notes[job], {pid: at for pid, at, role in run.hands.kills if role == "worker"}
            )
        findings.wrong += run.leftovers.faults if run.leftovers else ["the store was never looked at"]
        missing = run.options.jobs - len(run.accepted)
        if missing:
            findings.wrong.append(f"{missing} jobs were never accepted")
    finally:
        await store.close()
    return findings


def add(findings: Findings, name: str, history: History) -> None:
    """Judge one job."""
    verdict = judge(history)
    findings.lost += [f"{name}: {line}" for line in verdict.lost]
    findings.doubled += [f"{name}: {line}" for line in verdict.doubled]
    findings.wrong += [f"{name}: {line}" for line in verdict.wrong]
    findings.steps += len(history.record.steps)
    findings.attempts += sum(len(step.attempts) for step in history.record.steps)
    begun = {(note.step, note.attempt) for note in history.notes if note.what == "start"}
    for step in history.record.steps:
        for one in step.attempts:
            if one.outcome in (AttemptOutcome.LOST, AttemptOutcome.RETURNED) and (step.step.id, one.number) in begun:
                findings.in_vain.append(f"{name}: {step.step.id}, attempt {one.number}, {one.outcome}")
    status = history.record.status.value
    findings.statuses[status] = findings.statuses.get(status, 0) + 1


def reruns(record: JobRecord, notes: Sequence[Note], kills: Mapping[int, float]) -> list[float]:
    """Seconds from the kill of its worker to the next start, for every attempt that was lost by a kill."""
    begun = {(note.step, note.attempt): note for note in notes if note.what == "start"}
    found: list[float] = []
    for step in record.steps:
        for one in step.attempts:
            first, again = begun.get((step.step.id, one.number)), begun.get((step.step.id, one.number + 1))
            if one.outcome is not AttemptOutcome.LOST or first is None or again is None:
                continue
            killed = kills.get(first.pid)
            if killed is not None and first.at <= killed <= again.at:
                found.append(again.at - killed)
    return found


def read_notes(log: Path) -> list[Note]:
    """What the agents wrote."""
    if not log.exists():
        return []
    return [Note.model_validate_json(line) for line in log.read_text().splitlines()]


async def _events(store: Store, job: JobId) -> list[JobEvent]:
    found: list[JobEvent] = []
    while batch := await EventStore(store).read(job, found[-1].seq if found else 0):
        found += batch
    return found


def shown(lines: Sequence[str]) -> list[str]:
    """The first of many lines."""
    rest = len(lines) - MAX_SHOWN
    return [*islice(lines, MAX_SHOWN), *([f"and {rest} more"] if rest > 0 else [])]
