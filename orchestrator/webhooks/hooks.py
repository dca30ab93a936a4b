"""Tells receivers of ended jobs: at least once each, with a stable id, by however many processes there are."""

import asyncio
import os
import random
import secrets
import socket
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import SecretStr

from orchestrator.webhooks.message import message_of
from orchestrator.webhooks.sending import Delivery, Outcome, send
from orchestrator.webhooks.settings import WebhookSettings
from orchestrator.webhooks.signature import signature
from tasks.errors import ContractError, DamagedRecord, IncompatibleVersion, TransientError, TroupeError, UnknownJob
from tasks.ids import JobId
from tasks.library_log import LibraryLog
from tasks.outbound.client import GuardedClient
from tasks.outbound.settings import OutboundSettings
from tasks.settings import read_settings
from tasks.signing import SigningSettings
from tasks.store import Snapshots, Store
from tasks.store.ended import EndedJobs
from tasks.store.hooks import LOOKED_AFTER, Hook, HookStore
from tasks.wire import Wire

log = LibraryLog("troupe.webhooks")

GROUP: Final = "webhooks"
POLL_S: Final = 1.0
AT_ONCE: Final = 100
"""Ends of jobs that are read of one partition at once."""
BUSY_HOST: Final = timedelta(seconds=2)
"""When a delivery to a host that has enough of them gets its next turn."""
SPARE: Final = timedelta(days=1)
"""How much longer than its delivery is tried a hook is kept."""


class Webhook(Wire):
    """Who is told."""

    url: str
    secret: SecretStr | None = None
    """What its messages are signed with; None: the secret that is derived for the job (`secret_of_job`)."""


class Hooks:
    """The webhooks of a store.

    Args:
        client: What receivers are called with; one that refuses what is not public unless given.
        fleet: The fleet's secret; read from the settings when the first delivery needs it unless given.
    """

    def __init__(
        self,
        store: Store,
        *,
        client: GuardedClient | None = None,
        settings: WebhookSettings | None = None,
        fleet: SecretStr | None = None,
    ) -> None:
        self.settings = settings or read_settings(WebhookSettings)
        self.client = client or GuardedClient(read_settings(OutboundSettings))
        self._fleet = fleet
        self._hooks = HookStore(store)
        self._snapshots = Snapshots(store)
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._ended = EndedJobs(store, GROUP, name)
        self._partitions = range(store.settings.partitions)
        self._under_way: dict[asyncio.Task[None], str] = {}
        """Deliveries by their host."""

    async def register(self, job: JobId, webhook: Webhook, until_ms: int) -> None:
        """Have somebody told when this job has ended. Call it before the submit: an end may come at once.

        Args:
            until_ms: When it is forgotten if the job has not ended, Unix ms: the job's deadline and some time.

        Raises:
            AddressRefused: the address may not be called.
            ContractError: the secret is none.
            StoreUnavailable: no answer in time.
        """
        self.client.check(webhook.url)
        if webhook.secret is not None:
            signature(webhook.secret, "", 0, b"")
        until = datetime.fromtimestamp(until_ms / 1000, UTC)
        await self._hooks.keep(job, webhook.url, webhook.secret, until)

    async def forget(self, job: JobId) -> None:
        """Tell nobody: the job was not taken in."""
        await self._hooks.forget(job)

    async def run(self) -> None:
        """Deliver, for ever. What is under way when it is cancelled is left to another process or the next start."""
        opened = False
        try:
            while True:
                try:
                    if not opened:
                        for partition in self._partitions:
                            await self._ended.open(partition)
                        opened = True
                    await self.look()
                except TroupeError as error:
                    log.warning("webhooks_wait", reason=str(error))
                await asyncio.sleep(POLL_S)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def look(self) -> None:
        """Learn what has ended, and begin the deliveries that are due, as many as may be under way.

        Raises:
            StoreUnavailable: no answer in time.
        """
        for partition in self._partitions:
            ends = await self._ended.read(partition, count=AT_ONCE)
            for job in await self._hooks.having(list(dict.fromkeys(end.job for end in ends))):
                await self._arm(job)
            await self._ended.done(partition, ends)
        for partition in random.sample(self._partitions, len(self._partitions)):
            free = self.settings.webhook_at_once - len(self._under_way)
            if free <= 0:
                return
            for hook in await self._hooks.take(partition, count=free, lease=self.settings.lease):
                await self._begin(hook)

    async def idle(self) -> None:
        """Wait for the deliveries that are under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _host(self, url: str) -> str:
        """The host as it is called, however it is written: who takes long must not take all deliveries."""
        try:
            found = self.client.check(url)
        except ContractError:  # it is refused when it is called
            return url
        return f"{found.host}:{found.port}"

    async def _arm(self, job: JobId) -> bool | None:
        """Have its end told. False: it has not ended; None: it is not there any more."""
        try:
            record = await self._snapshots.job(job)
        except (UnknownJob, IncompatibleVersion, DamagedRecord):
            return None
        if not record.final or record.finished_at is None:
            return False
        about = f"{job}.{int(record.finished_at.timestamp() * 1000)}"
        keep = timedelta(seconds=self.settings.webhook_give_up_s) + SPARE
        await self._hooks.arm(job, about, message_of(record), keep)
        return True

    async def _begin(self, hook: Hook) -> None:
        if hook.about is None:
            ended = await self._arm(hook.job)
            if not ended:
                await self._hooks.settle(hook, again=None if ended is None else LOOKED_AFTER, tried=False)
            return
        host = self._host(hook.url)
        if Counter(self._under_way.values())[host] >= max(1, self.settings.webhook_at_once // 4):
            await self._hooks.settle(hook, again=BUSY_HOST, tried=False)
            return
        task = asyncio.create_task(self._deliver(hook))
        self._under_way[task] = host
        task.add_done_callback(lambda done: self._under_way.pop(done, None))

    async def _deliver(self, hook: Hook) -> None:
        try:
            if self._fleet is None:
                self._fleet = await asyncio.to_thread(read_settings(SigningSettings).read)
            delivery = Delivery(hook, self._fleet, within_s=self.settings.webhook_timeout_s)
            outcome = await send(self.client, delivery)
            await self._settle(hook, outcome)
        except TransientError as error:  # the lease ends by itself, and then it is tried again
            log.warning("webhooks_wait", reason=str(error))

    async def _settle(self, hook: Hook, outcome: Outcome) -> None:
        message, tries = hook.about, hook.tries + 1
        if outcome.told:
            await self._hooks.settle(hook, again=None)
            log.info("webhook_delivered", job=hook.job, message=message, tries=tries)
            return
        waited = timedelta(0) if hook.armed is None else datetime.now(UTC) - hook.armed
        pause = self.settings.pause(hook.tries, random.random())
        if outcome.final or waited + pause > timedelta(seconds=self.settings.webhook_give_up_s):
            if await self._hooks.settle(hook, again=None):
                log.warning("webhook_dropped", job=hook.job, message=message, tries=tries, reason=outcome.reason)
            return
        await self._hooks.settle(hook, again=pause)
        seconds = round(pause.total_seconds())
        log.info("webhook_failed", job=hook.job, message=message, tries=tries, reason=outcome.reason, seconds=seconds)
