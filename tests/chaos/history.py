"""Judges one job from its events, its record and what its agents noted. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import BaseModel

from orchestrator.planning.replan import NAME as REPLAN
from orchestrator.scheduling.decide import POISON
from tasks.events import (
    JobEvent,
    JobFinished,
    JobSubmitted,
    StepCancelled,
    StepDispatched,
    StepFailed,
    StepFaltered,
    StepParked,
    StepProgress,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)
from tasks.models import AttemptOutcome, Join, StepKind
from tasks.states import StepStatus, TaskStatus
from tasks.store import JobRecord, StepRecord
from tasks.store.jobs import DEADLINE
from tests.chaos.workload import JobPlan
from workers.coordinating.crew import PatternFailed

ENDINGS: Final = {
    StepSucceeded: StepStatus.SUCCEEDED,
    StepFailed: StepStatus.FAILED,
    StepSkipped: StepStatus.SKIPPED,
    StepCancelled: StepStatus.CANCELLED,
}
OF_AGENTS: Final = frozenset({"stumble", "fall"})


class Note(BaseModel):
    """One line that an agent wrote."""

    what: str
    job: str
    step: str
    attempt: int
    pid: int
    at: float
    mark: str
    handed: dict[str, str] = {}


@dataclass(slots=True)
class Verdict:
    """What is wrong with a job."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    wrong: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class History:
    """All that is known of one job."""

    plan: JobPlan
    record: JobRecord
    events: Sequence[JobEvent]
    notes: Sequence[Note]
    cost: int


def judge(history: History) -> Verdict:
    """Hold a job against the promises."""
    verdict = Verdict()
    verdict.wrong += _sequence(history.events)
    by_step: dict[str, list[JobEvent]] = defaultdict(list)
    for event in history.events:
        name = getattr(event, "step", None)
        if name is not None:
            by_step[name].append(event)
    for step in history.record.steps:
        _judge_step(step, by_step.pop(step.step.id, []), history, verdict)
    verdict.wrong += [f"events of unknown step {name}" for name in by_step]
    verdict.wrong += _order(history)
    verdict.wrong += _end(history)
    paid = sum(one.usage.cost_microusd for step in history.record.steps for one in step.attempts)
    if paid != history.cost:
        verdict.wrong.append(f"the job's cost is {history.cost}, that of its attempts {paid}")
    return verdict


def _sequence(events: Sequence[JobEvent]) -> Iterator[str]:
    numbers = [event.seq for event in events]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"event numbers have a gap or are out of order: {numbers}"
    if not events or not isinstance(events[0], JobSubmitted):
        yield "the first event is not job_submitted"
    if [type(event) for event in events].count(JobFinished) != 1 or not isinstance(events[-1], JobFinished):
        yield "job_finished is not the last event, once"
    times = [event.at for event in events]
    if times != sorted(times):
        yield "times of events run backwards"


def _judge_step(step: StepRecord, events: Sequence[JobEvent], history: History, verdict: Verdict) -> None:
    name = step.step.id
    ends = [event for event in events if isinstance(event, tuple(ENDINGS))]
    commits = [event for event in ends if isinstance(event, StepSucceeded)]
    if len(commits) > 1:
        verdict.doubled.append(f"{name} was committed {len(commits)} times")
    if len(ends) != 1:
        verdict.lost.append(f"{name} has {len(ends)} endings, status {step.status}")
        return
    if ENDINGS[type(ends[0])] is not step.status:
        verdict.wrong.append(f"{name} is {step.status} but ended as {ends[0].type}")
    after = [event.type for event in events if event.seq > ends[0].seq]
    if after:
        verdict.wrong.append(f"{name}: after its end came {after}")
    _judge_attempts(step, events, history, verdict)
    if commits:
        verdict.wrong += _result(step, commits[0], history)
    if isinstance(ends[0], StepFailed):
        verdict.wrong += _failure(step, ends[0], history.plan)


