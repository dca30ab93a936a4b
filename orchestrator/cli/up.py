"""`troupe up`: the whole stack as local processes, until Ctrl-C or SIGTERM."""

import signal
import threading
from typing import Annotated, Final

import typer
from rich.console import Console

from orchestrator.local.redis_server import free_port, port_is_free
from orchestrator.local.stack import LocalStack
from orchestrator.local.state import only_stack, write_state
from orchestrator.place import given_redis_url, home
from orchestrator.settings import OrchestratorSettings
from tasks.address import hide_password
from tasks.errors import BadSetting
from tasks.metrics.settings import USUAL_PORT, MetricsSettings
from tasks.settings import read_settings

USUAL_REDIS_PORT: Final = 6379
USUAL_FLOWER_PORT: Final = 5555
CHECK_S: Final = 0.5


def up(
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=5000, help="Threads of each worker. Default: TROUPE_CONCURRENCY, or 50.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes for each queue.")] = 1,
    redis_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the embedded Redis. Default: 6379, or a free one.")
    ] = None,
    flower_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of Flower. Default: 5555, or a free one.")
    ] = None,
    flower: Annotated[bool, typer.Option("--flower/--no-flower", help="Run Flower too.")] = True,
    metrics: Annotated[
        bool, typer.Option("--metrics", help=f"Serve figures for Prometheus, from port {USUAL_PORT} on.")
    ] = False,
) -> None:
    """Run the whole stack: Redis, an orchestrator, a worker for every queue, Flower."""
    from workers.cli.worker import check_model, queues_of_agents

    model = check_model(None)
    read_settings(OrchestratorSettings)  # its process could say what is wrong with it in its log only
    metrics_port = read_settings(MetricsSettings).metrics_port or (USUAL_PORT if metrics else 0)
    url = given_redis_url()
    stack = LocalStack(
        home(),
        [[queue] for queue in queues_of_agents() for _ in range(workers)],
        redis_url=url,
        redis_port=_port(redis_port, USUAL_REDIS_PORT, "--redis-port") if url is None else None,
        keep=True,
        concurrency=concurrency,
        environment=_environment(flower=flower, metrics_port=metrics_port),
    )
    flower_at = _port(flower_port, USUAL_FLOWER_PORT, "--flower-port") if flower else None
    ending = threading.Event()
    signals = _Signals(ending, stack)
    signals.install()
    console = Console(stderr=True)
    with only_stack(home()), stack:
        if flower_at is not None and stack.children is not None:
            stack.children.start("flower", ["flower", "--port", str(flower_at)])
        with console.status("starting"):
            stack.wait_until_ready(ending)
        addresses = {"flower_url": f"http://127.0.0.1:{flower_at}"} if flower_at else {}
        if not ending.is_set():
            write_state(home(), stack.url, addresses)
            _say(console, stack, model, addresses, metrics_port)
        while not ending.wait(CHECK_S):
            stack.check()
        console.print("stopping", markup=False, highlight=False)


class _Signals:
    """The first signal ends the stack in order, the second at once."""

    def __init__(self, ending: threading.Event, stack: LocalStack) -> None:
        self.ending = ending
        self.stack = stack

    def install(self) -> None:
        """Take SIGINT and SIGTERM."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        if self.ending.is_set() and self.stack.children is not None:
            self.stack.children.kill()
        self.ending.set()


def _environment(*, flower: bool, metrics_port: int) -> dict[str, str]:
    """Variables of all processes of the stack."""
    found = {"TROUPE_TASK_EVENTS": "true"} if flower else {}  # else Flower misses the first seconds
    return found | ({"TROUPE_METRICS_PORT": str(metrics_port)} if metrics_port else {})


def _say(console: Console, stack: LocalStack, model: str, addresses: dict[str, str], metrics_port: int) -> None:
    metrics = f"metrics       http://127.0.0.1:{metrics_port}/metrics and the next ports: troupe metrics lists them"
    lines = [
        f"Redis         {hide_password(stack.url)}",
        *(f"Flower        {url}" for url in addresses.values()),
        *([metrics] if metrics_port else []),
        f"model         {model}",
        f"logs          {stack.folder / 'logs'}",
        "",
        "From a second shell:   troupe submit 'your task'   ·   troupe watch JOB   ·   troupe jobs",
        f'From Python:           from orchestrator import Troupe; troupe = Troupe("{hide_password(stack.url)}")',
        "Ctrl-C ends it.",
    ]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _port(wanted: int | None, usual: int, option: str) -> int:
    """The wanted port, the usual one, or any free one.

    Raises:
        BadSetting: the wanted one is taken.
    """
    if wanted is None:
        return usual if port_is_free(usual) else free_port()
    if not port_is_free(wanted):
        raise BadSetting(f"port {wanted} is taken; choose another one with {option}")
    return wanted
