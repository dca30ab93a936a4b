"""`troupe worker`: one worker process on the queues that it is given."""

import os
import socket
import sys
from typing import Annotated, Any, cast

import typer

from tasks.errors import UnknownAgent
from tasks.parent import end_with_parent


def worker(
    queues: Annotated[
        list[str] | None, typer.Argument(metavar="QUEUE…", help="Queues to work on; all known ones unless given.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=5000, help="Attempts at the same time. Default: TROUPE_CONCURRENCY, or 50.")
    ] = None,
) -> None:
    """Work on steps of these queues until SIGTERM, then drain."""
    sys.path.insert(0, "")  # own agents may lie in the working directory, as with `celery -A`
    from workers import main as worker_main

    known = worker_main.agents.queues
    wanted = list(dict.fromkeys(queues or known))
    strange = [name for name in wanted if name not in known]
    if strange:
        raise UnknownAgent(
            f"no agent listens on queue {', '.join(map(repr, strange))}; there are: {', '.join(known)}"
            " (own agents: set TROUPE_AGENTS)"
        )
    end_with_parent()
    threads = concurrency or worker_main.worker_settings.concurrency
    # Not `app.worker_main`: loading Celery's command line, with Flower's and a shell's, costs half a second of CPU.
    celery_worker = cast(Any, worker_main.app).Worker(
        hostname=f"{'-'.join(wanted)[:40]}-{os.getpid()}@{socket.gethostname()}",
        pool_cls="threads",
        concurrency=threads,
        queues=wanted,
        task_events=worker_main.worker_settings.task_events,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    celery_worker.start()
    raise typer.Exit(int(celery_worker.exitcode or 0))


def queues_of_agents() -> list[str]:
    """Queues of all agents that this environment knows, for who starts workers.

    Raises:
        BadSetting: TROUPE_AGENTS names a module that cannot be used.
    """
    return sorted(set(queues_by_agent().values()))


def queues_by_agent() -> dict[str, str]:
    """All agents that this environment knows, with their queues.

    Raises:
        BadSetting: TROUPE_AGENTS names a module that cannot be used.
    """
    from tasks.settings import read_settings
    from workers.agents.registry import load_agents
    from workers.settings import WorkerSettings

    agents = load_agents(read_settings(WorkerSettings).agent_modules)
    return {agent.name: agent.queue for agent in agents.definitions()}


def check_model(name: str | None) -> str:
    """The name of the model that will answer, with all settings of the workers read.

    Raises:
        UnknownModel, BadSetting: it cannot be had, or another setting is wrong.
        ContractError: an agent asks for something that it cannot do.
    """
    from tasks.settings import read_settings
    from workers.agents.fitness import Fitness
    from workers.agents.registry import load_agents
    from workers.llm.catalog import make_model
    from workers.llm.settings import ModelSettings
    from workers.rooms import check_settings
    from workers.settings import WorkerSettings

    check_settings()
    settings = read_settings(ModelSettings)
    model = make_model(name, settings).name
    Fitness(settings).check_all(load_agents(read_settings(WorkerSettings).agent_modules), model)
    return model
