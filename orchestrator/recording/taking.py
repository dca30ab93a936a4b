"""Taking the recording of a job that has ended, and submitting one as a replay."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from pydantic import JsonValue, TypeAdapter, ValidationError

from orchestrator.planning.bind import unbound
from orchestrator.planning.check import first_step
from orchestrator.recording.lines import EntryLine, HeaderLine, ResultLine, StepLine
from orchestrator.recording.recording import NOT_HELD, Recording
from orchestrator.report import report
from orchestrator.settings import OrchestratorSettings
from tasks.errors import BadRecording, InvalidPlan
from tasks.ids import JobId, StepId
from tasks.models import JobSpec, Plan, StepKind
from tasks.queues import BUILT_IN
from tasks.states import StepStatus, TaskStatus
from tasks.store import AccountStore, JobRecord, JobStore, JournalEntry, Snapshots, StepRecord, Store

ANSWERED: Final = frozenset({"end_turn", "stop_sequence"})
"""How the last answer of a conversation stops."""
OWN_ENDS: Final = frozenset({"no_result", InvalidPlan.code})
"""Failures of jobs that follow from their steps alone."""
_ENTRY: Final[TypeAdapter[dict[str, JsonValue]]] = TypeAdapter(dict[str, JsonValue])


async def take(store: Store, job: JobId) -> Recording:
    """The recording of a job. O(all that its models and tools said).

    Raises:
        UnknownJob: never submitted here, or past its retention.
        BadRecording: it has not ended, was ended from outside, or its exchanges are not known whole.
        StoreUnavailable: no answer in time.
    """
    record = await Snapshots(store).job(job)
    _check(record)
    accounts, journals = AccountStore(store), dict[StepId, tuple[EntryLine, ...]]()
    for one in record.steps:
        entries = await accounts.recall(job, one.step.id)
        if entries and one.status is StepStatus.SUCCEEDED:
            journals[one.step.id] = _entries(one.step.id, entries)
        _check_whole(one, journals.get(one.step.id, ()))
    result = report(record)
    steps = tuple(StepLine.of(step) for step in result.steps)
    count = 1 + len(steps) + sum(len(entries) for entries in journals.values())
    header = HeaderLine(release=version("troupe"), model=result.model, job=_asked(record))
    return Recording(header, steps, journals, ResultLine.of(result, count))


async def submit_replay(
    store: Store,
    recording: Recording,
    job: JobId,
    timeout: timedelta,
    limits: OrchestratorSettings,
    *,
    idempotency_key: str | None = None,
    tenant: str | None = None,
    open_jobs: int | None = None,
) -> JobId:
    """Submit a replay: its journals are filled before it is there, so that no worker is too early.

    Args:
        idempotency_key: A second replay with the same key is the first one; only the jobs are compared, not what their
            models said.
        tenant: On whose behalf, whatever is recorded; it has no data files then.
        open_jobs: How many jobs the tenant may have open, in place of what the settings say.

    Raises:
        BadRecording: it holds no job that can be submitted.
        FleetFull: as many jobs are open as may be.
        IdempotencyConflict: the key was used for a different job.
        StoreUnavailable: no answer in time.
    """
    spec: JobSpec = recording.spec(job, timeout)
    if idempotency_key is not None:
        spec = spec.model_copy(update={"idempotency_key": idempotency_key})
    if tenant is not None:  # a recording says what its writer likes: whose it is, and which files are its data
        spec = spec.model_copy(update={"tenant": tenant, "data": ()})
    accounts = AccountStore(store)
    for step, entries in recording.seeds():
        await accounts.seed(job, step, entries)
    first = None if spec.plan is not None else first_step(spec.task, BUILT_IN, limits)
    return await JobStore(store).submit(spec, first, open_jobs=open_jobs)


def _check(record: JobRecord) -> None:
    job = record.spec.id
    if not record.final:
        raise BadRecording(f"job {job} is {record.status}: it can be recorded when it has ended")
    if record.spec.replay:
        raise BadRecording(f"job {job} is a replay itself; its recording is what it was replayed from")
    if any(one.reused for one in record.steps) and record.spec.forked_from is not None:
        source = record.spec.forked_from.job_id
        raise BadRecording(f"job {job} is a fork: what was said in the steps that it reuses stands with job {source}")
    if record.status is TaskStatus.COMPLETED:
        return
    by_itself = any(one.status is StepStatus.FAILED and one.step.kind is not StepKind.WORK for one in record.steps)
    code = record.failure.code if record.failure else "unknown"
    if record.status is not TaskStatus.FAILED or not (by_itself or code in OWN_ENDS):
        raise BadRecording(f"job {job} was ended from outside ({code}): what would have come of it is not known")


def _entries(step: StepId, entries: Sequence[JournalEntry]) -> tuple[EntryLine, ...]:
    try:
        return tuple(EntryLine(step=step, id=one.id, entry=_ENTRY.validate_json(one.text)) for one in entries)
    except ValidationError as error:
        raise BadRecording(f"the journal of step {step!r} is not one that this release can record") from error


def _check_whole(record: StepRecord, entries: Sequence[EntryLine]) -> None:
    """A journal that grew too large was closed: its conversation does not end with an answer."""
    by_model = record.result is not None and record.result.model is not None
    answers = [one.entry for one in entries if one.id.startswith("m")]
    ended = bool(answers) and answers[-1].get("stop_reason") in ANSWERED
    if entries and by_model and not ended:
        step = record.step.id
        raise BadRecording(f"what the model said in step {step!r} is not known whole: the step's journal was too large")


def _asked(record: JobRecord) -> dict[str, JsonValue]:
    """The job's spec, with the plan that it was given, which is not kept once it was accepted."""
    spec = record.spec
    if spec.plan is None and all(one.step.kind is not StepKind.PLAN for one in record.steps):
        work = [unbound(one.step) for one in record.steps if one.step.kind is StepKind.WORK]
        spec = spec.model_copy(update={"plan": Plan(steps=work)})
    asked: Mapping[str, JsonValue] = spec.model_dump(mode="json", exclude_defaults=True)
    return {name: value for name, value in asked.items() if name not in NOT_HELD}
