"""Publishing: one Celery message an attempt. Celery's producer blocks, so it works in a thread of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from tasks.app import queue
from tasks.errors import BrokerUnavailable
from tasks.ids import PLAN_STEP, AttemptRef
from tasks.messages import Dispatch

RETRIES: Final = {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
"""Quick tries of Celery's own; after them the control entry stays and the message is published later."""

Headers = Callable[[Sequence[Dispatch]], Awaitable[list[dict[str, str]]]]
"""Gives the headers of messages, in their order; raises nothing."""


class Publisher:
    """Publishes messages, in order, from one thread."""

    def __init__(self, app: Celery, headers: Headers | None = None) -> None:
        self.headers = headers
        """What messages carry for others; None: nothing."""
        self.app: Any = cast(Any, app)  # Celery has no types
        options = self.app.conf.broker_transport_options
        if options:  # Redis: without it a broker that accepts and never answers would hold the thread for ever
            timeout = self.app.conf.broker_connection_timeout
            self.app.conf.broker_transport_options = {**options, "socket_timeout": timeout}
        connection = self.app.connection_for_write()
        # What the broker's own library raises: also that it is full, which is no connection error.
        errors = {KombuError, OperationalError, OSError, *connection.connection_errors, *connection.channel_errors}
        self.failures: tuple[type[Exception], ...] = tuple(errors - {KeyError})  # kombu's, and a defect's, too
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publisher")

    async def publish(self, dispatches: Sequence[Dispatch]) -> None:
        """Publish messages; a second publish of the same attempt is harmless.

        Raises:
            BrokerUnavailable: the broker took not all of them; publish all again.
        """
        messages = list(dispatches)
        extra: list[dict[str, str]] = [{} for _ in messages]
        if self.headers is not None:
            extra = await self.headers(messages)
        await asyncio.get_running_loop().run_in_executor(self.thread, self._publish, messages, extra)

    async def depth(self, name: str) -> int:
        """Messages waiting in a queue.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        return (await asyncio.get_running_loop().run_in_executor(self.thread, self.lengths, [name]))[name]

    async def close(self) -> None:
        """Let the thread finish, then close the connections."""
        await asyncio.to_thread(self.thread.shutdown)
        await asyncio.to_thread(self.app.close)

    def _publish(self, dispatches: list[Dispatch], extra: list[dict[str, str]]) -> None:
        try:
            with self.app.producer_pool.acquire(block=True) as producer, producer.batch():
                for dispatch, headers in zip(dispatches, extra, strict=True):
                    self._add(producer, dispatch, headers)
        except self.failures as error:
            raise BrokerUnavailable(f"the broker does not take messages: {error}") from error

    def _add(self, producer: Any, dispatch: Dispatch, headers: dict[str, str]) -> None:
        """Add one message to the producer's batch: the message that `send_task` makes, at a quarter of its cost."""
        message = dispatch.message
        # Without what is as usual: a worker of the release before is to read it.
        fields = {"v": message.v, **message.model_dump(mode="json", exclude_defaults=True)}
        root = AttemptRef(message.job, PLAN_STEP, 1).task_id
        task: Any = self.app.amqp.as_task_v2(
            message.ref.task_id,
            dispatch.agent,
            kwargs=fields,
            root_id=root,
            parent_id=root if message.step != PLAN_STEP else None,
            ignore_result=True,
            argsrepr="()",
            kwargsrepr=repr(fields),
        )
        producer.publish(
            task.body,
            exchange="",
            routing_key=dispatch.queue,
            declare=[queue(dispatch.queue)],
            serializer="json",
            headers={**task.headers, **headers},
            retry=True,
            retry_policy=RETRIES,
            **task.properties,
        )

    def lengths(self, names: Sequence[str]) -> dict[str, int]:
        """Messages waiting in each of these queues, over all priorities. Blocks, with a connection of its own.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        try:
            with self.app.connection_for_write() as connection:
                channel = connection.default_channel
                return {name: int(cast(Any, queue(name)(channel)).queue_declare().message_count) for name in names}
        except self.failures as error:
            raise BrokerUnavailable(f"the broker does not answer: {error}") from error
