"""Commands about jobs of a running fleet: submit, result, show, cancel."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from orchestrator.cli.answer import as_text, spent
from orchestrator.cli.board import print_board
from orchestrator.cli.console import PlainConsole
from orchestrator.cli.place import api_settings, connect
from orchestrator.place import home
from orchestrator.remote.settings import RemoteSettings
from orchestrator.request import JobOptions
from tasks.errors import JobCancelled, JobFailed
from tasks.models import StepKind
from tasks.results import JobResult, LedgerReport
from tasks.sessions import Policy, TaskState
from tasks.states import FINAL_JOB, TaskStatus
from tasks.tenancy import DEFAULT_TENANT, tenant_home
from tasks.usage import Budget

Job = Annotated[str, typer.Argument(metavar="JOB", help="Job id, as submit printed it.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Task = Annotated[str, typer.Argument(metavar="TASK", help="What to find out, in plain words.", show_default=False)]
Docs = Annotated[
    list[Path] | None, typer.Option("--docs", metavar="PATH", help="Documents to search: files or folders; repeatable.")
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FILE", help="Data to query (csv, parquet, json); repeatable."),
]
Knowledge = Annotated[
    list[str] | None,
    typer.Option("--kb", metavar="NAME", help="Knowledge base; repeatable. Default: default."),
]
Model = Annotated[str | None, typer.Option("--model", metavar="NAME", help="Model of all agents: offline, claude-…")]
BudgetUsd = Annotated[
    float | None,
    typer.Option("--budget-usd", min=0, metavar="X", help="Most that its model calls may cost together, in dollars."),
]
BudgetTokens = Annotated[
    int | None, typer.Option("--budget-tokens", min=0, metavar="N", help="Most tokens, cached ones included.")
]
BudgetRequests = Annotated[int | None, typer.Option("--budget-requests", min=0, metavar="N", help="Most model calls.")]
BudgetToolCalls = Annotated[
    int | None, typer.Option("--budget-tool-calls", min=0, metavar="N", help="Most tool calls.")
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.001, metavar="S", help="Seconds until the job fails.")]
MaxInFlight = Annotated[
    int | None,
    typer.Option("--max-in-flight", min=1, metavar="N", help="Steps of it at work at the same time, at most."),
]
MaxSteps = Annotated[
    int | None,
    typer.Option(
        "--max-steps", min=1, metavar="N", help="Steps of work that may begin before it stands still (troupe advance)."
    ),
]
Replan = Annotated[
    int | None,
    typer.Option("--replan", min=0, max=20, metavar="N", help="Further plans for what has no result, at most."),
]
Review = Annotated[
    bool, typer.Option("--review", help="Let a model judge if the results suffice, and plan again where they do not.")
]
Concurrency = Annotated[int, typer.Option(min=1, max=5000, help="Threads of each worker.")]
DEFAULT_TIMEOUT_S: Final = 3600.0


def submit(
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
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="A second submit with the same key returns the first job.")
    ] = None,
    tenant: Annotated[str, typer.Option(metavar="NAME", help="On whose behalf; shares are counted by it.")] = "default",
    priority: Annotated[int, typer.Option(min=0, max=9, metavar="0-9", help="Its share while others wait too.")] = 5,
    max_in_flight: MaxInFlight = None,
    max_steps: MaxSteps = None,
    replan: Replan = None,
    review: Review = False,
    session: Annotated[
        str | None, typer.Option(metavar="SESSION", help="The conversation that it goes on with: an id or a name.")
    ] = None,
    policy: Annotated[
        Policy, typer.Option(help="What becomes of it while an earlier request of the session is being answered.")
    ] = Policy.QUEUE,
) -> None:
    """Submit a job and print its id."""
    with connect() as troupe:
        options = JobOptions(
            model=model,
            knowledge=[*(kb or []), *ingested(docs or [], quiet=True, tenant=tenant, api=api_settings())],
            data=list(data or []),
            budget_usd=budget_usd,
            budget=Budget(tokens=budget_tokens, requests=budget_requests, tool_calls=budget_tool_calls),
            timeout=timeout,
            idempotency_key=idempotency_key,
            tenant=tenant,
            priority=priority,
            max_in_flight=max_in_flight,
            max_steps=max_steps,
            replan=replan,
            review=review,
        )
        if session is None:
            job = troupe.submit(task, **options)
        else:
            job = troupe.session(session).send(task, policy=policy, **options)
        typer.echo(job.id)


def result(
    job: Job,
    wait: Annotated[float, typer.Option(min=0, metavar="S", help="Wait up to this many seconds for it to end.")] = 0,
    json: AsJson = False,
) -> None:
    """Print a job's answer, or where it stands."""
    with connect() as troupe:
        handle = troupe.job(job)
        outcome = handle.wait(wait) if wait > 0 else handle.snapshot()
    print_outcome(outcome, json=json)


