"""Keys of the doors and limits of tenants. Of a key's text only a hash of its secret is stored."""

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, cast

from tasks.access import OPERATOR, ApiKey, Scope, TenantLimits
from tasks.errors import ContractError, StateConflict
from tasks.ids import ALPHABET, NAME
from tasks.refusals import RateLimited, Unauthenticated, UnknownKey
from tasks.store.failures import translated
from tasks.store.reading import readable
from tasks.store.scripts import ENTER, TOOL_RATE
from tasks.store.store import Store

ID_CHARS: Final = 10
KEY_TEXT: Final = re.compile(rf"trp_([{ALPHABET}]{{{ID_CHARS}}})_([A-Za-z0-9_-]{{43}})", re.ASCII)
"""`trp_<id>_<secret>`; the secret is 32 random bytes."""
MAX_NAME_CHARS: Final = 100
LONGEST: Final = timedelta(days=3660)
"""Longest time that a key may be said to be good for; for longer, say none."""
REMEMBERED: Final = timedelta(days=90)
"""How long keys that were revoked, or have expired, are listed; then they go with the next one that is made."""
MAX_KEYS: Final = 10_000
MAX_KEYS_OF_TENANT: Final = 1_000
"""Keys of a tenant, those included that are still listed and no longer good: whoever may make keys cannot fill the
store with them."""
WINDOW: Final = timedelta(minutes=1)
INVALID: Final = "the key is not valid"
"""Also where there is none with its id: nobody learns which ids there are."""
NOBODY: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody was let in."""

    key: ApiKey | None
    """None: no key was ever made, and none is needed."""
    limits: TenantLimits
    """Of the key's tenant; without a key those of the default one."""
    keyless: bool


class _Record(ApiKey):
    """A key as it is stored."""

    sha256: str

    def told(self) -> ApiKey:
        return ApiKey.model_validate(self.model_dump(exclude={"sha256"}))


