"""Over HTTP a tenant has sessions of its own: talks in them, saves them, and sees no others."""

import asyncio
import json
from typing import Any

from tasks.tenancy import session_prefix
from tests.api.conftest import Api, Behind, refused
from tests.support.waiting import wait_until

PLAN = {"steps": [{"id": "one", "description": "Do one.", "agent": "worker"}]}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "plan": PLAN, **more}


async def test_the_same_name_is_another_session_for_each_tenant(api: Api) -> None:
    for who in ("acme", "globex", "default"):
        reply = await api.post("/v1/sessions/talk/append", {"role": "user", "content": f"I am {who}."}, who)
        assert reply.json() == {"seq": 1}
    for who in ("acme", "globex", "default"):
        (one,) = (await api.get("/v1/sessions", who)).json()
        assert one["session_id"] == f"{session_prefix(who)}talk.0"
        (message,) = (await api.get(f"/v1/sessions/{one['session_id']}/messages", who)).json()
        assert message["content"][0]["text"] == f"I am {who}."
    assert len((await api.get("/v1/sessions", "operator")).json()) == 3


async def test_ids_of_other_tenants_are_of_nothing(api: Api) -> None:
    await api.post("/v1/sessions/talk/append", {"role": "user", "content": "Hello."})
    place = f"/v1/sessions/{session_prefix('acme')}talk.0"
    assert (await api.get(place)).status_code == 200
    for who in ("globex", "default"):
        refused(await api.get(place, who), 404, "unknown_session")
        refused(await api.get(f"{place}/messages", who), 404, "unknown_session")
        refused(await api.call("DELETE", place, who), 404, "unknown_session")
        refused(await api.post(f"{place}/messages", said("Hi."), who), 404, "unknown_session")
        refused(await api.post(f"{place}/append", {"role": "user", "content": "Hi."}, who), 404, "unknown_session")
        change = {"changes": {"a": 1}}
        refused(await api.call("PATCH", f"{place}/task-state", who, json=change), 404, "unknown_session")
    refused(await api.get("/v1/sessions/no name"), 404, "unknown_session")


async def test_what_is_said_is_answered_by_a_job_once(api: Api, behind: Behind) -> None:
    key = {"Idempotency-Key": "one"}
    first = await api.post("/v1/sessions/talk/messages", said("What is it?"), headers=key)
    assert first.status_code == 202
    job = first.json()["job_id"]
    assert first.headers["location"] == f"/v1/jobs/{job}"
    again = await api.post("/v1/sessions/talk/messages", said("What is it?"), headers=key)
    assert again.json()["job_id"] == job
    refused(await api.post("/v1/sessions/talk/messages", said("And?", policy="reject")), 409, "session_busy")
    await behind.finish(job)
    found = (await api.get("/v1/sessions/talk/messages", params={"after": 1})).json()
    assert [(one["role"], one["job"]) for one in found] == [("assistant", job)]
    assert (await api.get("/v1/jobs", params={"session": "talk"})).json()["jobs"][0]["job_id"] == job


async def test_the_answer_is_streamed_where_events_are_asked_for(api: Api, behind: Behind) -> None:
    async def accepted() -> bool:
        return bool((await api.get("/v1/jobs")).json()["jobs"])

    async def work() -> None:
        await wait_until(accepted)
        (job,) = (await api.get("/v1/jobs")).json()["jobs"]
        await behind.finish(job["job_id"])

    working = asyncio.create_task(work())
    reply = await api.post("/v1/sessions/talk/messages", said("Go."), headers={"Accept": "text/event-stream"})
    await working
    assert reply.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in reply.text.split("\n\n") if block and not block.startswith(":")]
    assert blocks[0][0] == "event: job"
    job = json.loads(blocks[0][1].removeprefix("data: "))["job_id"]
    assert reply.headers["location"] == f"/v1/jobs/{job}"
    assert blocks[-1] == ["event: end", "data: {}"]
    numbers = [line for block in blocks[1:-1] for line in block if line.startswith("id: ")]
    assert numbers == [f"id: {number}" for number in range(1, len(numbers) + 1)]


async def test_a_session_is_saved_unless_somebody_changed_it(api: Api) -> None:
    await api.post("/v1/sessions/talk/append", {"role": "user", "content": "Hello."})
    state = (await api.get("/v1/sessions/talk")).json()
    mine = {**state, "metadata": {"customer": 17}, "messages": [*state["messages"], {"role": "system", "content": "!"}]}
    saved = await api.call("PUT", "/v1/sessions/talk", json=mine)
    assert (saved.status_code, saved.json()["metadata"]) == (200, {"customer": 17})
    assert [one["role"] for one in saved.json()["messages"]] == ["user", "system"]
    refused(await api.call("PUT", "/v1/sessions/talk", json=state), 409, "state_conflict")
    refused(await api.call("PUT", "/v1/sessions/other", json=state), 422, "contract")
    late = {"role": "user", "content": "!", "timestamp": "9999-12-31T23:59:59-12:00"}
    refused(await api.call("PUT", "/v1/sessions/talk", json={**saved.json(), "messages": [late]}), 422, "contract")


async def test_task_state_is_set_name_by_name_and_a_session_forgotten(api: Api) -> None:
    change = {"changes": {"a": 1, "b": [2]}}
    place = "/v1/sessions/talk/task-state"
    refused(await api.call("PATCH", place, json=change), 404, "unknown_session")
    await api.post("/v1/sessions/talk/append", {"role": "user", "content": "Hello."})
    assert (await api.call("PATCH", place, json=change)).json() == {"task_state": {"a": 1, "b": [2]}}
    assert (await api.call("PATCH", place, json={"changes": {"a": None}})).json() == {"task_state": {"b": [2]}}
    assert (await api.call("DELETE", "/v1/sessions/talk")).status_code == 204
    refused(await api.call("DELETE", "/v1/sessions/talk"), 404, "unknown_session")
    refused(await api.get("/v1/sessions/talk/messages"), 404, "unknown_session")


async def test_reading_keys_say_nothing(api: Api) -> None:
    refused(await api.post("/v1/sessions/talk/messages", said("Hi."), "acme:read"), 403, "not_allowed")
    message = {"role": "user", "content": "Hi."}
    refused(await api.post("/v1/sessions/talk/append", message, "acme:read"), 403, "not_allowed")


async def test_an_operator_talks_for_the_tenant_whose_session_it_is(api: Api) -> None:
    await api.post("/v1/sessions/talk/append", {"role": "user", "content": "Hello."})
    place = f"/v1/sessions/{session_prefix('acme')}talk.0/messages"
    job = (await api.post(place, said("Hi."), "operator")).json()["job_id"]
    assert (await api.get(f"/v1/jobs/{job}")).status_code == 200
    named = await api.post("/v1/sessions/talk/messages", said("Hi.", tenant="globex"), "operator")
    assert (await api.get(f"/v1/jobs/{named.json()['job_id']}", "globex")).status_code == 200
    refused(await api.post(place, said("Hi.", tenant="globex"), "operator"), 422, "contract")
    refused(await api.post("/v1/sessions/talk/messages", said("Hi.", tenant="acme"), "globex"), 403, "not_allowed")
