"""Keys of the doors on the real server: made, shown once, checked, expired, revoked; and what tenants may do."""

import asyncio
import json
from datetime import timedelta
from typing import Any, cast

import pytest

from tasks.access import OPERATOR, ApiKey, Scope, TenantLimits
from tasks.errors import ContractError, StateConflict
from tasks.refusals import RateLimited, Unauthenticated, UnknownKey
from tasks.store import Store
from tasks.store import access as access_module
from tasks.store.access import KEY_TEXT, AccessStore
from tests.support.waiting import wait_until

BOTH = (Scope.READ, Scope.SUBMIT)


@pytest.fixture
def access(store: Store) -> AccessStore:
    """The keys of the test's own store."""
    return AccessStore(store)


async def test_before_the_first_key_none_is_needed_and_after_it_always(access: AccessStore) -> None:
    await access.set_limits("default", TenantLimits(open_jobs=3))
    entry = await access.enter(None)
    assert (entry.keyless, entry.key, entry.limits.open_jobs) == (True, None, 3)
    key, _ = await access.create("acme", BOTH)
    with pytest.raises(Unauthenticated, match="a key is needed"):
        await access.enter(None)
    await access.revoke(key.id)
    with pytest.raises(Unauthenticated, match="a key is needed"):
        await access.enter(None)


async def test_a_key_lets_in_its_tenant_with_its_limits(access: AccessStore) -> None:
    await access.set_limits("acme", TenantLimits(requests_per_minute=9))
    key, text = await access.create("acme", BOTH, name="builds")
    entry = await access.enter(text)
    assert entry.key == key
    assert (entry.limits.requests_per_minute, entry.keyless) == (9, False)
    assert (key.tenant, key.name, key.scopes) == ("acme", "builds", (Scope.SUBMIT, Scope.READ))
    assert KEY_TEXT.fullmatch(text)


async def test_the_text_of_a_key_is_nowhere_in_the_store(access: AccessStore) -> None:
    _, text = await access.create("acme", BOTH)
    stored = await cast(Any, access.store.redis).hgetall(access.store.keys.access()[0])
    assert text.rpartition("_")[2] not in json.dumps(stored)
    assert text.partition("_")[2].partition("_")[2] not in json.dumps(stored)


async def test_nobody_learns_whether_there_is_a_key_with_that_id(access: AccessStore) -> None:
    _, text = await access.create("acme", BOTH)
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    wrong = [changed, text.replace("trp_", "trp_0000000000_"), f"trp_{'0' * 10}_{'x' * 43}", "", "é" * 58, text + "\n"]
    said: set[str] = set()
    for one in wrong:
        with pytest.raises(Unauthenticated) as refused:
            await access.enter(one)
        said.add(str(refused.value))
    assert said == {"the key is not valid"}


async def test_a_revoked_key_is_refused_at_once_and_only_its_holder_is_told(access: AccessStore) -> None:
    key, text = await access.create("acme", BOTH)
    await access.enter(text)
    first = await access.revoke(key.id)
    with pytest.raises(Unauthenticated, match=f"key {key.id} was revoked"):
        await access.enter(text)
    with pytest.raises(Unauthenticated, match="the key is not valid"):
        await access.enter(f"trp_{key.id}_{'x' * 43}")
    assert await access.revoke(key.id) == first
    assert first.revoked_at is not None


async def test_an_expired_key_is_refused(access: AccessStore) -> None:
    key, text = await access.create("acme", BOTH, expires=timedelta(milliseconds=300))
    assert key.expires_at is not None

    async def refused() -> bool:
        try:
            await access.enter(text)
        except Unauthenticated as error:
            return f"key {key.id} has expired" in str(error)
        return False

    await wait_until(refused)


async def test_a_tenant_revokes_its_own_keys_only(access: AccessStore) -> None:
    key, text = await access.create("acme", BOTH)
    for one, tenant in ((key.id, "other"), ("0000000000", None), ("", "acme")):
        with pytest.raises(UnknownKey):
            await access.revoke(one, tenant)
    assert (await access.enter(text)).key == key
    await access.revoke(key.id, "acme")