def _judge_attempts(step: StepRecord, events: Sequence[JobEvent], history: History, verdict: Verdict) -> None:
    name = step.step.id
    dispatched = [event.attempt for event in events if isinstance(event, StepDispatched)]
    if dispatched != list(range(1, step.attempt + 1)):
        verdict.wrong.append(f"{name}: attempts dispatched {dispatched}, the record says {step.attempt}")
    state: dict[int, str] = {}
    for event in events:
        if isinstance(event, StepStarted):
            if event.attempt in state:
                verdict.doubled.append(f"{name}: attempt {event.attempt} was claimed twice")
            if event.attempt - 1 in state and state[event.attempt - 1] == "running":
                verdict.doubled.append(f"{name}: attempt {event.attempt} began before the last one ended")
            state[event.attempt] = "running"
        elif isinstance(event, StepFaltered | StepParked | StepSucceeded):
            if state.get(event.attempt) != "running":
                verdict.wrong.append(f"{name}: {event.type} of attempt {event.attempt} that was not running")
            state[event.attempt] = "ended"
        elif isinstance(event, StepProgress) and state.get(event.attempt) != "running":
            verdict.wrong.append(f"{name}: stale attempt {event.attempt} wrote an event")
    starts = [note.attempt for note in history.notes if note.step == name and note.what == "start"]
    if len(set(starts)) != len(starts):
        verdict.doubled.append(f"{name}: an attempt was begun twice by agents: {sorted(starts)}")
    if unknown := set(starts) - set(state):
        verdict.wrong.append(f"{name}: agents ran attempts {unknown} that no event tells of")
    recorded = [one.number for one in step.attempts]
    finished = sorted(number for number, how in state.items() if how == "ended")
    if recorded != finished:
        verdict.wrong.append(f"{name}: records of attempts {recorded}, events of {finished}")
    losses = [one.outcome for one in step.attempts].count(AttemptOutcome.LOST)
    failures = [one.outcome for one in step.attempts].count(AttemptOutcome.FAILED)
    if (losses, failures) != (step.losses, step.failures):
        verdict.wrong.append(f"{name}: counts {step.losses}/{step.failures} for {losses} losses, {failures} failures")


def _result(step: StepRecord, commit: StepSucceeded, history: History) -> Iterator[str]:
    name = step.step.id
    if commit.attempt != step.attempt:
        yield f"{name}: attempt {commit.attempt} was committed, the last one is {step.attempt}"
    marks = [
        note.mark for note in history.notes if (note.what, note.step, note.attempt) == ("end", name, commit.attempt)
    ]
    if step.result is None or [step.result.text] != marks:
        yield f"{name}: the result is {step.result and step.result.text!r}, its attempt made {marks}"


def _failure(step: StepRecord, end: StepFailed, plan: JobPlan) -> Iterator[str]:
    code, policy = end.failure.code, step.step.retry
    if code == POISON:
        if step.losses < policy.max_losses:
            yield f"{step.step.id}: poison after {step.losses} losses"
    elif code == DEADLINE.code and plan.timeout_s is not None:
        return  # the job's own time was up: no further attempt is begun
    elif code == PatternFailed.code and step.step.id.startswith(REPLAN):
        return  # it looked for another way to what the plan did not bring, and there was none
    elif code not in OF_AGENTS:
        yield f"{step.step.id} failed with {code}: {end.failure.message}"
    elif code == "stumble" and step.failures < policy.max_attempts:
        yield f"{step.step.id}: given up after {step.failures} failures"


def _order(history: History) -> Iterator[str]:
    """Parents end before their children start, and what they found is what the children get."""
    ends = {event.step: event for event in history.events if isinstance(event, tuple(ENDINGS))}
    steps = {str(step.step.id): step for step in history.record.steps}
    for event in history.events:
        if not isinstance(event, StepDispatched | StepStarted) or event.step not in steps:
            continue
        child = steps[event.step].step
        before = {one: ends[one] for one in child.depends_on if one in ends and ends[one].seq < event.seq}
        good = [one for one in before.values() if isinstance(one, StepSucceeded)]
        if child.join is Join.ALL and len(good) < len(child.depends_on):
            yield f"{child.id} was {event.type} before all it needs had succeeded"
        elif child.join is Join.ANY and child.depends_on and not good:
            yield f"{child.id} was {event.type} before any of what it needs had succeeded"
        elif child.join is Join.BEST_EFFORT and len(before) < len(child.depends_on):
            yield f"{child.id} was {event.type} before all it needs had ended"
    results: Mapping[str, str] = {name: step.result.text for name, step in steps.items() if step.result is not None}
    for note in history.notes:
        for parent, text in note.handed.items():
            if results.get(parent) != text:
                yield f"{note.step} was handed {text!r} of {parent}, whose result is {results.get(parent)!r}"


def _end(history: History) -> Iterator[str]:
    record, plan = history.record, history.plan
    if record.status not in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED):
        yield f"status {record.status}"
    answers = [step for step in record.steps if step.step.kind is StepKind.SYNTHESIS]
    answered = bool(answers) and answers[0].status is StepStatus.SUCCEEDED
    if (record.status is TaskStatus.COMPLETED) != answered:
        yield f"the job is {record.status}, its answer written: {answered}"
    if record.status is TaskStatus.CANCELLED and plan.cancel_after_s is None:
        yield "cancelled by nobody"
    if record.status is TaskStatus.FAILED and record.failure is not None:
        code = record.failure.code
        if code == DEADLINE.code and plan.timeout_s is None:
            yield "ran out of an hour's time"
        if code not in {*OF_AGENTS, DEADLINE.code, POISON, "no_result"}:
            yield f"failed with {code}: {record.failure.message}"
