"""Over HTTP documents come into knowledge bases; each tenant has its own."""

from hashlib import sha256
from pathlib import Path

from tests.api.conftest import Api, refused

GUIDE = b"# Refunds\n\nA refund is paid within fourteen days.\n"
OTHER = b"# Holidays\n\nThe office closes in August.\n"


def documents_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.md")]


async def add(api: Api, who: str = "acme", **files: bytes) -> None:
    sent = [("files", (f"{name}.md", content)) for name, content in files.items()]
    reply = await api.call("POST", "/v1/knowledge/handbook/documents", who, files=sent)
    assert (reply.status_code, reply.json()["added"]) == (200, len(files)), reply.text


async def test_documents_are_added_and_found(api: Api) -> None:
    await add(api, guide=GUIDE, other=OTHER)
    (base,) = (await api.get("/v1/knowledge")).json()
    assert base.pop("index_bytes") > 0
    held = {"documents": 2, "passages": 2, "bytes": len(GUIDE + OTHER), "kinds": {"markdown": 2}}
    assert base == {"name": "handbook", **held}
    (hit,) = (await api.get("/v1/knowledge/handbook/search", params={"q": "refund paid"})).json()
    assert (hit["path"], hit["title"]) == ("guide.md", "Refunds")
    assert "fourteen days" in hit["text"]
    documents = (await api.get("/v1/knowledge/handbook/documents")).json()
    digests = {"guide.md": sha256(GUIDE).hexdigest(), "other.md": sha256(OTHER).hexdigest()}
    assert {one["path"]: one["digest"] for one in documents} == digests
    assert (await api.get("/v1/knowledge/handbook")).json()["documents"] == 2


async def test_a_document_of_the_same_name_is_replaced(api: Api) -> None:
    await add(api, guide=GUIDE)
    reply = await api.call("POST", "/v1/knowledge/handbook/documents", files={"f": ("guide.md", OTHER)})
    assert (reply.json()["updated"], reply.json()["documents"]) == (1, 1)
    assert (await api.get("/v1/knowledge/handbook/search?q=refund")).json() == []


async def test_bases_of_other_tenants_are_not_there(api: Api, tmp_path: Path) -> None:
    await add(api, guide=GUIDE)
    for who in ("globex", "default"):
        assert (await api.get("/v1/knowledge", who)).json() == []
        for path in ("", "/search?q=refund", "/documents"):
            refused(await api.get(f"/v1/knowledge/handbook{path}", who), 404, "unknown_knowledge")
        refused(await api.call("DELETE", "/v1/knowledge/handbook", who), 404, "unknown_knowledge")
        gone = "/v1/knowledge/handbook/documents?path=guide.md"
        refused(await api.call("DELETE", gone, who), 404, "unknown_knowledge")
    await add(api, "globex", other=OTHER)
    assert [one["title"] for one in (await api.get("/v1/knowledge/handbook/documents")).json()] == ["Refunds"]
    assert (tmp_path / "tenants/acme/knowledge/handbook/manifest.json").is_file()


async def test_a_document_and_a_base_are_removed_with_what_was_uploaded(api: Api, tmp_path: Path) -> None:
    await add(api, guide=GUIDE, other=OTHER)
    gone = "/v1/knowledge/handbook/documents?path=guide.md"
    refused(await api.call("DELETE", gone, "acme:read"), 403, "not_allowed")
    assert (await api.call("DELETE", gone)).status_code == 204
    refused(await api.call("DELETE", gone), 404, "unknown_file")
    assert (await api.get("/v1/knowledge/handbook/search?q=refund")).json() == []
    assert documents_below(tmp_path) == ["other.md"]
    assert (await api.call("DELETE", "/v1/knowledge/handbook")).status_code == 204
    refused(await api.call("DELETE", "/v1/knowledge/handbook"), 404, "unknown_knowledge")
    assert documents_below(tmp_path) == []


async def test_names_that_are_none_are_of_nothing(api: Api) -> None:
    refused(await api.get("/v1/knowledge/..%2Fx"), 404, "not_found")
    refused(await api.get("/v1/knowledge/No Name"), 404, "unknown_knowledge")
    sent = {"f": ("guide.md", GUIDE)}
    refused(await api.call("POST", "/v1/knowledge/No Name/documents", files=sent), 422, "contract")


async def test_documents_that_cannot_be_used_are_refused_without_a_word_of_the_disk(api: Api, tmp_path: Path) -> None:
    for name, content in (("broken.pdf", b"%PDF-1.4 no"), ("tool.exe", b"MZ"), ("empty.md", b"")):
        reply = await api.call("POST", "/v1/knowledge/handbook/documents", files={"f": (name, content)})
        assert reply.status_code == 422, reply.text
        assert str(tmp_path) not in reply.text
    assert (await api.get("/v1/knowledge")).json() == []


async def test_why_none_of_several_documents_can_be_used_is_said_of_each(api: Api, tmp_path: Path) -> None:
    sent = {"one": ("one.md", b"\0\1\2\3" * 100), "two": ("two.txt", b"\0\1\2\3" * 101)}
    reply = await api.call("POST", "/v1/knowledge/handbook/documents", files=sent)
    assert refused(reply, 422, "bad_document")
    faults = [{"where": "one.md", "message": "binary, not text"}, {"where": "two.txt", "message": "binary, not text"}]
    assert reply.json()["faults"] == faults
    assert str(tmp_path) not in reply.text


async def test_a_document_that_becomes_unusable_is_counted_as_removed(api: Api) -> None:
    await add(api, guide=GUIDE, other=OTHER)
    reply = await api.call("POST", "/v1/knowledge/handbook/documents", files={"f": ("guide.md", b"\0\1\2\3" * 100)})
    found = reply.json()
    assert (reply.status_code, found["removed"], found["updated"], found["documents"]) == (200, 1, 0, 1)


async def test_a_query_has_words(api: Api) -> None:
    await add(api, guide=GUIDE)
    refused(await api.get("/v1/knowledge/handbook/search"), 422, "invalid_request")
    refused(await api.get("/v1/knowledge/handbook/search?q=a&k=1000"), 422, "invalid_request")
    assert (await api.get("/v1/knowledge/handbook/search?q=AND OR (")).json() == []
