"""Over HTTP jobs are submitted, listed, looked at, changed and followed, each by its own tenant."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from orchestrator.api import streams
from tasks.access import Scope, TenantLimits
from tasks.ids import JobId
from tasks.store import audit
from tests.api.conftest import Api, Behind, refused
from tests.support.waiting import wait_until

PLAN: dict[str, Any] = {"steps": [{"id": "one", "description": "Do one.", "agent": "worker"}]}
TWO: dict[str, Any] = {
    "steps": [
        {"id": "one", "description": "Do one.", "agent": "worker"},
        {"id": "two", "description": "Do two.", "agent": "failing", "depends_on": ["one"]},
    ]
}


def events(text: str) -> list[dict[str, Any]]:
    """What stands in a stream of events, `end` last."""
    found: list[dict[str, Any]] = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if "data" in fields:
            found.append({**json.loads(fields["data"]), "id": fields.get("id"), "event": fields.get("event")})
    return found


async def test_a_job_is_accepted_and_its_outcome_is_the_result(api: Api, behind: Behind) -> None:
    reply = await api.post("/v1/jobs", {"task": "Do.", "plan": PLAN})
    assert reply.status_code == 202
    job = JobId(reply.json()["job_id"])
    assert reply.headers["location"] == f"/v1/jobs/{job}"
    assert (await api.get(f"/v1/jobs/{job}/result")).status_code == 202
    await behind.finish(job)
    outcome = await api.get(f"/v1/jobs/{job}/result")
    assert (outcome.status_code, outcome.json()["status"]) == (200, "completed")
    assert (await api.get(f"/v1/jobs/{job}")).json() == outcome.json()
    standing = (await api.get(f"/v1/jobs/{job}/status")).json()
    assert (standing["status"], standing["paused"]) == ("completed", False)


async def test_a_submit_may_wait_for_the_end(api: Api, behind: Behind) -> None:
    async def one() -> bool:
        return bool((await api.get("/v1/jobs")).json()["jobs"])

    waiting = asyncio.create_task(api.post("/v1/jobs?wait=50", {"task": "Do.", "plan": PLAN}))
    await wait_until(one)
    job = JobId((await api.get("/v1/jobs")).json()["jobs"][0]["job_id"])
    await behind.finish(job)
    reply = await waiting
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")


async def test_a_second_submit_with_the_same_key_is_the_first_job(api: Api) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await api.post("/v1/jobs", {"task": "Do.", "plan": PLAN}, headers=headers)
    again = await api.post("/v1/jobs", {"task": "Do.", "plan": PLAN}, headers=headers)
    assert first.json()["job_id"] == again.json()["job_id"]
    other = await api.post("/v1/jobs", {"task": "Do something else.", "plan": PLAN}, headers=headers)
    refused(other, 409, "idempotency_conflict")


async def test_tenants_do_not_share_idempotency_keys(api: Api) -> None:
    headers = {"Idempotency-Key": "order-17"}
    jobs = [
        (await api.post("/v1/jobs", {"task": "Do.", "plan": PLAN}, who, headers=headers)).json()["job_id"]
        for who in ("acme", "globex", "default")
    ]
    assert len(set(jobs)) == 3


async def test_nobody_can_guess_a_key_that_stands_for_another_tenants(api: Api) -> None:
    headers = {"Idempotency-Key": "t-0123456789abcdef-x"}
    refused(await api.post("/v1/jobs", {"task": "Do."}, "default", headers=headers), 422, "contract")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"task": ""},
        {"task": " \n"},
        {"task": "x" * 100_001},
        {"task": 7},
        {"task": "Do.", "priority": "5"},
        {"task": "Do.", "priority": 10},
        {"task": "Do.", "budget_usd": -1},
        {"task": "Do.", "timeout_s": 0},
        {"task": "Do.", "unknown": 1},
        {"task": "Do.", "knowledge": ["../secrets"]},
        {"task": "Do.", "files": ["../../etc/passwd"]},
        {"task": "Do.", "plan": {"steps": "none"}},
        {"task": "Do.", "webhook": {"url": "x"}},
        {"task": "\ud800"},
    ],
)
async def test_a_submit_that_is_wrong_says_where(api: Api, body: dict[str, Any]) -> None:
    reply = await api.call("POST", "/v1/jobs", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert reply.status_code == 422, reply.text
    assert reply.json()["detail"]


async def test_json_that_is_none_is_refused(api: Api) -> None:
    for text in ("", "{", '{"task": "a"} x', "\x00", "[" * 60, '{"task": NaN'):
        headers = {"Content-Type": "application/json"}
        reply = await api.call("POST", "/v1/jobs", content=text, headers=headers)
        assert reply.status_code in {400, 422}, (text, reply.text)
        assert reply.headers["content-type"] == "application/problem+json"


async def test_paths_on_the_workers_machines_are_for_operators(api: Api) -> None:
    body = {"task": "Do.", "data": ["/etc/passwd"]}
    refused(await api.post("/v1/jobs", body), 403, "not_allowed")
    refused(await api.post("/v1/jobs", {"task": "Do.", "data": ["relative"]}, "operator"), 422, "contract")


async def test_a_tenant_acts_for_itself_and_an_operator_for_whom_it_says(api: Api) -> None:
    refused(await api.post("/v1/jobs", {"task": "Do.", "tenant": "globex"}), 403, "not_allowed")
    reply = await api.post("/v1/jobs", {"task": "Do.", "tenant": "globex"}, "operator")
    assert (await api.get(f"/v1/jobs/{reply.json()['job_id']}", "globex")).status_code == 200


async def test_webhooks_at_private_addresses_are_refused(api: Api) -> None:
    body = {"task": "Do.", "webhook": {"url": "http://169.254.169.254/latest"}}
    refused(await api.post("/v1/jobs", body), 422, "address_refused")
    assert (await api.get("/v1/jobs")).json()["jobs"] == []


async def test_the_list_is_the_tenants_own_in_parts(api: Api) -> None:
    mine = [await api.submit() for _ in range(5)]
    other = await api.submit("globex")
    found: list[str] = []
    path = "/v1/jobs?limit=2"
    while True:
        part = (await api.get(path)).json()
        found += [job["job_id"] for job in part["jobs"]]
        if part["next"] is None:
            break
        path = f"/v1/jobs?limit=2&cursor={part['next']}"
    assert found == list(reversed(mine))
    assert {job["tenant"] for job in (await api.get("/v1/jobs", "operator")).json()["jobs"]} == {"acme", "globex"}
    only = (await api.get("/v1/jobs?tenant=globex", "operator")).json()["jobs"]
    assert [job["job_id"] for job in only] == [other]
    widened = (await api.get("/v1/jobs?tenant=globex", "acme")).json()["jobs"]
    assert {job["tenant"] for job in widened} == {"acme"}


async def test_the_list_is_filtered_by_status_and_words(api: Api) -> None:
    await api.submit(task="Compare pears.")
    apples = await api.submit(task="Compare apples.")
    await api.post(f"/v1/jobs/{apples}/cancel")
    cancelled = (await api.get("/v1/jobs?status=cancelled")).json()["jobs"]
    assert [job["job_id"] for job in cancelled] == [apples]
    assert len((await api.get("/v1/jobs?status=cancelled&status=pending")).json()["jobs"]) == 2
    assert [job["job_id"] for job in (await api.get("/v1/jobs?q=APPLES")).json()["jobs"]] == [apples]
    refused(await api.get("/v1/jobs?status=gone"), 422, "invalid_request")
    refused(await api.get("/v1/jobs?cursor=x"), 422, "contract")


async def test_steps_traces_graphs_and_ledgers_are_told(api: Api, behind: Behind) -> None:
    job = await api.submit()
    await behind.finish(job)
    assert [step["id"] for step in (await api.get(f"/v1/jobs/{job}/steps")).json()] == ["one", "synthesis"]
    assert (await api.get(f"/v1/jobs/{job}/steps/one")).json()["result"]["text"] == "did Do one."
    refused(await api.get(f"/v1/jobs/{job}/steps/none"), 404, "unknown_job")
    assert (await api.get(f"/v1/jobs/{job}/trace")).json()["job_id"] == job
    for form, begins in {"tree": "span", "mermaid": "flowchart", "dot": "digraph", "html": "<!doctype html"}.items():
        reply = await api.get(f"/v1/jobs/{job}/trace?format={form}")
        assert reply.text.lower().lstrip().startswith(begins), form
    page = await api.get(f"/v1/jobs/{job}/trace?format=html")
    assert "sandbox" in page.headers["content-security-policy"]
    graph = (await api.get(f"/v1/jobs/{job}/graph")).json()
    assert {node["id"] for node in graph["nodes"]} == {"one", "synthesis"}
    assert all(0 <= node["column"] < graph["columns"] for node in graph["nodes"])
    assert [(edge["source"], edge["target"]) for edge in graph["edges"]] == [("one", "synthesis")]
    assert (await api.get(f"/v1/jobs/{job}/ledger")).json()["job_id"] == job
    assert (await api.get(f"/v1/jobs/{job}/board")).json()["messages"] == []


async def test_a_recording_is_lines_of_json(api: Api, behind: Behind) -> None:
    job = await api.submit()
    refused(await api.get(f"/v1/jobs/{job}/recording"), 409, "bad_recording")
    await behind.finish(job)
    reply = await api.get(f"/v1/jobs/{job}/recording")
    assert reply.headers["content-type"].startswith("application/jsonl")
    assert all(json.loads(line) for line in reply.text.splitlines())


async def test_a_job_is_paused_resumed_and_cancelled(api: Api) -> None:
    job = await api.submit()
    assert (await api.post(f"/v1/jobs/{job}/pause")).status_code == 200
    assert (await api.get(f"/v1/jobs/{job}/status")).json()["paused"]
    assert (await api.post(f"/v1/jobs/{job}/resume")).status_code == 200
    assert not (await api.get(f"/v1/jobs/{job}/status")).json()["paused"]
    assert (await api.post(f"/v1/jobs/{job}/cancel")).json() == {"job_id": job, "status": "cancelled"}
    assert (await api.post(f"/v1/jobs/{job}/cancel")).json()["status"] == "cancelled"


async def test_a_job_goes_on_by_as_many_steps_as_are_said(api: Api, behind: Behind) -> None:
    job = await api.submit(max_steps=1, plan={"steps": [*PLAN["steps"], {**PLAN["steps"][0], "id": "two"}]})

    async def stands() -> bool:
        return bool((await api.get(f"/v1/jobs/{job}")).json()["paused"])

    async with behind.running(job) as task:
        await wait_until(stands)
        assert (await api.post(f"/v1/jobs/{job}/advance", {"steps": 1})).status_code == 200
        await task
    refused(await api.post(f"/v1/jobs/{job}/advance", {"steps": 0}), 422, "invalid_request")
    assert (await api.get(f"/v1/jobs/{job}/result")).json()["status"] == "completed"


async def test_the_failed_part_is_tried_again_and_nothing_else(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=TWO)
    await behind.finish(job)
    reply = await api.post(f"/v1/jobs/{job}/retry")
    assert (reply.status_code, reply.json()["steps"]) == (200, ["two"])
    await behind.finish(job)
    good = await api.submit()
    await behind.finish(good)
    refused(await api.post(f"/v1/jobs/{good}/retry"), 409, "not_dead")


async def test_a_fork_reuses_what_is_there_and_differs(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=TWO)
    await behind.finish(job)
    edit = {"steps": {"two": {"agent": "worker"}}}
    reply = await api.post(f"/v1/jobs/{job}/fork", {"from_step": "two", "edit": edit}, headers={"Idempotency-Key": "k"})
    assert reply.status_code == 202, reply.text
    fork = JobId(reply.json()["job_id"])
    again = await api.post(f"/v1/jobs/{job}/fork", {"from_step": "two", "edit": edit}, headers={"Idempotency-Key": "k"})
    assert again.json()["job_id"] == fork
    await behind.finish(fork)
    found = (await api.get(f"/v1/jobs/{fork}")).json()
    assert (found["forked_from"]["job_id"], found["steps"][0]["reused_from"]) == (job, job)
    diff = (await api.get(f"/v1/jobs/{job}/diff?with={fork}")).json()
    assert diff["differs"]
    other = await api.submit("globex")
    refused(await api.get(f"/v1/jobs/{job}/diff?with={other}"), 404, "unknown_job")
    refused(await api.post(f"/v1/jobs/{job}/fork", {"from_step": "none"}), 422, "contract")


async def test_events_come_in_order_and_go_on_after_any_number(api: Api, behind: Behind) -> None:
    job = await api.submit()
    await behind.finish(job)
    reply = await api.get(f"/v1/jobs/{job}/events")
    assert reply.headers["content-type"].startswith("text/event-stream")
    seen = events(reply.text)
    assert seen[-1]["event"] == "end"
    numbers = [int(one["id"]) for one in seen[:-1]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert [int(one["seq"]) for one in seen[:-1]] == numbers
    rest = events((await api.get(f"/v1/jobs/{job}/events?since=1", headers={"Last-Event-ID": "3"})).text)
    assert [int(one["id"]) for one in rest[:-1]] == numbers[3:]
    assert len(events((await api.get(f"/v1/jobs/{job}/events?since={len(numbers)}")).text)) == 1
    refused(await api.get(f"/v1/jobs/{job}/events?since=9999"), 422, "contract")
    refused(await api.get(f"/v1/jobs/{job}/events?since=-1"), 422, "invalid_request")


async def test_streams_end_without_their_end_when_the_process_is_to_stop(api: Api) -> None:
    job = await api.submit()
    api.door.closing.set()
    assert [one["event"] for one in events((await api.get(f"/v1/jobs/{job}/events")).text)] == []
    refused(await api.get("/readyz", None), 503, "store_unavailable")
    assert (await api.get("/healthz", None)).status_code == 200


async def test_a_tenant_may_have_as_many_jobs_open_as_its_limits_say(api: Api) -> None:
    await api.door.access.set_limits("acme", TenantLimits(open_jobs=1))
    await api.submit()
    reply = await api.post("/v1/jobs", {"task": "Do.", "plan": PLAN})
    refused(reply, 429, "fleet_full")
    assert int(reply.headers["retry-after"]) >= 1
    await api.submit("globex")


async def test_a_tenants_day_is_held_before_and_settled_after(api: Api, behind: Behind) -> None:
    await api.door.access.set_limits("acme", TenantLimits(daily_microusd=1_000_000))
    await api.submit(budget_usd=0.8)
    reply = await api.post("/v1/jobs", {"task": "Do.", "plan": PLAN, "budget_usd": 0.3})
    refused(reply, 429, "daily_budget_spent")
    assert int(reply.headers["retry-after"]) >= 1
    job = await api.submit()  # without a budget: a tenth of the day
    assert (await api.door.snapshots.job(job)).spec.budget_microusd == 100_000
    await api.submit("globex", budget_usd=5)


async def test_a_job_that_was_accepted_is_found_by_its_key_when_the_day_is_spent(api: Api) -> None:
    await api.door.access.set_limits("acme", TenantLimits(daily_microusd=1_000_000))
    body, headers = {"task": "Do.", "plan": PLAN, "budget_usd": 0.9}, {"Idempotency-Key": "order-17"}
    first = await api.post("/v1/jobs", body, headers=headers)
    again = await api.post("/v1/jobs", body, headers=headers)
    assert (again.status_code, again.json()["job_id"]) == (202, first.json()["job_id"])
    new = await api.post("/v1/jobs", body, headers={"Idempotency-Key": "order-18"})
    refused(new, 429, "daily_budget_spent")


async def test_requests_are_counted_by_the_minute(api: Api) -> None:
    await api.door.access.set_limits("acme", TenantLimits(requests_per_minute=3))
    for _ in range(3):
        assert (await api.get("/v1/me")).status_code == 200
    reply = await api.get("/v1/me")
    refused(reply, 429, "rate_limited")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert (await api.get("/v1/me", "globex")).status_code == 200


async def test_what_was_changed_is_written_down_before_it_is_answered(api: Api) -> None:
    job = await api.submit()
    await api.post(f"/v1/jobs/{job}/cancel")
    refused(await api.post("/v1/jobs", {"task": "Do."}, "acme:read"), 403, "not_allowed")
    refused(await api.post(f"/v1/jobs/{job}/cancel", None, "globex"), 404, "unknown_job")
    lines = await api.door.audit.read(10)
    told = {(line.key, line.action, line.object, line.outcome) for line in lines}
    assert (api.ids["acme"], "jobs.submit", job, "ok") in told
    assert (api.ids["acme"], "jobs.cancel", job, "ok") in told
    assert (api.ids["acme:read"], "jobs.submit", "", "not_allowed") in told
    assert (api.ids["globex"], "jobs.cancel", job, "unknown_job") in told


async def test_a_revoked_key_is_refused_at_once(api: Api) -> None:
    assert (await api.get("/v1/me")).status_code == 200
    await api.door.access.revoke(api.ids["acme"])
    reply = await api.get("/v1/me")
    refused(reply, 401, "unauthenticated")
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_without_any_key_this_machine_is_an_operator(keyless: Api) -> None:
    me = (await keyless.get("/v1/me", None, headers={"Host": "localhost"})).json()
    assert (me["operator"], me["keyless"]) == (True, True)
    refused(await keyless.get("/v1/me", None, headers={"Host": "evil.example"}), 403, "not_allowed")
    await keyless.make("first", "acme", [Scope.READ])
    refused(await keyless.get("/v1/me", None, headers={"Host": "localhost"}), 401, "unauthenticated")


async def test_a_fork_that_was_accepted_is_found_by_its_key_when_the_day_is_spent(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=TWO)
    await behind.finish(job)
    await api.door.access.set_limits("acme", TenantLimits(daily_microusd=1_000_000))
    body, headers = {"from_step": "two", "budget_usd": 0.9}, {"Idempotency-Key": "f1"}
    first = await api.post(f"/v1/jobs/{job}/fork", body, headers=headers)
    assert first.status_code == 202, first.text
    again = await api.post(f"/v1/jobs/{job}/fork", body, headers=headers)
    assert (again.status_code, again.json()["job_id"]) == (202, first.json()["job_id"])
    refused(await api.post(f"/v1/jobs/{job}/fork", body), 429, "daily_budget_spent")
    other = await api.post(f"/v1/jobs/{job}/fork", body, headers={"Idempotency-Key": "f2"})
    refused(other, 429, "daily_budget_spent")


async def test_a_retry_that_is_refused_lets_go_nothing_that_another_holds(api: Api, behind: Behind) -> None:
    job = await api.submit(plan=TWO, budget_usd=0.5)
    await behind.finish(job)
    await api.door.access.set_limits("acme", TenantLimits(daily_microusd=1_000_000))
    replies = await asyncio.gather(*(api.post(f"/v1/jobs/{job}/retry") for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] + [409] * 7
    assert (await api.door.spending.spent("acme")).microusd == 500_000


async def test_whose_key_is_revoked_reads_no_further(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_S", 0.0)
    monkeypatch.setattr(streams, "BEAT_S", 0.2)
    job = await api.submit()
    reading = asyncio.create_task(api.get(f"/v1/jobs/{job}/events", "acme:read"))
    shared = cast(Any, api.door.troupe)._events
    await wait_until(lambda: job in shared._feeds)
    await api.door.access.revoke(api.ids["acme:read"])
    told = events((await asyncio.wait_for(reading, 20)).text)
    assert "end" not in {one["event"] for one in told}


async def test_what_others_do_does_not_push_a_tenants_lines_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", 10)
    job = await api.submit()
    for _ in range(300):
        await api.post("/v1/jobs/jnope/cancel", None, "globex")
    own = await api.door.audit.read(100, "acme")
    assert ("jobs.submit", job) in {(line.action, line.object) for line in own}
    assert job not in {line.object for line in await api.door.audit.read(100)}


async def test_a_body_that_is_not_said_to_be_json_is_refused_in_words(api: Api) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await api.call("POST", "/v1/jobs", content='{"task": "Do."}', headers=headers)
    refused(reply, 415, "unsupported_media_type")
    assert "Content-Type: application/json" in reply.json()["detail"]


async def test_nobody_makes_a_key_that_outlives_the_own_one(api: Api) -> None:
    made, text = await api.door.access.create("acme", [Scope.ADMIN], expires=timedelta(hours=1))
    api.keys["short"] = text
    for body in ({"scopes": ["read"]}, {"scopes": ["read"], "expires_s": 9e6}):
        found = (await api.post("/v1/keys", body, "short")).json()["key"]
        assert made.expires_at is not None
        assert datetime.fromisoformat(found["expires_at"]) <= made.expires_at + timedelta(seconds=1)


async def test_a_tenant_reads_no_more_streams_than_it_may(api: Api) -> None:
    job = await api.submit()
    most = api.door.settings.api_max_streams
    api.door.streams["acme"] = most
    refused(await api.get(f"/v1/jobs/{job}/events"), 429, "rate_limited")
    api.door.streams["acme"] = most - 1
    await api.post(f"/v1/jobs/{job}/cancel")
    assert events((await api.get(f"/v1/jobs/{job}/events")).text)[-1]["event"] == "end"
    assert api.door.streams["acme"] == most - 1