def show(
    job: Job,
    json: AsJson = False,
    ledger: Annotated[bool, typer.Option("--ledger", help="What it consumed, by step, agent and model.")] = False,
    board: Annotated[bool, typer.Option("--board", help="What its steps have said to each other.")] = False,
) -> None:
    """Print a job with all its steps."""
    with connect() as troupe:
        if ledger:
            print_ledger(troupe.job(job).ledger(), json=json)
            return
        if board:
            print_board(troupe.job(job).board(), json=json)
            return
        outcome = troupe.job(job).snapshot()
    if json:
        typer.echo(outcome.model_dump_json(indent=2))
    else:
        print_job(outcome)


def print_job(outcome: JobResult) -> None:
    """Print a job with all its steps."""
    table = Table("step", "agent", "status", "attempts", "worker", "seconds", "depends on", box=None)
    for step in outcome.steps:
        seconds = ""
        if step.started_at and step.finished_at:
            seconds = f"{(step.finished_at - step.started_at).total_seconds():.2f}"
        worker = (step.worker or "").partition("@")[0]
        needs = ", ".join(step.depends_on)
        ended = step.status.value if step.reused_from is None else "reused"
        table.add_row(step.id, step.agent, ended, str(step.attempts), worker, seconds, needs)
    console = wide_console()
    status = f"{outcome.status.value}{', paused' if outcome.paused else ''}"
    console.print(f"job {outcome.job_id}  {status}\n{outcome.task}\n", markup=False, highlight=False)
    if origin := outcome.forked_from:
        reused = ", ".join(step.id for step in outcome.steps if step.reused_from) or "nothing"
        line = f"forked from {origin.job_id} at {origin.step}; reused: {reused}\n"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if rationale := rationale_of(outcome):
        console.print(f"plan: {rationale}\n", markup=False, highlight=False)
    console.print(table)
    for step in outcome.steps:
        for wait in step.waits_for:
            console.print(f"{step.id} waits for {wait}", markup=False, highlight=False, soft_wrap=True)
    console.print(spent(outcome), markup=False, highlight=False)
    if outcome.error:
        console.print(f"{outcome.error.code}: {outcome.error.message}", markup=False, highlight=False)


def rationale_of(outcome: JobResult) -> str:
    """Why the plan is as it is, in the planner's words; empty where no planner was asked."""
    plans = [step.result.data for step in outcome.steps if step.kind is StepKind.PLAN and step.result]
    said = plans[-1].get("rationale") if plans and isinstance(plans[-1], dict) else None
    return " ".join(said.split()) if isinstance(said, str) else ""


def print_ledger(ledger: LedgerReport, *, json: bool) -> None:
    """Print what a job consumed, and how many calls nobody knows the price of."""
    if json:
        typer.echo(ledger.model_dump_json(indent=2))
        return
    table = Table("step", "agent", "model", "calls", "tools", "in", "out", "read", "written", "usd", box=None)
    for step, agent, model, usage in [
        *((line.step, line.agent, line.model, line.usage) for line in ledger.lines),
        ("total", "", "", ledger.total),
    ]:
        counts = (usage.requests, usage.tool_calls, usage.input_tokens, usage.output_tokens)
        cached = (usage.cache_read_tokens, usage.cache_write_tokens)
        table.add_row(step, agent, model, *(f"{one:,}" for one in (*counts, *cached)), f"{usage.cost_usd:.6f}")
    console = wide_console()
    console.print(table)
    if ledger.unanswered:
        console.print(f"{ledger.unanswered} calls went unanswered; what they cost only the provider knows")


