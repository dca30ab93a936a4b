"""Over HTTP a recorded job is replayed, for whoever asks."""

import json

from tests.api.conftest import Api, Behind, refused

KIND = {"Content-Type": "application/jsonl"}


async def recording(api: Api, behind: Behind) -> str:
    job = await api.submit()
    await behind.finish(job)
    reply = await api.get(f"/v1/jobs/{job}/recording")
    assert reply.status_code == 200, reply.text
    return reply.text


async def test_a_recording_is_replayed_for_the_tenant_that_asks(api: Api, behind: Behind) -> None:
    text = await recording(api, behind)
    reply = await api.call("POST", "/v1/replays", "globex", content=text, headers=KIND)
    assert reply.status_code == 202, reply.text
    job = reply.json()["job_id"]
    refused(await api.get(f"/v1/jobs/{job}"), 404, "unknown_job")
    await behind.finish(job)
    outcome = (await api.get(f"/v1/jobs/{job}/result", "globex")).json()
    assert (outcome["status"], outcome["usage"]["cost_usd"]) == ("completed", 0)


async def test_a_recording_does_not_say_whose_it_is_nor_what_files_it_reads(api: Api, behind: Behind) -> None:
    header, *rest = (await recording(api, behind)).splitlines(keepends=True)
    changed = json.loads(header)
    changed["job"] |= {"tenant": "globex", "data": [{"name": "t", "path": "/etc/passwd", "columns": []}]}
    text = "".join([json.dumps(changed) + "\n", *rest])
    reply = await api.call("POST", "/v1/replays", content=text, headers=KIND)
    assert reply.status_code == 202, reply.text
    spec = (await api.door.snapshots.job(reply.json()["job_id"])).spec
    assert (spec.tenant, spec.data) == ("acme", ())


async def test_a_replay_that_is_sent_twice_is_one_job(api: Api, behind: Behind) -> None:
    text = await recording(api, behind)
    once = {**KIND, "Idempotency-Key": "replay-1"}
    first, again = [await api.call("POST", "/v1/replays", content=text, headers=once) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202), again.text
    assert first.json()["job_id"] == again.json()["job_id"]
    other = await api.call("POST", "/v1/replays", "globex", content=text, headers=once)
    assert other.json()["job_id"] != first.json()["job_id"]
    header, *rest = text.splitlines(keepends=True)
    changed = json.loads(header)
    changed["job"]["task"] = "Do something else."
    reply = await api.call("POST", "/v1/replays", content="".join([json.dumps(changed) + "\n", *rest]), headers=once)
    refused(reply, 409, "idempotency_conflict")


async def test_what_is_no_recording_is_refused_without_a_word_of_the_disk(api: Api) -> None:
    for text in ("", "{}\n", '{"line":"recording","format":1,"release":"1"}\n', "\x00"):
        reply = await api.call("POST", "/v1/replays", content=text.encode(), headers=KIND)
        refused(reply, 409, "bad_recording")
        assert "incoming" not in reply.text
    refused(await api.call("POST", "/v1/replays", "acme:read", content=b"", headers=KIND), 403, "not_allowed")
