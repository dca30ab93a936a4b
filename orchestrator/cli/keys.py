"""`troupe keys`: who may come in by the doors, how much a tenant may do there, and what was done."""

import asyncio
import json as json_text
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import typer
from rich.table import Column, Table
from rich.text import Text

from orchestrator.cli.jobs import AsJson, wide_console
from orchestrator.cli.listing import read_age
from orchestrator.cli.lists import group, print_json
from orchestrator.place import store_settings
from tasks.access import OPERATOR, ApiKey, Audited, Scope, TenantLimits
from tasks.ids import NAME
from tasks.results import MICROUSD
from tasks.store import Store
from tasks.store.access import AccessStore
from tasks.store.audit import MOST, AuditLog
from tasks.store.spending import SpendingStore

T = TypeVar("T")
MOST_USD: Final = 1e9
MOST_COUNT: Final = 1_000_000

Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant's.")]

keys = group("keys", "API keys: make, list and revoke them; limits of tenants; what was done.", lists=False)


@keys.command()
def create(
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it may be used for; repeatable.")],
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Whose jobs it reaches.")] = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help="Who will use it; stands under what it approves.")] = "",
    expires: Annotated[
        str | None, typer.Option(metavar="AGE", help="90d, 12h; good until revoked unless given.")
    ] = None,
    operator: Annotated[bool, typer.Option("--operator", help="One that reaches all tenants.")] = False,
    json: AsJson = False,
) -> None:
    """Make a key and print it, once: only a hash of it is stored."""
    if operator == (tenant is not None):
        raise typer.BadParameter("say --tenant NAME, or --operator", param_hint="--tenant")
    lasts = None if expires is None else read_age(expires, "--expires")
    whose = OPERATOR if tenant is None or operator else _tenant(tenant)

    async def work(store: Store) -> tuple[ApiKey, str]:
        made = await AccessStore(store).create(whose, scope, name=name, expires=lasts)
        await _note(store, "key.create", whose, made[0].id)
        return made

    key, text = _run(work)
    if json:
        typer.echo(f'{{"key": {key.model_dump_json()}, "text": "{text}"}}')
        return
    typer.echo(text)
    until = "until it is revoked" if key.expires_at is None else f"until {key.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    typer.echo(f"key {key.id} of {_whose(whose)}: {', '.join(key.scopes)}; good {until}; not shown again", err=True)


@keys.command("list")
def list_keys(tenant: Tenant = None, json: AsJson = False) -> None:
    """List the keys, without what is secret of them."""
    wanted = None if tenant is None else tenant if tenant == OPERATOR else _tenant(tenant)
    found = _run(lambda store: AccessStore(store).list(wanted))
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("no keys: troupe keys create makes one", err=True)
        return
    table = Table(*(Column(name, no_wrap=True) for name in ("key", "tenant", "name", "scopes", "made")), box=None)
    table.add_column("good")
    for key in found:
        made = f"{key.created_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(key.id, key.tenant, Text(key.name), ",".join(key.scopes), made, _state(key))
    wide_console().print(table)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as list prints it.", show_default=False)],
) -> None:
    """End a key at once."""

    async def work(store: Store) -> ApiKey:
        ended = await AccessStore(store).revoke(key)
        await _note(store, "key.revoke", ended.tenant, ended.id)
        return ended

    ended = _run(work)
    typer.echo(f"key {ended.id} of {_whose(ended.tenant)} revoked")


@keys.command()
def limits(
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Whose; all unless given.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=1, max=MOST_COUNT, metavar="N")] = None,
    open_jobs: Annotated[int | None, typer.Option(min=1, max=MOST_COUNT, metavar="N")] = None,
    daily_usd: Annotated[
        float | None, typer.Option(min=0, max=MOST_USD, metavar="X", help="Most that its jobs of a day (UTC) may cost.")
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Take all its limits away first.")] = False,
    json: AsJson = False,
) -> None:
    """Change what a tenant may do by the doors; without a change, show it."""
    daily = None if daily_usd is None else round(daily_usd * MICROUSD)
    asked = {"requests_per_minute": requests_per_minute, "open_jobs": open_jobs, "daily_microusd": daily}
    changes = {name: value for name, value in asked.items() if value is not None}
    if (changes or none) and tenant is None:
        raise typer.BadParameter("say whose limits: --tenant NAME", param_hint="--tenant")
    whose = None if tenant is None else _tenant(tenant)

    async def work(store: Store) -> list[dict[str, object]]:
        access = AccessStore(store)
        if whose is not None and (changes or none):
            before = TenantLimits() if none else await access.limits(whose)
            await access.set_limits(whose, before.model_copy(update=changes))
            await _note(store, "tenant.limits", whose, whose)
        found = await access.tenants() if whose is None else {whose: await access.limits(whose)}
        return [await _told(store, name, one) for name, one in found.items()]

    told = _run(work)
    if json:
        typer.echo(json_text.dumps(told, indent=1))
        return
    for one in told:
        typer.echo(_line(one))


@keys.command()
def audit(
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=MOST, help="How many.")] = 50,
    tenant: Tenant = None,
    json: AsJson = False,
) -> None:
    """List what was changed or refused at the doors, the newest first."""
    wanted = None if tenant is None else tenant if tenant == OPERATOR else _tenant(tenant)
    found = _run(lambda store: AuditLog(store).read(limit, wanted))
    if json:
        print_json(found)
        return
    names = ("at", "tenant", "key", "action", "object", "outcome", "address")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None)
    for line in found:
        texts = (line.tenant or "-", line.key or "-", line.action, line.object, line.outcome, line.address)
        table.add_row(f"{line.at:%Y-%m-%d %H:%M:%S}", *(Text(text) for text in texts))
    wide_console().print(table)


def _run(work: Callable[[Store], Awaitable[T]]) -> T:
    async def whole() -> T:
        store = Store(store_settings())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(whole())


async def _note(store: Store, action: str, tenant: str, about: str) -> None:
    at = datetime.now(UTC)
    line = Audited(at=at, key=None, tenant=tenant, action=action, object=about, outcome="ok", address="terminal")
    await AuditLog(store).write(line)


async def _told(store: Store, tenant: str, one: TenantLimits) -> dict[str, object]:
    spent = await SpendingStore(store).spent(tenant)
    daily = None if one.daily_microusd is None else one.daily_microusd / MICROUSD
    counts = {"requests_per_minute": one.requests_per_minute, "open_jobs": one.open_jobs}
    return {"tenant": tenant, **counts, "daily_usd": daily, "spent_today_usd": spent.microusd / MICROUSD}


def _line(told: dict[str, object]) -> str:
    kinds = (("requests_per_minute", "{} requests a minute"), ("open_jobs", "{} open jobs"), ("daily_usd", "${} a day"))
    limited = [text.format(told[name]) for name, text in kinds if told[name] is not None]
    today = f"; ${told['spent_today_usd']} of today spent or held" if told["daily_usd"] is not None else ""
    return f"{told['tenant']}: {', '.join(limited) or 'no limits'}{today}"


def _tenant(name: str) -> str:
    if NAME.fullmatch(name) is None:
        said = f"{name!r} is no tenant's name: lower-case letters, digits, - and _, at most 48, a letter first"
        raise typer.BadParameter(said, param_hint="--tenant")
    return name


def _whose(tenant: str) -> str:
    return "operators" if tenant == OPERATOR else f"tenant {tenant}"


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M:%S}"
    if key.expires_at is None:
        return "until revoked"
    return f"{'expired' if key.expires_at <= datetime.now(UTC) else 'until'} {key.expires_at:%Y-%m-%d %H:%M:%S}"
