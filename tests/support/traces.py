"""What the store keeps of a job, made by hand, for tests of traces: one of all kinds, and a large one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from orchestrator.tracing.assemble import assemble
from tasks.events import EVENT, JobEvent
from tasks.ids import JobId, StepId, WorkerName
from tasks.models import Attempt, AttemptOutcome, Failure, JobSpec, Step, StepKind, StepResult
from tasks.states import FINAL_STEP, StepStatus, TaskStatus
from tasks.store import JobRecord, StepRecord
from tasks.trace import CallRecord, Calls, SpanKind, Trace
from tasks.usage import Ledger, LedgerLine, Usage

JOB: Final = JobId("j0123456789abcdefgh3")
BEGIN: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MODEL: Final = "claude-sonnet-5-5"


def at(seconds: float) -> datetime:
    """A time, in seconds from the submit on."""
    return BEGIN + timedelta(milliseconds=round(seconds * 1000))


def tried(
    step: str, number: int, start: float, end: float, outcome: str = "succeeded", *, worker: str = "search@one",
    usage: Usage | None = None, failure: Failure | None = None,
) -> Attempt:  # fmt: skip
    """An attempt that ended."""
    return Attempt(
        step=StepId(step), number=number, outcome=AttemptOutcome(outcome), worker=WorkerName(worker),
        started_at=at(start), finished_at=at(end), usage=usage or Usage(), failure=failure,
    )  # fmt: skip


def stepped(
    name: str, status: StepStatus | str, *attempts: Attempt, agent: str = "search", kind: StepKind = StepKind.WORK,
    step: Mapping[str, Any] | None = None, **facts: Any,
) -> StepRecord:  # fmt: skip
    """A step as stored; what follows from its attempts follows from them.

    Args:
        step: Further fields of the step itself.
    """
    values = {"id": name, "kind": kind, "description": f"Do {name}.", "agent": agent, "queue": agent, **(step or {})}
    last, known = (attempts[-1] if attempts else None), StepStatus(status)
    stored: dict[str, Any] = {
        "attempt": last.number if last else 0, "failures": 0, "losses": 0, "worker": last.worker if last else None,
        "started_at": last.started_at if last else None,
        "finished_at": last.finished_at if last and known in FINAL_STEP else None,
        "result": StepResult(text=f"Found out about {name}.") if known is StepStatus.SUCCEEDED else None,
        "failure": None, **facts,
    }  # fmt: skip
    return StepRecord(step=Step.model_validate(values), status=known, attempts=attempts, **stored)


def jobbed(*steps: StepRecord, status: str = "in_progress", **facts: Any) -> JobRecord:
    """A job as stored."""
    final = status in {"completed", "failed", "cancelled"}
    ends = [step.finished_at for step in steps if step.finished_at]
    stored: dict[str, Any] = {
        "revision": 1, "seq": 1, "created_at": BEGIN, "started_at": BEGIN,
        "finished_at": max(ends, default=BEGIN) if final else None, "failure": None, **facts,
    }  # fmt: skip
    spec = stored.pop("spec", JobSpec(id=JOB, task="Why is it so?"))
    return JobRecord(spec=spec, status=TaskStatus(status), steps=steps, **stored)


def told(*facts: tuple[float, str, Mapping[str, Any]], first: int = 1) -> list[JobEvent]:
    """Events: when, of what type, with what fields."""
    return [
        EVENT.validate_python({"type": kind, "job_id": JOB, "seq": first + number, "at": at(when), **fields})
        for number, (when, kind, fields) in enumerate(facts)
    ]


def called(
    step: str, attempt: int, end: float, name: str = MODEL, *, kind: SpanKind = SpanKind.MODEL_CALL,
    ms: float | None = 500, **fields: Any,
) -> CallRecord:  # fmt: skip
    """A call that ended."""
    values = {"id": f"{name}-{end}", "usage": Usage(requests=1, input_tokens=100, cost_microusd=10), **fields}
    return CallRecord.model_validate(
        {"step": step, "attempt": attempt, "at": at(end), "kind": kind, "name": name, "duration_ms": ms, **values}
    )


def traced(
    record: JobRecord, events: Sequence[JobEvent] = (), calls: Sequence[CallRecord] = (), *, now: float = 1000,
    cut: int = 0,
) -> Trace:  # fmt: skip
    """The trace of it."""
    return assemble(record, events, Calls(calls=tuple(calls), cut=cut), at(now))


REFUSED: Final = Failure(code="rate_limited", message="the provider is busy", retryable=True)
HOPELESS: Final = Failure(code="tool_failed", message="no such table: sales")


def a_rich_trace(**facts: Any) -> Trace:
    """A job in which most things happen: retries, a delegation, a failure, something that runs."""
    used = Usage(input_tokens=1200, output_tokens=300, requests=2, tool_calls=1, cost_microusd=12_345)
    record = jobbed(
        stepped("plan", "succeeded", tried("plan", 1, 0.2, 1.9), agent="planner", kind=StepKind.PLAN),
        stepped(
            "find", "succeeded", tried("find", 1, 2.2, 3.1, "failed", failure=REFUSED), tried("find", 2, 5.4, 8.8),
            step={"depends_on": ()}, failures=1,
        ),
        stepped(
            "count", "failed", tried("count", 1, 2.3, 6.1, "failed", worker="analysis@two", failure=HOPELESS),
            agent="analysis", failure=HOPELESS,
        ),
        stepped("lead", "running", tried("lead", 1, 2.1, 3.0, "parked"), agent="lead", attempt=2, started_at=at(7.1)),
        stepped("lead_1", "succeeded", tried("lead_1", 1, 3.4, 6.6), step={"parent": "lead"}),
        stepped("later", "blocked", step={"depends_on": ("find", "lead"), "optional": True}, agent="summary"),
        stepped("synthesis", "blocked", kind=StepKind.SYNTHESIS, agent="summary",
                step={"depends_on": ("later", "count"), "join": "best_effort"}),
        ledger=Ledger(lines=(LedgerLine(step=StepId("find"), agent="search", model=MODEL, usage=used),), unanswered=1),
        **facts,
    )  # fmt: skip
    events = told(
        (0, "job_submitted", {}),
        (2.0, "step_dispatched", {"step": "find", "attempt": 1}),
        (2.2, "step_started", {"step": "find", "attempt": 1, "worker": "search@one"}),
        (3.0, "step_parked", {"step": "lead", "attempt": 1, "waits_for": ["children"]}),
        (3.1, "step_retrying", {"step": "find", "attempt": 1, "delay_ms": 2000}),
        (3.2, "children_accepted", {"step": "lead", "steps": ["lead_1"]}),
        (5.3, "step_dispatched", {"step": "find", "attempt": 2}),
        (6.6, "step_woken", {"step": "lead"}),
    )
    calls = [
        called("plan", 1, 1.8, input="Why is it so?", output='{"steps": []}'),
        called("find", 1, 3.05, code="rate_limited", error="429", usage=None),
        called("find", 2, 6.5),
        called("find", 2, 7.0, "search", kind=SpanKind.TOOL_CALL, input='{"query": "so"}', output="It is so."),
        called("find", 2, 7.4, "rank", kind=SpanKind.CUSTOM, ms=12, usage=None),
        called("count", 1, 6.0, "sql", kind=SpanKind.TOOL_CALL, code="raised", error="no such table: sales", ms=3000),
        called("lead", 1, 2.9), called("lead_1", 1, 6.5), called("lead", 2, 8.0, ms=None, code="unanswered"),
    ]  # fmt: skip
    return traced(record, events, calls, now=9)


def a_large_trace(steps: int = 300, calls: int = 10, *, text: str = "What was found here, in some words. ") -> Trace:
    """A job with very many steps, in five stages, and as many calls in each."""
    return assemble(*a_large_job(steps, calls, text=text), now=at(400))


def a_large_job(
    steps: int = 300, calls: int = 10, *, text: str = "What was found here, in some words. "
) -> tuple[JobRecord, list[JobEvent], Calls]:
    """All that is stored of it."""
    stages = 5
    width = max(1, steps // stages)
    records: list[StepRecord] = []
    kept: list[CallRecord] = []
    for number in range(steps):
        stage, place = divmod(number, width)
        name, start = f"step-{number}", 10 + 60 * stage + 0.4 * (place % 20)
        end = start + 12 + (number * 7919 % 400) / 10
        needs = [f"step-{one}" for one in (number - width, number - width + 1 - 2 * (place % 2)) if one >= 0]
        failed = number % 41 == 40
        outcome = tried(name, 2 if number % 13 == 5 else 1, start, end, "failed" if failed else "succeeded",
                        worker=f"worker-{number % 8}@host", failure=HOPELESS if failed else None)  # fmt: skip
        first = [tried(name, 1, start - 9, start - 3, "lost", failure=REFUSED)] if outcome.number == 2 else []
        agent = ("search", "analysis", "summary")[number % 3]
        records.append(
            stepped(
                name, "failed" if failed else "succeeded", *first, outcome, agent=agent,
                step={"depends_on": tuple(dict.fromkeys(needs)), "join": "best_effort"},
                failure=HOPELESS if failed else None,
            )
        )  # fmt: skip
        length = (end - start) / calls
        for one in range(calls):
            kind = SpanKind.MODEL_CALL if one % 2 == 0 else SpanKind.TOOL_CALL
            tool = "query_table" if agent == "analysis" else "search_knowledge"
            kept.append(
                called(name, outcome.number, start + length * (one + 1), MODEL if one % 2 == 0 else tool, kind=kind,
                       ms=length * 900, id=f"c{one}", input=text * 8, output=text * 12)
            )  # fmt: skip
    used = Usage(input_tokens=9000, output_tokens=700, requests=calls // 2, tool_calls=calls // 2, cost_microusd=37_500)
    lines = tuple(LedgerLine(step=one.step.id, agent=one.step.agent, model=MODEL, usage=used) for one in records)
    events = told(*((0.0, "step_dispatched", {"step": one.step.id, "attempt": one.attempt}) for one in records))
    record = jobbed(*records, status="completed", ledger=Ledger(lines=lines))
    return record, events, Calls(calls=tuple(kept))
