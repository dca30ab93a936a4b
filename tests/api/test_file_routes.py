"""Over HTTP data files are uploaded, given to jobs, and deleted; each tenant has its own."""

import asyncio
from pathlib import Path

from tests.api.conftest import Api, refused

CSV = b"year,amount\n2024,5\n2025,7\n"


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_files_are_uploaded_listed_and_deleted(api: Api, tmp_path: Path) -> None:
    sent = [("files", ("sales.csv", CSV)), ("files", ("costs.csv", CSV))]
    reply = await api.call("POST", "/v1/files", files=sent)
    assert reply.status_code == 201, reply.text
    found = reply.json()
    assert [(one["name"], one["bytes"]) for one in found] == [("sales.csv", len(CSV)), ("costs.csv", len(CSV))]
    assert {one["id"] for one in (await api.get("/v1/files")).json()} == {one["id"] for one in found}
    assert (await api.get("/v1/files", "globex")).json() == []
    place = f"/v1/files/{found[0]['id']}"
    refused(await api.call("DELETE", place, "globex"), 404, "unknown_file")
    assert (await api.call("DELETE", place)).status_code == 204
    refused(await api.call("DELETE", place), 404, "unknown_file")
    assert list((tmp_path / "incoming").iterdir()) == []


async def test_a_job_is_given_its_tenants_files_only(api: Api) -> None:
    ((one,),) = ((await api.call("POST", "/v1/files", files={"f": ("sales.csv", CSV)})).json(),)
    job = await api.submit("acme", files=[one["id"]])
    record = await api.door.snapshots.job(job)
    assert [ref.name for ref in record.spec.data] == ["sales"]
    refused(await api.post("/v1/jobs", {"task": "Do.", "files": [one["id"]]}, "globex"), 404, "unknown_file")
    refused(await api.post("/v1/jobs", {"task": "Do.", "files": ["../../x"]}), 422, "invalid_request")


async def test_names_lead_nowhere(api: Api, tmp_path: Path) -> None:
    for name in ("../../../up.csv", "/etc/up.csv", "..\\up.csv", "a/b/up.csv"):
        (one,) = (await api.call("POST", "/v1/files", files={"f": (name, CSV)})).json()
        assert one["name"] == "up.csv"
    assert {path.parents[2] for path in files_below(tmp_path)} == {tmp_path / "tenants" / "acme"}


async def test_what_is_no_data_file_is_refused_and_not_kept(api: Api) -> None:
    good = ("files", ("sales.csv", CSV))
    for bad in (("x.exe", b"MZ"), ("empty.csv", b""), ("", CSV)):
        reply = await api.call("POST", "/v1/files", files=[good, ("files", bad)])
        assert reply.status_code == 422, reply.text
    assert (await api.get("/v1/files")).json() == []


async def test_requests_that_bring_no_files_are_refused(api: Api) -> None:
    refused(await api.post("/v1/files", {"files": []}), 415, "unsupported_media_type")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    cut = b'--x\r\nContent-Disposition: form-data; name="a"; filename="a.csv"\r\n\r\nyear,'
    for body in (b"", b"--x--\r\n", b"--x\r\n", b"nothing", cut):
        reply = await api.call("POST", "/v1/files", content=body, headers=kind)
        refused(reply, 422, "contract")
    refused(await api.call("POST", "/v1/files", data={"a": "b"}, files={"f": ("a.csv", CSV)}), 422, "contract")
    refused(await api.call("POST", "/v1/files", "acme:read", files={"f": ("a.csv", CSV)}), 403, "not_allowed")


async def test_too_many_files_are_refused(api: Api) -> None:
    many = [("f", (f"{number}.csv", CSV)) for number in range(101)]
    refused(await api.call("POST", "/v1/files", files=many), 413, "payload_too_large")


async def test_a_tenant_keeps_so_much_and_no_more(api: Api) -> None:
    api.door.settings = api.door.settings.model_copy(update={"api_max_files_bytes": 2_000})
    whole = b"year\n" + b"2024\n" * 239  # 1,200 bytes
    (first,) = (await api.call("POST", "/v1/files", files={"f": ("a.csv", whole)})).json()
    refused(await api.call("POST", "/v1/files", files={"f": ("b.csv", whole)}), 413, "payload_too_large")
    assert (await api.call("POST", "/v1/files", files={"f": ("a.csv", whole)})).status_code == 201, "it is there"
    notes = "/v1/knowledge/handbook/documents"
    refused(await api.call("POST", notes, files={"f": ("a.md", whole)}), 413, "payload_too_large")
    assert (await api.call("POST", "/v1/files", "globex", files={"f": ("b.csv", whole)})).status_code == 201
    assert (await api.call("DELETE", f"/v1/files/{first['id']}")).status_code == 204
    assert (await api.call("POST", notes, files={"f": ("a.md", whole)})).status_code == 200
    refused(await api.call("POST", "/v1/files", files={"f": ("b.csv", whole)}), 413, "payload_too_large")


async def test_who_is_at_the_bound_can_still_replace_a_document(api: Api) -> None:
    notes, whole = "/v1/knowledge/handbook/documents", b"# Refunds\n\n" + b"A refund takes two weeks.\n" * 400
    assert (await api.call("POST", notes, files={"f": ("a.md", whole)})).status_code == 200
    kept = sum(path.stat().st_size for path in files_below(api.door.home))
    api.door.settings = api.door.settings.model_copy(update={"api_max_files_bytes": kept + 100})
    refused(await api.call("POST", notes, files={"f": ("b.md", whole)}), 413, "payload_too_large")
    for content in (whole, whole[:5_000]):
        reply = await api.call("POST", notes, files={"f": ("a.md", content)})
        assert reply.status_code == 200, reply.text


async def test_uploads_at_the_same_moment_keep_to_it_together(api: Api) -> None:
    api.door.settings = api.door.settings.model_copy(update={"api_max_files_bytes": 5_000})
    sent = [{"f": (f"{number}.csv", b"year\n" + b"2024\n" * 239)} for number in range(8)]
    replies = await asyncio.gather(*(api.call("POST", "/v1/files", files=one) for one in sent))
    taken = [one for one in replies if one.status_code == 201]
    assert {one.status_code for one in replies} == {201, 413}
    assert len((await api.get("/v1/files")).json()) == len(taken) <= 4


async def test_operators_act_for_a_tenant_and_others_do_not(api: Api) -> None:
    sent = {"f": ("sales.csv", CSV)}
    assert (await api.call("POST", "/v1/files?tenant=acme", "operator", files=sent)).status_code == 201
    assert len((await api.get("/v1/files")).json()) == 1
    assert len((await api.get("/v1/files?tenant=acme", "operator")).json()) == 1
    refused(await api.call("POST", "/v1/files?tenant=acme", "globex", files=sent), 403, "not_allowed")
    refused(await api.get("/v1/files?tenant=acme", "globex"), 403, "not_allowed")
    refused(await api.get("/v1/files?tenant=../x", "operator"), 422, "invalid_request")
