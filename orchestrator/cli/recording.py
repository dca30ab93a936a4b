"""`troupe record` and `troupe replay`: a job's exchanges with models and tools in a file, and the job again from it."""

from pathlib import Path
from typing import Annotated, Final

import typer

from orchestrator.blocking import JobHandle
from orchestrator.cli.answer import as_text
from orchestrator.cli.console import PlainConsole
from orchestrator.cli.embedded import CONCURRENCY, run_embedded
from orchestrator.cli.jobs import DEFAULT_TIMEOUT_S, AsJson, Concurrency, Job, Timeout
from orchestrator.cli.place import connect
from orchestrator.local.stack import LocalStack
from orchestrator.place import given_redis_url, home
from orchestrator.recording import Recording
from orchestrator.recording.file import check_place
from orchestrator.settings import OrchestratorSettings
from tasks.errors import ReplayDiverged, TroupeError, UnknownAgent
from tasks.redaction import redact_text
from tasks.settings import read_settings

MAX_WORKERS: Final = 32
NO_CALLS: Final = {"TROUPE_ALLOW_MODEL_REQUESTS": "false"}
"""Nothing in a replay asks a model; were there a defect, it would be found here."""

File = Annotated[Path, typer.Argument(metavar="FILE", help="The recording.", show_default=False)]


class Recorder:
    """Takes the recording of a job that has just ended. That it cannot must not cost the answer."""

    def __init__(self, path: Path) -> None:
        """See that the file can be written, before there is anything to lose.

        Raises:
            BadRecording: it cannot.
        """
        check_place(path)
        self.path = path
        self.failed = False

    def take(self, job: JobHandle) -> None:
        """Write it, or say on stderr why not."""
        try:
            job.record().write(self.path)
        except TroupeError as error:
            self.failed = True
            typer.echo(f"not recorded: {' '.join(redact_text(str(error)).split())}", err=True)


def record(job: Job, file: File) -> None:
    """Write what models and tools said in a job that has ended, to be replayed."""
    check_place(file)
    with connect() as troupe:
        troupe.job(job).record().write(file)


def replay(
    file: File,
    workers: Annotated[
        int, typer.Option(min=1, max=MAX_WORKERS, metavar="N", help="Worker processes for each queue.")
    ] = 1,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
    json: AsJson = False,
    concurrency: Concurrency = CONCURRENCY,
) -> None:
    """Run a recorded job again on an embedded stack, without asking a model or calling a tool.

    Ends with 0 when all comes out as recorded, else with 1 and the first difference on stderr.
    """
    from workers.cli.worker import check_model, queues_by_agent

    recording = Recording.read(file)
    queues = queues_by_agent()
    missing = [name for name in recording.agents if name not in queues]
    if missing:
        raise UnknownAgent(f"the recording needs agents that are not here: {', '.join(missing)}; set TROUPE_AGENTS")
    check_model(None)
    read_settings(OrchestratorSettings)  # its process could say what is wrong with it in its log only
    processes = [[queue] for queue in sorted(set(queues.values())) for _ in range(workers)]
    stack = LocalStack(home(), processes, redis_url=given_redis_url(), concurrency=concurrency, environment=NO_CALLS)
    outcome = run_embedded(stack, PlainConsole(stderr=True), lambda troupe: troupe.replay(recording, timeout=timeout))
    difference = recording.difference(outcome)
    typer.echo(outcome.model_dump_json(indent=2) if json else as_text(outcome))
    if difference is not None:
        raise ReplayDiverged(f"the replay differs from the recording: {difference}")
