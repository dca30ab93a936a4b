"""Over HTTP a tenant sees the steps of its jobs that were given up, and tries them again."""

from tasks.ids import JobId
from tests.api.conftest import Api, Behind, refused

PLAN = {"steps": [{"id": "one", "description": "Do one.", "agent": "failing", "retry": {"max_attempts": 1}}]}


async def failed(api: Api, behind: Behind, who: str = "acme") -> JobId:
    job = await api.submit(who, plan=PLAN)
    await behind.finish(job)
    return job


async def test_the_dead_of_a_tenant_are_its_own(api: Api, behind: Behind) -> None:
    job = await failed(api, behind)
    theirs = await failed(api, behind, "globex")
    (one,) = (await api.get("/v1/dead")).json()
    assert (one["job_id"], one["step"]) == (job, "one")
    assert len((await api.get("/v1/dead", "operator")).json()) == 2
    assert (await api.get(f"/v1/dead/{job}/one")).json() == one
    refused(await api.get(f"/v1/dead/{theirs}/one"), 404, "unknown_job")
    refused(await api.get(f"/v1/dead/{job}/two"), 409, "not_dead")


async def test_a_step_is_tried_again(api: Api, behind: Behind) -> None:
    job = await failed(api, behind)
    place = f"/v1/dead/{job}/retry"
    refused(await api.post(place, {"steps": ["one"]}, "globex"), 404, "unknown_job")
    refused(await api.post(place, {"steps": ["one"]}, "acme:read"), 403, "not_allowed")
    refused(await api.post(place, {"steps": []}), 422, "invalid_request")
    refused(await api.post(place, {"steps": ["two"]}), 409, "not_dead")
    assert (await api.post(place, {"steps": ["one"]})).json() == {"job_id": job, "steps": ["one"]}
    assert (await api.get(f"/v1/jobs/{job}/status")).json()["status"] == "in_progress"
    refused(await api.post(place, {"steps": ["one"]}), 409, "not_dead")


async def test_a_step_is_dropped_once(api: Api, behind: Behind) -> None:
    job = await failed(api, behind)
    refused(await api.call("DELETE", f"/v1/dead/{job}/one", "globex"), 404, "unknown_job")
    assert (await api.call("DELETE", f"/v1/dead/{job}/one")).status_code == 204
    assert (await api.get("/v1/dead")).json() == []
    refused(await api.call("DELETE", f"/v1/dead/{job}/one"), 409, "not_dead")