def advance(
    job: Job,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="How many more; all unless given.")] = None,
    wait: Annotated[float, typer.Option(min=0, metavar="S", help="Wait up to this many seconds until it stands.")] = 0,
    json: AsJson = False,
) -> None:
    """Let a job that was submitted with --max-steps go on, and print how far it has come."""
    with connect() as troupe:
        handle = troupe.job(job)
        status = handle.advance(steps)
        outcome = handle.stand(wait) if wait > 0 else handle.snapshot()
    state = TaskState.of(outcome)
    if json:
        typer.echo(state.model_dump_json(indent=2))
    elif outcome.status is TaskStatus.COMPLETED and wait > 0:
        typer.echo(as_text(outcome))
    else:
        typer.echo(f"job {job} {outcome.status.value}: {len(state.completed_steps)} of {len(state.steps)} steps done")
    check_open(job, status, "go on with")


def pause(job: Job) -> None:
    """Stop a job on all workers; `troupe resume` lets it go on where it was."""
    with connect() as troupe:
        status = troupe.job(job).pause()
    check_open(job, status, "pause")
    typer.echo(f"job {job} paused")


def resume(job: Job) -> None:
    """Let a paused job go on."""
    with connect() as troupe:
        status = troupe.job(job).resume()
    check_open(job, status, "resume")
    typer.echo(f"job {job} {status.value}")


def cancel(job: Job) -> None:
    """Cancel a job on all workers."""
    with connect() as troupe:
        status = troupe.job(job).cancel()
    typer.echo(f"job {job} {status.value}")
    if status is not TaskStatus.CANCELLED:
        check_open(job, status, "cancel")


def check_open(job: str, status: TaskStatus, move: str) -> None:
    """Say that nothing was done with a job that had ended before.

    Raises:
        JobFailed: it had.
    """
    if status in FINAL_JOB:
        raise JobFailed(f"job {job} was {status.value} before; there is nothing to {move}")


def wide_console() -> Console:
    """Stdout for tables: as wide as they are where nobody watches, so that ids can be cut out by a script."""
    console = PlainConsole()
    return console if console.is_terminal else PlainConsole(width=200)


def ingested(
    paths: list[Path], *, quiet: bool, tenant: str = DEFAULT_TENANT, api: RemoteSettings | None = None
) -> list[str]:
    """The knowledge base of these documents, as a list; empty without documents. Shows a bar unless `quiet`.

    Args:
        api: Where the documents go; None: they stay on this machine.

    Raises:
        ContractError: a tenant's name that is none.
        BadDocument: a path does not exist, or nothing usable stands below any of them.
    """
    if not paths:
        return []
    from rich.progress import Progress as Bar

    from workers.cli.bases import Progress, checked_tenant
    from workers.cli.run_documents import ingest_for_run

    place = tenant_home(home(), checked_tenant(tenant))

    console = PlainConsole(stderr=True, quiet=quiet)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        reading = bar.add_task("reading documents", total=None)

        def advance(done: Progress) -> None:
            bar.update(reading, completed=done.done, total=done.total)

        def skipped(path: str, reason: str) -> None:
            console.print(f"skipped {path}: {reason}", markup=False, highlight=False, soft_wrap=True)

        if api is None:
            return [ingest_for_run(paths, place, on_progress=advance, on_skipped=skipped)]
        from orchestrator.cli.bases import RemoteBases

        whose = None if tenant == DEFAULT_TENANT else tenant  # that of the key, otherwise
        return [RemoteBases(api, whose).add_for_run(paths, advance, skipped)]


def print_outcome(outcome: JobResult, *, json: bool) -> None:
    """Print a job's outcome on stdout; a job that did not complete ends the command with code 1.

    Raises:
        JobFailed, JobCancelled: it did not complete, and the reason has not been printed yet.
    """
    if json:
        typer.echo(outcome.model_dump_json(indent=2))
        if outcome.status in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
            raise typer.Exit(1)
        return
    if outcome.status is TaskStatus.COMPLETED:
        typer.echo(as_text(outcome))
    elif outcome.status in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
        raise (JobFailed if outcome.status is TaskStatus.FAILED else JobCancelled)(as_text(outcome))
    else:
        done = sum(1 for step in outcome.steps if step.finished_at)
        so_far = f"{done} of {len(outcome.steps)} steps ended"
        paused = f"; paused, `troupe advance {outcome.job_id}` lets it go on" if outcome.paused else ""
        typer.echo(f"job {outcome.job_id} {outcome.status.value}: {so_far}{paused}")
        for step in outcome.steps:
            for wait in step.waits_for:
                typer.echo(f"{step.id} waits for {wait}")