class AccessStore:
    """Makes, checks and ends keys. All of its calls raise StoreUnavailable when no answer comes in time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._keys, self._tenants = store.keys.access()

    async def create(
        self, tenant: str, scopes: Collection[Scope], *, name: str = "", expires: timedelta | None = None
    ) -> tuple[ApiKey, str]:
        """Make a key.

        Args:
            tenant: Whose; `*` makes an operator's, which reaches all tenants.
            name: Who will use it: people's decisions are signed with it. Its id unless given.
            expires: How long it is good for, 3,660 days at most; None: until it is revoked.

        Returns:
            The key, and its text: it is had here only.

        Raises:
            ContractError: one of them is not fit.
            StateConflict: there are as many keys as there may be.
        """
        _check(tenant, scopes, name, expires)
        now, found = await self._now(), await self._records()
        old = [one.id for one in found if (_end(one) or now) < now - REMEMBERED]
        kept = [one for one in found if one.id not in old]
        if len(kept) >= MAX_KEYS or sum(one.tenant == tenant for one in kept) >= MAX_KEYS_OF_TENANT:
            days = f"keys that are no longer good count for {REMEMBERED.days} days"
            raise StateConflict(f"there are as many keys as there may be: revoke some; {days}")
        key, secret = "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARS)), secrets.token_urlsafe(32)
        record = _Record(
            id=key,
            name=name or key,
            tenant=tenant,
            scopes=tuple(one for one in Scope if one in scopes),
            created_at=now,
            expires_at=None if expires is None else now + expires,
            sha256=_digest(secret),
        )
        await self._write(record)
        if old:  # after the new one: with no key at all the doors would be open to whoever is on the machine
            async with translated(self.store.settings):
                await cast(Any, self.store.redis).hdel(self._keys, *old)
        return record.told(), f"trp_{key}_{secret}"

    async def revoke(self, key: str, tenant: str | None = None) -> ApiKey:
        """End a key at once. A second time changes nothing.

        Args:
            tenant: Whose it must be; anyone's unless given.

        Raises:
            UnknownKey: there is none with this id, or it is another tenant's.
        """
        async with translated(self.store.settings):
            text = cast("str | None", await cast(Any, self.store.redis).hget(self._keys, key))
        record = _read(key, text) if text else None
        if record is None or tenant not in {None, record.tenant}:
            raise UnknownKey(f"there is no key {key!r}")
        if record.revoked_at is None:
            record = record.model_copy(update={"revoked_at": await self._now()})
            await self._write(record)
        return record.told()

    async def enter(self, text: str | None) -> Entry:
        """Check a key's text, by the clock of Redis. One round trip; none for what has not the form of a key.

        Args:
            text: None: no key was shown, which is enough as long as none was ever made.

        Raises:
            Unauthenticated: no key although there are some, an unknown one, an expired or a revoked one.
        """
        match = KEY_TEXT.fullmatch(text or "")
        if match is None and text is not None:
            raise Unauthenticated(INVALID)
        count, stored, limits, now = await self._ask(match[1] if match else "")
        if match is None:
            if count:
                raise Unauthenticated("a key is needed: send it in the header Authorization, as a Bearer token")
            return Entry(None, read_limits("default", limits), keyless=True)
        record = _read(match[1], stored) if stored else None
        # Compared also when there is none, so that the time it takes does not tell which ids there are.
        same = hmac.compare_digest(record.sha256 if record else NOBODY, _digest(match[2]))
        if record is None or not same:
            raise Unauthenticated(INVALID)
        if record.revoked_at is not None:
            raise Unauthenticated(f"key {record.id} was revoked")
        if record.expires_at is not None and record.expires_at <= now:
            raise Unauthenticated(f"key {record.id} has expired, {record.expires_at:%Y-%m-%d %H:%M:%S} UTC")
        return Entry(record.told(), read_limits(record.tenant, limits), keyless=False)

    async def count_request(self, tenant: str, limits: TenantLimits) -> None:
        """Count a request of a tenant, over all processes: at most so many in any minute. O(1); free without a limit.

        Raises:
            RateLimited: it has sent as many as it may; this one does not count.
        """
        most = limits.requests_per_minute
        if most is None:
            return
        args = [most, int(WINDOW / timedelta(milliseconds=1))]
        async with translated(self.store.settings):
            reply = cast(int, await TOOL_RATE.run(self.store.redis, [self.store.keys.requests(tenant)], args))
        if reply >= 0:
            after = timedelta(milliseconds=max(reply, 1))
            said = f"tenant {tenant!r} may send {most} requests a minute; try again in {after.total_seconds():.1f} s"
            raise RateLimited(said, after)

    async def limits(self, tenant: str) -> TenantLimits:
        """What a tenant may do; none of it is limited unless somebody said so."""
        async with translated(self.store.settings):
            text = cast("str | None", await cast(Any, self.store.redis).hget(self._tenants, tenant))
        return read_limits(tenant, text or "")

    async def set_limits(self, tenant: str, limits: TenantLimits) -> None:
        """Say what a tenant may do, from its next request on; in place of what was said before.

        Raises:
            ContractError: it has not the form of a tenant's name.
        """
        if NAME.fullmatch(tenant) is None:
            raise ContractError(f"{tenant!r} is not the name of a tenant: lower-case letters, digits, - and _")
        text = limits.model_dump_json(exclude_defaults=True)
        async with translated(self.store.settings):
            if text == "{}":
                await cast(Any, self.store.redis).hdel(self._tenants, tenant)
            else:
                await cast(Any, self.store.redis).hset(self._tenants, tenant, text)

    async def tenants(self) -> dict[str, TenantLimits]:
        """Tenants that have keys or limits, by name."""
        async with translated(self.store.settings):
            found = cast("dict[str, str]", await cast(Any, self.store.redis).hgetall(self._tenants))
        names = {one.tenant for one in await self._records()} - {OPERATOR} | set(found)
        return {name: read_limits(name, found.get(name, "")) for name in sorted(names)}

    async def list(self, tenant: str | None = None) -> "list[ApiKey]":
        """Keys, oldest first, of all tenants unless one is given; those too that were revoked or have expired."""
        return [one.told() for one in await self._records() if tenant in {None, one.tenant}]

    async def _records(self) -> "tuple[_Record, ...]":
        async with translated(self.store.settings):
            found = cast("dict[str, str]", await cast(Any, self.store.redis).hgetall(self._keys))
        records = [_read(key, text) for key, text in found.items()]
        return tuple(sorted(records, key=lambda one: (one.created_at, one.id)))

    async def _write(self, record: _Record) -> None:
        text = record.model_dump_json(exclude_defaults=True)
        async with translated(self.store.settings):
            await cast(Any, self.store.redis).hset(self._keys, record.id, text)

    async def _now(self) -> datetime:
        return (await self._ask(""))[3]

    async def _ask(self, key: str) -> tuple[int, str, str, datetime]:
        async with translated(self.store.settings):
            reply = await ENTER.run(self.store.redis, [self._keys, self._tenants], [key])
        count, stored, limits, now = cast("tuple[int, str, str, str]", reply)
        return count, stored, limits, datetime.fromtimestamp(int(now) / 1000, UTC)


def read_limits(tenant: str, text: str) -> TenantLimits:
    """Stored limits of a tenant.

    Raises:
        IncompatibleVersion, DamagedRecord: they cannot be read.
    """
    with readable(f"what tenant {tenant!r} may do"):
        return TenantLimits.model_validate_json(text) if text else TenantLimits()


def _read(key: str, text: str) -> _Record:
    with readable(f"key {key}"):
        return _Record.model_validate_json(text)


def _digest(secret: str) -> str:
    # Not a slow hash: what it hides has 256 random bits, and it is made for every request.
    return sha256(secret.encode()).hexdigest()


def _end(key: ApiKey) -> datetime | None:
    ends = [one for one in (key.revoked_at, key.expires_at) if one is not None]
    return min(ends) if ends else None


def _check(tenant: str, scopes: Collection[Scope], name: str, expires: timedelta | None) -> None:
    if tenant != OPERATOR and NAME.fullmatch(tenant) is None:
        raise ContractError(f"{tenant!r} is not the name of a tenant: lower-case letters, digits, - and _")
    if not scopes:
        raise ContractError(f"a key needs a scope: {', '.join(Scope)}")
    if len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise ContractError(f"a key's name has at most {MAX_NAME_CHARS} printable characters")
    if expires is not None and not timedelta(0) < expires <= LONGEST:
        raise ContractError(f"a key is good for more than nothing and at most {LONGEST.days} days, not {expires}")
