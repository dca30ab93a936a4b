"""The worker's main, for `troupe worker` and for plain `celery -A workers.main:app worker -Q search -P threads`.

Importing it reads the settings and connects to nothing.
"""

import signal
import threading
from collections.abc import Callable
from typing import Any, Final, cast

from celery import signals
from celery.apps import worker as celery_program
from celery.concurrency.thread import TaskPool
from kombu.entity import Queue

from tasks.app import make_app, queue
from tasks.broker import is_redis
from tasks.ids import WorkerName
from tasks.logs import LogSettings, configure_logs
from tasks.queues import of_version
from tasks.settings import StoreSettings, read_settings
from workers import pool
from workers.agents.fitness import Fitness
from workers.agents.registry import load_agents
from workers.controls import Controls
from workers.handlers import register
from workers.llm.settings import ModelSettings
from workers.process import WorkerProcess
from workers.rooms import check_settings
from workers.settings import WorkerSettings

MANY: Final = 5000
"""Threads that the broker's connection pool is sized for: what Celery is started with is not known yet."""

check_settings()
store_settings = read_settings(StoreSettings)
worker_settings = read_settings(WorkerSettings)
agents = load_agents(worker_settings.agent_modules)
model_settings = read_settings(ModelSettings)
Fitness(model_settings).check_all(agents)
process = WorkerProcess(store_settings, worker_settings, model_settings, agents)
NO_ACK: Final = is_redis(store_settings.broker)
"""Redis' acknowledgements are four commands a message and protect nothing that the store does not. On RabbitMQ they
stay: without them it would send one worker the whole queue."""
app = make_app(store_settings, concurrency=MANY, current=True)
register(app, agents, process)


def on_daemon_init(**_: object) -> None:
    """Before anything else of Celery's: it warns of what it does not like before it sets up logging."""
    configure_logs(read_settings(LogSettings))
    say = cast("Callable[..., None]", cast(Any, celery_program).safe_say)

    def say_less(text: str, *rest: object) -> None:
        if not text.startswith("worker: "):  # our own lines say that and when it stops, and are no plain text
            say(text, *rest)

    cast(Any, celery_program).safe_say = say_less


def on_init(sender: Any, **_: object) -> None:
    """Celery's threads pool becomes ours, also for `celery -A … -P threads`; any other pool stays what it is."""
    if sender.pool_cls in ("threads", TaskPool):
        sender.pool_cls = pool.NAME


def on_setup_logging(**_: object) -> None:
    """Celery logs through our configuration."""
    configure_logs(read_settings(LogSettings))


def consumed(name: str) -> Queue:
    """A queue as this process consumes it."""
    declared = queue(name)
    cast(Any, declared).no_ack = NO_ACK
    return declared


def on_after_setup(sender: str, instance: Any, **_: object) -> None:
    """The queues are known, no thread of the pool has started: the loop may."""
    found = cast("dict[str, Any]", instance.app.amqp.queues.consume_from)
    queues = sorted(found)
    for one in found.values():
        one.no_ack = NO_ACK
    for agent in agents.on_queues(queues):
        instance.app.amqp.queues.select_add(consumed(of_version(agent.definition().queue, agent.version)))
    process.start(WorkerName(sender), queues, int(instance.concurrency))


def on_ready(sender: Any, **_: object) -> None:
    """Monitors are told of attempts by the consumer's own connection. SIGINT and SIGQUIT drain as SIGTERM does, and a
    second one of any hands back what runs.

    Celery's own second step kills the jobs of its pool; the threads pool cannot do that, and raises.
    """
    process.shown.dispatcher = lambda: sender.event_dispatcher
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.getsignal(signal.SIGTERM))


def on_shutting_down(**_: object) -> None:
    """A signal to stop: no new messages; what runs may end."""
    process.drain()


def on_shutdown(**_: object) -> None:
    """Celery's threads have ended."""
    process.stop()


Controls(process, consumed).install()
for event, receiver in (
    (signals.celeryd_init, on_daemon_init),
    (signals.worker_init, on_init),
    (signals.setup_logging, on_setup_logging),
    (signals.celeryd_after_setup, on_after_setup),
    (signals.worker_ready, on_ready),
    (signals.worker_shutting_down, on_shutting_down),
    (signals.worker_shutdown, on_shutdown),
):
    cast(Any, event).connect(receiver, weak=False)
