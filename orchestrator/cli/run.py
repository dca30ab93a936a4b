"""`troupe run`: one job on a stack of its own, from nothing to the answer, with nothing left behind."""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console

from orchestrator.blocking import JobHandle, Troupe
from orchestrator.cli.jobs import (
    DEFAULT_TIMEOUT_S,
    AsJson,
    BudgetRequests,
    BudgetTokens,
    BudgetToolCalls,
    BudgetUsd,
    Data,
    Docs,
    Knowledge,
    MaxInFlight,
    Model,
    Task,
    Timeout,
    ingested,
    print_outcome,
)
from orchestrator.cli.tree import JobView, Refresh, follow
from orchestrator.local.stack import LocalStack
from orchestrator.place import given_redis_url, home
from orchestrator.request import job_spec
from orchestrator.settings import OrchestratorSettings
from tasks.errors import TroupeError
from tasks.events import JobEvent
from tasks.ids import new_job_id
from tasks.results import JobResult
from tasks.settings import read_settings
from tasks.usage import Budget

CHECK_S: Final = 0.5
CONCURRENCY: Final = 16
"""Threads of each worker process of a run: one job needs no more."""


def run(
    task: Task,
    docs: Docs = None,
    data: Data = None,
    kb: Knowledge = None,
    model: Model = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    budget_requests: BudgetRequests = None,
    budget_tool_calls: BudgetToolCalls = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    json: AsJson = False,
    max_in_flight: MaxInFlight = None,
    concurrency: Annotated[int, typer.Option(min=1, max=5000, help="Threads of each worker.")] = CONCURRENCY,
) -> None:
    """Run one job on an embedded stack: own Redis, orchestrator and workers; the answer goes to stdout."""
    outcome = run_job(
        task, docs or [], data or [], kb or [], model=model, budget_usd=budget_usd,
        budget=Budget(tokens=budget_tokens, requests=budget_requests, tool_calls=budget_tool_calls), timeout=timeout,
        max_in_flight=max_in_flight, concurrency=concurrency,
    )  # fmt: skip
    print_outcome(outcome, json=json)


def run_job(
    task: str,
    docs: list[Path],
    data: list[Path],
    knowledge: list[str],
    *,
    model: str | None = None,
    budget_usd: float | None = None,
    budget: Budget | None = None,
    timeout: float = DEFAULT_TIMEOUT_S,
    max_in_flight: int | None = None,
    concurrency: int = CONCURRENCY,
) -> JobResult:
    """Run one job on a stack of its own, with its progress on stderr.

    Raises:
        ContractError: something about the job is wrong; found out before anything is started where possible.
        TransientError: the stack did not start.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the job was cancelled and the stack ended.
    """
    from workers.cli.worker import check_model, queues_of_agents

    job_spec(
        new_job_id(0), task, model=model, knowledge=knowledge, data=data, budget_usd=budget_usd, budget=budget,
        timeout=timeout, max_in_flight=max_in_flight,
    )  # fmt: skip
    if knowledge:
        from workers.cli.run_documents import check_knowledge

        check_knowledge(knowledge, home())
    check_model(model)
    read_settings(OrchestratorSettings)  # its process could say what is wrong with it in its log only
    queues = queues_of_agents()
    console = Console(stderr=True)
    knowledge = [*knowledge, *ingested(docs, quiet=False)]
    previous = signal.signal(signal.SIGTERM, _interrupt)
    stack = LocalStack(home(), [[queue] for queue in queues], redis_url=given_redis_url(), concurrency=concurrency)
    try:
        with ExitStack() as ending:
            ending.push(stack)
            with _signals_held_back():
                stack.start()
            with console.status("starting Redis, the orchestrator and the workers"):
                stack.wait_until_ready()
            with Troupe(stack.url) as troupe:
                job = troupe.submit(
                    task, model=model, knowledge=knowledge, data=data, budget_usd=budget_usd, budget=budget,
                    timeout=timeout, max_in_flight=max_in_flight,
                )  # fmt: skip
                return _see_through(job, console, stack)
    except KeyboardInterrupt:
        _ignore_further_interrupts()
        stack.stop(at_once=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


def _see_through(job: JobHandle, console: Console, stack: LocalStack) -> JobResult:
    view = JobView(job.id)
    try:
        follow(view, checked(job.events(), stack.check), console, Refresh(job))
    except KeyboardInterrupt:
        try:
            job.cancel()
        except TroupeError as error:
            console.print(f"the job could not be cancelled: {error}", markup=False, highlight=False)
        raise
    return job.snapshot()


def checked(events: Iterable[JobEvent], check: Callable[[], None]) -> Iterator[JobEvent]:
    """The events as they come, with a check each half second also while none comes; raises what either raises."""
    came: SimpleQueue[JobEvent | BaseException | None] = SimpleQueue()
    threading.Thread(target=_read, args=(events, came), name="events", daemon=True).start()
    while True:
        check()
        try:
            event = came.get(timeout=CHECK_S)
        except Empty:
            continue
        if event is None:
            return
        if isinstance(event, BaseException):
            raise event
        yield event


def _read(events: Iterable[JobEvent], came: "SimpleQueue[JobEvent | BaseException | None]") -> None:
    try:
        for event in events:
            came.put(event)
        came.put(None)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised where the events are wanted
        came.put(error)


@contextmanager
def _signals_held_back() -> Generator[None]:
    """A signal that comes meanwhile counts after the block: no process is started in it and then forgotten."""
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
        if came:
            raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _ignore_further_interrupts() -> None:
    """The stack is being ended at once already; a second Ctrl-C must not leave half of it behind."""
    if sys.platform != "win32":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
