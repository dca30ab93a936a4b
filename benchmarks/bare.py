"""The other side: the same graphs in bare Celery, as its documentation builds them: chain, chord, result backend."""

import gc
import os
from typing import Any, cast

from celery import Celery, chord

app = Celery("bare", broker=os.environ.get("BARE_BROKER"), backend=os.environ.get("BARE_BACKEND"))
cast(Any, app).conf.update(
    task_serializer="json",
    result_serializer="json",
    accept_content=["json"],
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=4,
    task_default_queue="bare",
)


def connect(broker: str, backend: str) -> None:
    """Say where they are; before the first call only. Workers find them in their environment."""
    cast(Any, app).conf.update(broker_url=broker, result_backend=backend)


def disconnect() -> None:
    """Let go of the result backend; results that nobody collected would look for it when they are forgotten."""
    gc.collect()
    cast(Any, app).backend.result_consumer.stop()
    cast(Any, app).close()


def _first(job: str) -> str:
    return job


def _work(job: str) -> str:
    return job


def _last(results: list[str]) -> str:
    return results[0]


first: Any = cast(Any, app).task(name="first")(_first)
work: Any = cast(Any, app).task(name="work")(_work)
last: Any = cast(Any, app).task(name="last")(_last)


def fan(job: str, width: int) -> Any:
    """One step, `width` side by side, one that takes their results; sent. `.get()` waits for the last."""
    return (first.s(job) | chord([work.s() for _ in range(width)], last.s())).delay()


def line(job: str, length: int) -> Any:
    """Steps one after the other."""
    signature = first.s(job)
    for _ in range(length - 1):
        signature |= work.s()
    return signature.delay()
