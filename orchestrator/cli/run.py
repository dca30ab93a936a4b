"""`troupe run`: one job on a stack of its own, from nothing to the answer, with nothing left behind."""

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.console import PlainConsole
from orchestrator.cli.embedded import CONCURRENCY, run_embedded
from orchestrator.cli.jobs import (
    DEFAULT_TIMEOUT_S,
    AsJson,
    BudgetRequests,
    BudgetTokens,
    BudgetToolCalls,
    BudgetUsd,
    Concurrency,
    Data,
    Docs,
    Knowledge,
    MaxInFlight,
    Model,
    Replan,
    Review,
    Task,
    Timeout,
    ingested,
    print_outcome,
)
from orchestrator.cli.recording import Recorder
from orchestrator.local.stack import LocalStack
from orchestrator.place import given_redis_url, home
from orchestrator.request import job_spec
from orchestrator.settings import OrchestratorSettings
from tasks.ids import new_job_id
from tasks.results import JobResult
from tasks.settings import read_settings
from tasks.usage import Budget


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
    replan: Replan = None,
    review: Review = False,
    concurrency: Concurrency = CONCURRENCY,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", help="Write what models and tools said there, for troupe replay."),
    ] = None,
) -> None:
    """Run one job on an embedded stack: own Redis, orchestrator and workers; the answer goes to stdout."""
    recorder = Recorder(record) if record else None
    outcome = run_job(
        task, docs or [], data or [], kb or [], model=model, budget_usd=budget_usd,
        budget=Budget(tokens=budget_tokens, requests=budget_requests, tool_calls=budget_tool_calls), timeout=timeout,
        max_in_flight=max_in_flight, replan=replan, review=review, concurrency=concurrency, recorder=recorder,
    )  # fmt: skip
    print_outcome(outcome, json=json)
    if recorder is not None and recorder.failed:
        raise typer.Exit(1)


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
    replan: int | None = None,
    review: bool = False,
    concurrency: int = CONCURRENCY,
    recorder: Recorder | None = None,
) -> JobResult:
    """Run one job on a stack of its own, with its progress on stderr.

    Args:
        recorder: Takes the recording of the job when it has ended.

    Raises:
        ContractError: something about the job is wrong; found out before anything is started where possible.
        TransientError: the stack did not start.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the job was cancelled and the stack ended.
    """
    from workers.cli.worker import check_model, queues_of_agents

    job_spec(
        new_job_id(0), task, model=model, knowledge=knowledge, data=data, budget_usd=budget_usd, budget=budget,
        timeout=timeout, max_in_flight=max_in_flight, replan=replan, review=review,
    )  # fmt: skip
    if knowledge:
        from workers.cli.run_documents import check_knowledge

        check_knowledge(knowledge, home())
    check_model(model)
    read_settings(OrchestratorSettings)  # its process could say what is wrong with it in its log only
    queues = queues_of_agents()
    knowledge = [*knowledge, *ingested(docs, quiet=False)]
    stack = LocalStack(home(), [[queue] for queue in queues], redis_url=given_redis_url(), concurrency=concurrency)
    return run_embedded(
        stack,
        PlainConsole(stderr=True),
        lambda troupe: troupe.submit(
            task, model=model, knowledge=knowledge, data=data, budget_usd=budget_usd, budget=budget,
            timeout=timeout, max_in_flight=max_in_flight, replan=replan, review=review,
        ),
        recorder.take if recorder else lambda _job: None,
    )  # fmt: skip
