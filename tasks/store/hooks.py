"""Who is told when a job has ended, apart from the job, and whose turn it is. See lua/hook_….lua."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from pydantic import SecretStr

from tasks.errors import DamagedRecord, InvalidId
from tasks.ids import JobId, parse_job_id, partition_of
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.scripts import HOOK_ARM, HOOK_KEEP, HOOK_SETTLE, HOOK_TAKE
from tasks.store.store import Store

LOOKED_AFTER: Final = timedelta(minutes=10)
"""A hook whose job has not ended is looked after so often: streams of ended jobs are trimmed, and may miss one."""
MAX_FIELD_CHARS: Final = 100_000
"""A stored hook with a longer field is damaged."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One that was taken."""

    job: JobId
    url: str
    secret: SecretStr | None
    number: int
    """Of the taking: only the last one may settle."""
    tries: int
    """That came to nothing."""
    about: str | None
    """Which end of the job it tells of; None: it has not ended, as far as is known."""
    body: bytes
    armed: datetime | None


class HookStore:
    """Hooks by job. All processes that serve the API share them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def keep(self, job: JobId, url: str, secret: SecretStr | None, until: datetime) -> None:
        """Remember a hook until then; what was there is replaced.

        Raises:
            StoreUnavailable: no answer in time, or StoreFull.
        """
        hidden = "" if secret is None else secret.get_secret_value()
        args = [str(job), url, hidden, int(until.timestamp() * 1000), _ms(LOOKED_AFTER)]
        async with translated(self.store.settings):
            await HOOK_KEEP.run(self.store.redis, self._keys(job), args)

    async def forget(self, job: JobId) -> None:
        """Tell nobody of this job."""
        hook, turns = self._keys(job)
        async with translated(self.store.settings):
            await self.store.redis.delete(hook)
            await self.store.redis.zrem(turns, job)

    async def having(self, jobs: Sequence[JobId]) -> list[JobId]:
        """Those of the jobs that have a hook."""
        async with translated(self.store.settings):
            return [job for job in jobs if await self.store.redis.exists(self._keys(job)[0])]

    async def arm(self, job: JobId, about: str, body: bytes, keep: timedelta) -> bool:
        """The job has ended: its hook is due. False when it has none, or this end is known."""
        args = [str(job), about, body.decode(), _ms(keep)]
        async with translated(self.store.settings):
            return await HOOK_ARM.run(self.store.redis, self._keys(job), args) == 1

    async def take(self, partition: int, *, count: int, lease: timedelta) -> list[Hook]:
        """Take hooks that are due, at most so many. After the lease they are due again. Damaged ones are dropped."""
        turns = self.store.keys.hooks(partition)
        async with translated(self.store.settings):
            args = [self.store.keys.hook_base(partition), count, _ms(lease)]
            rows = cast("list[tuple[str, list[str]]]", await HOOK_TAKE.run(self.store.redis, [turns], args))
            found: list[Hook] = []
            for job, flat in rows:
                try:
                    found.append(_hook(parse_job_id(job), dict(zip(flat[::2], flat[1::2], strict=True))))
                except (InvalidId, DamagedRecord):
                    await self.store.redis.zrem(turns, job)
        return found

    async def settle(self, hook: Hook, *, again: timedelta | None, tried: bool = True) -> bool:
        """Say what came of one that was taken.

        Args:
            again: When it is due again; None: never.
            tried: Whether this counts as a try.

        Returns:
            False when somebody else has it by now.
        """
        args = [str(hook.job), str(hook.number), -1 if again is None else _ms(again), "1" if tried else "0"]
        async with translated(self.store.settings):
            return await HOOK_SETTLE.run(self.store.redis, self._keys(hook.job), args) == 1

    def _keys(self, job: JobId) -> list[str]:
        partition = partition_of(job)
        return [f"{self.store.keys.hook_base(partition)}{job}", self.store.keys.hooks(partition)]


def _hook(job: JobId, fields: dict[str, str]) -> Hook:
    """A stored hook.

    Raises:
        DamagedRecord: something else has changed it.
    """
    with readable("hook"):
        if any(len(value) > MAX_FIELD_CHARS for value in fields.values()):
            raise ValueError("a field is too long")
        armed = fields.get("armed")
        return Hook(
            job=job,
            url=fields["url"],
            secret=SecretStr(fields["secret"]) if fields["secret"] else None,
            number=int(fields["taken"]),
            tries=int(fields["tries"]),
            about=fields.get("about"),
            body=fields.get("body", "").encode(),
            armed=None if armed is None else datetime.fromtimestamp(int(armed) / 1000, UTC),
        )


def _ms(length: timedelta) -> int:
    return int(length / timedelta(milliseconds=1))
