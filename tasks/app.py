"""The Celery app, as both sides use it: the orchestrator publishes, workers consume.

Celery moves messages; it keeps no state for us. Early acknowledgement, because Redis loses messages also with
late ones when a worker dies between BRPOP and the write to `unacked` (measured), and because Celery 5.7 ends a worker
whose broker restarts under a late-acknowledged task. What survives a loss are the store's leases and timers.
"""

from typing import Any, Final, cast

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Queue

from tasks.broker import VISIBILITY_TIMEOUT_S, Broker, broker_for, is_redis
from tasks.queues import VERSION_MARK
from tasks.settings import StoreSettings
from tasks.transport import install_transports

RECONNECT_S: Final = 4.0
"""Longest wait between two tries at a broker that is away; the first is 2 s."""
UNUSED_VERSION_S: Final = 86_400.0
"""How long RabbitMQ keeps a queue of a version that nobody listens on; Redis keeps none that is empty."""
CONNECTIONS_BESIDE_THREADS: Final = 50
"""Broker connections that a process needs beside one a thread: consumer, events, remote control."""


class SteadyConnection(cast(Any, Connection)):
    """A connection to the broker that is tried again at steady, short intervals.

    Celery's own wait grows by two seconds each time, up to thirty: after a minute's outage workers would stay away for
    a quarter of one more.
    """

    def _ensure_connection(self, *args: Any, interval_max: float = RECONNECT_S, **options: Any) -> Any:
        kombus: Any = super()
        return kombus._ensure_connection(*args, interval_max=interval_max, **options)


class SteadyAmqp(AMQP):
    """Celery's maker of connections, told of ours."""

    Connection = SteadyConnection


def make_app(settings: StoreSettings, *, concurrency: int = 10, current: bool = False) -> Celery:
    """A Celery app on the fleet's broker. Connects to nothing yet.

    Args:
        concurrency: Threads of a worker; sizes the connection pool.
        current: Make it the process's default app, which `celery -A` wants.

    Raises:
        BadSetting: the store is a cluster, and no broker was named.
    """
    broker = _broker(settings)
    if is_redis(broker.url):
        install_transports()
    app = Celery("troupe", broker=broker.url, set_as_current=current, amqp=SteadyAmqp)
    cast(Any, app).conf.update(
        accept_content=["json"],
        task_serializer="json",
        event_serializer="json",
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=False,
        task_track_started=False,
        task_create_missing_queues=True,
        task_default_queue="unrouted",
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # Events cost a fifth of a publish. Flower switches them on for all workers when it starts.
        worker_send_task_events=False,
        task_send_sent_event=False,
        worker_detect_quorum_queues=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=settings.store_timeout_s,
        broker_pool_limit=10,
        broker_transport_options=_transport(settings, broker, concurrency),
        broker_use_ssl=broker.tls,
        timezone="UTC",
    )
    return app


def queue(name: str) -> Queue:
    """A queue of ours, as Celery declares it. One of a version ends by itself some time after its last worker."""
    expires = UNUSED_VERSION_S if VERSION_MARK in name else None
    return Queue(name, routing_key=name, expires=expires)


def _transport(settings: StoreSettings, broker: Broker, concurrency: int) -> dict[str, object]:
    if not is_redis(broker.url):
        return {}
    options: dict[str, object] = {
        "socket_connect_timeout": settings.store_timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "max_connections": concurrency + CONNECTIONS_BESIDE_THREADS,
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
    }
    if broker.url.startswith("redis+socket"):
        del options["socket_keepalive"]  # Unix sockets have none, and redis-py refuses the option
    if "sentinel_kwargs" in broker.options:
        timeout = settings.store_timeout_s  # else a Sentinel that is gone without a word would be waited for, for ever
        given = cast("dict[str, object]", broker.options["sentinel_kwargs"])
        bounded = {"socket_timeout": timeout, "socket_connect_timeout": timeout, **given}
        return {**options, **broker.options, "sentinel_kwargs": bounded}
    return options


def _broker(settings: StoreSettings) -> Broker:
    password = settings.sentinel_password.get_secret_value()
    login: dict[str, object] = {"username": settings.sentinel_username or None, "password": password}
    return broker_for(settings.broker, settings.tls, login if password else {})