async def test_keys_are_listed_by_tenant_oldest_first(access: AccessStore) -> None:
    made = [(await access.create(tenant, BOTH))[0] for tenant in ("acme", "other", "acme", OPERATOR)]
    await access.revoke(made[0].id)
    assert sorted(one.id for one in await access.list()) == sorted(one.id for one in made)
    listed = await access.list("acme")
    assert {one.id for one in listed} == {made[0].id, made[2].id}
    assert [one.created_at for one in listed] == sorted(one.created_at for one in listed)
    assert all(type(one) is ApiKey for one in listed)


async def test_what_is_no_key_is_not_made(access: AccessStore) -> None:
    bad: list[dict[str, Any]] = [
        {"tenant": "Acme"},
        {"tenant": "a" * 49},
        {"tenant": ""},
        {"scopes": ()},
        {"name": "a\nb"},
        {"name": "\x1b[31m"},
        {"name": "a" * 101},
        {"expires": timedelta(0)},
        {"expires": timedelta(days=4000)},
    ]
    for one in bad:
        values: dict[str, Any] = {"tenant": "acme", "scopes": BOTH, **one}
        with pytest.raises(ContractError):
            await access.create(values.pop("tenant"), values.pop("scopes"), **values)
    assert await access.list() == []
    assert (await access.enter(None)).keyless


async def test_whoever_may_make_keys_cannot_fill_the_store(
    access: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_module, "MAX_KEYS_OF_TENANT", 2)
    first, _ = await access.create("acme", BOTH)
    await access.revoke(first.id)
    await access.create("acme", BOTH)
    with pytest.raises(StateConflict, match="as many keys"):
        await access.create("acme", BOTH)
    await access.create("other", BOTH)


async def test_keys_that_are_long_gone_leave_with_the_next_one_but_never_the_last(
    access: AccessStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = await access.create("acme", BOTH)
    await access.revoke(first.id)
    monkeypatch.setattr(access_module, "REMEMBERED", timedelta(seconds=-1))
    second, _ = await access.create("acme", BOTH)
    assert await access.list() == [second]
    with pytest.raises(Unauthenticated):
        await access.enter(None)


async def test_limits_are_kept_changed_and_taken_away(access: AccessStore) -> None:
    assert await access.limits("acme") == TenantLimits()
    wanted = TenantLimits(requests_per_minute=5, daily_microusd=0)
    await access.set_limits("acme", wanted)
    await access.create("other", BOTH)
    assert await access.limits("acme") == wanted
    assert await access.tenants() == {"acme": wanted, "other": TenantLimits()}
    await access.set_limits("acme", TenantLimits())
    assert await access.tenants() == {"other": TenantLimits()}
    for name in (OPERATOR, "", "a b"):
        with pytest.raises(ContractError):
            await access.set_limits(name, wanted)


async def test_requests_past_the_limit_are_refused_whoever_counts_them(access: AccessStore, store: Store) -> None:
    limits = TenantLimits(requests_per_minute=10)
    other = AccessStore(Store(store.settings))

    calls = [(access, other)[number % 2].count_request("acme", limits) for number in range(40)]
    found = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in found if isinstance(one, RateLimited)]
    assert (found.count(None), len(refused)) == (10, 30)
    assert all(timedelta(0) < one.retry_after <= timedelta(minutes=1) for one in refused)
    await access.count_request("modest", limits)
    await access.count_request("acme", TenantLimits())
    await other.store.close()


async def test_a_check_takes_one_round_trip(access: AccessStore) -> None:
    _, text = await access.create("acme", BOTH)
    await access.enter(text)
    before = await cast(Any, access.store.redis).info("commandstats")
    await access.enter(text)
    after = await cast(Any, access.store.redis).info("commandstats")
    calls = {name: after[name]["calls"] - before.get(name, {"calls": 0})["calls"] for name in after}
    assert calls["cmdstat_evalsha_ro"] == 1
    assert calls.get("cmdstat_hgetall", 0) == 0
