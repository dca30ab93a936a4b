"""`troupe up`: the whole stack as local processes, until Ctrl-C or SIGTERM."""

import time
from typing import Annotated, Final

import typer
from rich.console import Console

from orchestrator.api.settings import USUAL_PORT as USUAL_API_PORT
from orchestrator.api.settings import ApiSettings
from orchestrator.blocking import Troupe
from orchestrator.local.autoscale import Autoscale, parse_range
from orchestrator.local.ending import Ending
from orchestrator.local.redis_server import free_port, port_answers, port_is_free
from orchestrator.local.stack import READY_WITHIN_S, LocalStack
from orchestrator.local.state import only_stack, write_state
from orchestrator.place import given_redis_url, home
from orchestrator.scaling import ScaleBounds
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
    api: Annotated[bool, typer.Option("--api/--no-api", help="Serve the HTTP API and the page too.")] = True,
    api_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the API. Default: TROUPE_API_PORT, or a free one."),
    ] = None,
    autoscale: Annotated[
        str | None,
        typer.Option(metavar="MIN:MAX", help="Worker processes of each queue, as many as it wants within these."),
    ] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help=f"Serve figures for Prometheus, from port {USUAL_PORT} on.")
    ] = False,
) -> None:
    """Run the whole stack: Redis, an orchestrator, a worker for every queue, the API with its page, Flower."""
    from workers.cli.worker import check_model, queues_of_agents

    model = check_model(None)
    read_settings(OrchestratorSettings)  # its process could say what is wrong with it in its log only
    metrics_port = read_settings(MetricsSettings).metrics_port or (USUAL_PORT if metrics else 0)
    url, queues = given_redis_url(), queues_of_agents()
    bounds = None if autoscale is None else parse_range(autoscale, slots=concurrency)
    stack = LocalStack(
        home(),
        [[queue] for queue in queues for _ in range(workers if bounds is None else bounds.least)],
        redis_url=url,
        redis_port=_port(redis_port, USUAL_REDIS_PORT, "--redis-port") if url is None else None,
        keep=True,
        concurrency=concurrency,
        environment=_environment(flower=flower, metrics_port=metrics_port),
    )
    ending = stack.ending
    ports = _ports(flower=flower, flower_port=flower_port, api=api, api_port=api_port)
    console = Console(stderr=True)
    with only_stack(home()), ending, stack:
        if stack.children is not None:
            for name, port in ports.items():
                stack.children.start(name, [name, "--port", str(port)])
        with console.status("starting"):
            stack.wait_until_ready()
            _wait_for_api(stack, ports.get("api"), ending)
        addresses = {f"{name}_url": f"http://127.0.0.1:{port}" for name, port in ports.items()}
        if not ending.is_set():
            write_state(home(), stack.url, addresses)
            _say(console, stack, model, addresses, metrics_port)
        _keep(stack, ending, tuple(queues), bounds, console)
        console.print("stopping", markup=False, highlight=False)


def _ports(*, flower: bool, flower_port: int | None, api: bool, api_port: int | None) -> dict[str, int]:
    """Where processes of the stack serve, by their commands."""
    found: dict[str, int] = {}
    if api:
        usual = read_settings(ApiSettings).api_port or USUAL_API_PORT
        found["api"] = _port(api_port, usual, "--api-port")
    if flower:
        found["flower"] = _port(flower_port, USUAL_FLOWER_PORT, "--flower-port")
    return found


def _wait_for_api(stack: LocalStack, port: int | None, ending: Ending) -> None:
    """Return when it can be reached: who reads where it is goes there at once."""
    end = time.monotonic() + READY_WITHIN_S
    while port is not None and time.monotonic() < end and not port_answers(port):
        stack.check()
        if ending.wait(CHECK_S / 10):
            return


def _keep(
    stack: LocalStack, ending: Ending, queues: tuple[str, ...], bounds: ScaleBounds | None, console: Console
) -> None:
    """See that all goes well, and have as many workers as are wanted, until it is to end."""
    if bounds is None:
        while not ending.wait(CHECK_S):
            stack.check()
        return
    with Troupe(stack.url) as troupe:
        scaling = Autoscale(
            stack, queues, lambda: troupe.scale(bounds), lambda line: console.print(line, markup=False, highlight=False)
        )
        while not ending.wait(CHECK_S):
            stack.check()
            scaling.look()


def _environment(*, flower: bool, metrics_port: int) -> dict[str, str]:
    """Variables of all processes of the stack."""
    found = {"TROUPE_TASK_EVENTS": "true"} if flower else {}  # else Flower misses the first seconds
    return found | ({"TROUPE_METRICS_PORT": str(metrics_port)} if metrics_port else {})


def _say(console: Console, stack: LocalStack, model: str, addresses: dict[str, str], metrics_port: int) -> None:
    metrics = f"metrics       http://127.0.0.1:{metrics_port}/metrics and the next ports: troupe metrics lists them"
    lines = [
        f"Redis         {hide_password(stack.url)}",
        *([f"API, page     {addresses['api_url']}"] if "api_url" in addresses else []),
        *([f"Flower        {addresses['flower_url']}"] if "flower_url" in addresses else []),
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
