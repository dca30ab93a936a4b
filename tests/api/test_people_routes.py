"""Over HTTP people see what their tenant's steps ask, and decide it."""

from tasks.store.waits import WaitStore
from tests.api.conftest import Api, Behind, refused
from tests.support.waiting import wait_until


def of_one(agent: str) -> dict[str, object]:
    return {"steps": [{"id": "one", "description": "Do one.", "agent": agent}]}


async def wait_for_one(api: Api) -> dict[str, object]:
    async def asked() -> bool:
        return bool((await api.get("/v1/asked")).json())

    await wait_until(asked)
    (one,) = (await api.get("/v1/asked")).json()
    return one


async def test_a_question_is_listed_for_its_tenant_and_answered(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=of_one("asker"))
    async with behind.running(job) as task:
        one = await wait_for_one(api)
        assert (one["job_id"], one["question"], one["options"]) == (job, "Which year?", ["2024", "2025"])
        assert (await api.get("/v1/asked", "globex")).json() == []
        assert len((await api.get("/v1/asked", "operator")).json()) == 1
        place = f"/v1/jobs/{job}/steps/one"
        refused(await api.post(f"{place}/answer", {"text": "2024"}, "globex"), 404, "unknown_job")
        refused(await api.post(f"{place}/answer", {"text": "2024"}, "acme:read"), 403, "not_allowed")
        refused(await api.post(f"{place}/approve"), 409, "not_asked")
        refused(await api.post(f"{place}/answer", {}), 422, "invalid_request")
        reply = await api.post(f"{place}/answer", {"text": "2024", "key": one["key"]})
        assert (reply.status_code, reply.json()["key"]) == (200, one["key"])
        await task
    assert "It is 2024." in (await api.get(f"/v1/jobs/{job}/steps/one")).json()["result"]["text"]
    refused(await api.post(f"{place}/answer", {"text": "2025"}), 409, "not_asked")


async def test_a_step_begins_when_it_is_approved_with_other_words(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=of_one("careful"))
    async with behind.running(job) as task:
        assert (await wait_for_one(api))["kind"] == "approval"
        place = f"/v1/jobs/{job}/steps/one"
        refused(await api.post(f"{place}/approve", {"arguments": {"agent": "other"}}), 422, "contract")
        reply = await api.post(f"{place}/approve", {"arguments": {"description": "Do two."}}, "acme:approve")
        assert reply.status_code == 200, reply.text
        await task
    assert (await api.get(f"/v1/jobs/{job}/steps/one")).json()["result"]["text"] == "did Do two."


async def test_a_step_that_is_denied_fails_with_the_reason_and_the_name(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=of_one("careful"))
    async with behind.running(job) as task:
        await wait_for_one(api)
        reply = await api.post(f"/v1/jobs/{job}/steps/one/deny", {"reason": "too dear"})
        assert reply.status_code == 200, reply.text
        await task
    error = (await api.get(f"/v1/jobs/{job}/steps/one")).json()["error"]
    assert error["code"] == "approval_denied"
    assert "too dear" in error["message"]
    (wait,) = await WaitStore(behind.moves.store).of_job(job)
    assert (wait.outcome or {})["by"] == "acme"
