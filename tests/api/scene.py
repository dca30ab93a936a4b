"""Something of every kind that a tenant may have: for tests that go through all routes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tasks.ids import JobId
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.tenancy import session_prefix
from tests.api.conftest import TENANTS, Api, Behind, a_door, opened, with_keys
from tests.support.moves import Moves
from tests.support.waiting import wait_until

GUIDE: Final = b"# Refunds\n\nA refund is paid within fourteen days.\n"
CSV: Final = b"year,amount\n2024,5\n2025,7\n"
STEP: Final = "one"
DOCUMENT: Final = "guide.md"
TALK: Final = "talk"


@dataclass(frozen=True, slots=True)
class Grown:
    """What a tenant has."""

    tenant: str
    done: JobId
    open: JobId
    dead: JobId
    asking: JobId
    session: str
    base: str
    file: str
    key: str
    recording: str


def plan(agent: str, **more: Any) -> dict[str, Any]:
    """A plan of one step."""
    return {"steps": [{"id": STEP, "description": "Do one.", "agent": agent, **more}]}


async def grow(api: Api, behind: Behind, tenant: str) -> Grown:
    """Have a tenant do everything once."""
    done = await api.submit(tenant)
    dead = await api.submit(tenant, plan=plan("failing", retry={"max_attempts": 1}))
    asking = await api.submit(tenant, plan=plan("asker"))
    await _work(api, behind, tenant, [done, dead], asking)
    open_one = await api.submit(tenant)
    await api.post(f"/v1/sessions/{TALK}/append", {"role": "user", "content": "Hello."}, tenant)
    (file,) = (await api.call("POST", "/v1/files", tenant, files={"f": ("sales.csv", CSV)})).json()
    base = f"{tenant}-handbook"
    await api.call("POST", f"/v1/knowledge/{base}/documents", tenant, files={"f": (DOCUMENT, GUIDE)})
    spare, _ = await api.door.access.create(tenant, ["read"], name="spare")  # pyright: ignore[reportArgumentType]
    return Grown(
        tenant=tenant,
        done=done,
        open=open_one,
        dead=dead,
        asking=asking,
        session=f"{session_prefix(tenant)}{TALK}.0",
        base=base,
        file=file["id"],
        key=spare.id,
        recording=(await api.get(f"/v1/jobs/{done}/recording", tenant)).text,
    )


async def _work(api: Api, behind: Behind, tenant: str, jobs: list[JobId], asking: JobId) -> None:
    async def asked() -> bool:
        return bool((await api.get("/v1/asked", tenant)).json())

    async def over() -> bool:
        return all([(await behind.moves.snapshots.job(job)).final for job in jobs])

    async with behind.running(*jobs, asking):
        await wait_until(asked)
        await wait_until(over)


@asynccontextmanager
async def grown(settings: StoreSettings, home: Path) -> AsyncGenerator[tuple[Api, dict[str, Grown]]]:
    """An API with keys, whose tenants have everything."""
    async with opened(a_door(settings, home)) as api:
        await with_keys(api)
        store = Store(settings)
        try:
            behind = Behind(Moves(store))
            found = [await grow(api, behind, tenant) for tenant in TENANTS]
            yield api, {one.tenant: one for one in found}
        finally:
            await store.close()
