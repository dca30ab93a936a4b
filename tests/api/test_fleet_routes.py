"""Over HTTP operators see the whole fleet, others what is theirs."""

import pytest

from tests.api.conftest import Api, Behind, refused
from tests.support.builders import a_worker

OPERATORS_ONLY = ("workers", "orchestrators", "queues", "scale", "metrics-endpoints")


@pytest.mark.parametrize("path", OPERATORS_ONLY)
async def test_tenants_do_not_look_at_the_fleet(api: Api, path: str) -> None:
    for who in ("acme", "acme:admin"):
        refused(await api.get(f"/v1/{path}", who), 403, "not_allowed")
    assert (await api.get(f"/v1/{path}", "operator:read")).status_code == 200


async def test_agents_are_those_of_living_workers(api: Api, behind: Behind) -> None:
    await behind.moves.fleet.announce(a_worker(queues=["search"]))
    assert [one["name"] for one in (await api.get("/v1/agents")).json()] == ["search"]
    assert [one["name"] for one in (await api.get("/v1/workers", "operator")).json()] == ["w1"]
    assert [one["queue"] for one in (await api.get("/v1/scale", "operator")).json()] == ["search"]
    refused(await api.get("/v1/scale?least=9&most=3", "operator"), 422, "contract")


async def test_statistics_of_a_tenant_are_its_own(api: Api, behind: Behind) -> None:
    await behind.finish(await api.submit("acme"), await api.submit("globex"), await api.submit("globex"))
    for who, count in (("acme", 1), ("globex", 2)):
        for path in ("/v1/statistics", "/v1/statistics?tenant=globex"):
            found = (await api.get(path, who)).json()
            assert (found["tenant"], found["jobs"]["completed"]) == (who, count)
    whole = (await api.get("/v1/statistics", "operator")).json()
    assert (whole["jobs"]["completed"], len(whole["tenants"])) == (3, 2)
    assert (await api.get("/v1/statistics?tenant=globex", "operator")).json()["jobs"]["completed"] == 2
    refused(await api.get("/v1/statistics?since=-1"), 422, "invalid_request")


async def test_the_fleet_is_told_to_prometheus_of_operators_only(api: Api) -> None:
    reply = await api.get("/metrics", "operator:read")
    assert reply.headers["content-type"].startswith("text/plain")
    assert "troupe_store_up 1.0" in reply.text
    refused(await api.get("/metrics", "acme"), 403, "not_allowed")
    refused(await api.get("/metrics", None), 401, "unauthenticated")


async def test_only_who_runs_the_fleet_prunes(api: Api, behind: Behind) -> None:
    job = await api.submit()
    await behind.finish(job)
    for who in ("acme:admin", "operator:read"):
        refused(await api.post("/v1/prune", {"older_than_s": 0}, who), 403, "not_allowed")
    assert (await api.post("/v1/prune", {"older_than_s": 0, "dry_run": True}, "operator")).json() == {"forgotten": 1}
    assert (await api.get(f"/v1/jobs/{job}")).status_code == 200
    assert (await api.post("/v1/prune", {"older_than_s": 0}, "operator")).json() == {"forgotten": 1}
    refused(await api.get(f"/v1/jobs/{job}"), 404, "unknown_job")
    wrong = {"older_than_s": 0, "statuses": ["pending"]}
    refused(await api.post("/v1/prune", wrong, "operator"), 422, "invalid_request")
