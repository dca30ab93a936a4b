"""Whatever is sent, no answer is a fault of the API; and text that was taken comes back as it was sent."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from httpx2 import Response

from tasks.ids import JobId
from tests.api.conftest import Api, Behind
from tests.api.hostile import documents, texts
from tests.support.waiting import wait_until

JSON: Final = {"Content-Type": "application/json"}
AT_ONCE: Final = 40
"""Questions of one job."""
pytestmark = pytest.mark.timeout(300)  # for the many of HOSTILE_CASES


async def send(api: Api, path: str, value: Any, method: str = "POST") -> Response:
    """A JSON body in which each character that is not ASCII is escaped: so lone surrogates can be sent at all."""
    return await api.call(method, path, content=json.dumps(value).encode(), headers=JSON)


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def fits(reply: Response, text: str, good: int) -> bool:
    """Whether a text was taken; one that is no text is not."""
    assert reply.status_code in {good, 422}, f"{text[:50]!r}: {reply.status_code} {reply.text[:200]}"
    assert is_text(text) or reply.status_code == 422, text
    assert reply.status_code == good or not text.strip() or not is_text(text), f"{text[:50]!r}: {reply.text[:200]}"
    return reply.status_code == good


async def test_a_task_comes_back_as_it_was_sent(api: Api) -> None:
    """But for blanks around it, which no door takes for a part of it."""
    plan = {"steps": [{"id": "one", "description": "Do one.", "agent": "worker"}]}
    taken = 0
    for text in texts():
        reply = await send(api, "/v1/jobs", {"task": text, "plan": plan})
        if fits(reply, text, 202):
            job = reply.json()["job_id"]
            assert (await api.door.snapshots.job(job)).spec.task == text.strip()
            page = await api.get("/v1/jobs", params={"limit": 1})
            assert page.json()["jobs"][0]["job_id"] == job
            taken += 1
    assert taken > len(texts()) * 0.9


async def test_what_is_said_in_a_session_comes_back_as_it_was_sent(api: Api) -> None:
    said: list[str] = []
    for text in texts():
        message = {"role": "user", "content": text, "metadata": {"said": text}}
        if text and fits(await send(api, "/v1/sessions/talk/append", message), text, 200):
            said.append(text)
    found: list[dict[str, Any]] = []
    while page := (await api.get("/v1/sessions/talk/messages", params={"after": len(found)})).json():
        found += page
    assert [one["content"][0]["text"] for one in found] == said
    assert [one["metadata"]["said"] for one in found] == said


async def test_task_state_comes_back_as_it_was_sent(api: Api) -> None:
    await send(api, "/v1/sessions/talk/append", {"role": "user", "content": "Hello."})
    state: dict[str, str] = {}
    for text in (one for one in texts() if 0 < len(one) < 1000):
        reply = await send(api, "/v1/sessions/talk/task-state", {"changes": {text: text}}, "PATCH")
        if fits(reply, text, 200):
            state[text] = text
    assert (await api.get("/v1/sessions/talk")).json()["task_state"] == state


async def test_a_file_is_kept_as_it_was_sent_whatever_it_is_called(api: Api, tmp_path: Path) -> None:
    names = set[str]()
    for number, text in enumerate(texts()):
        content = f"# {number}\n\n".encode() + text.encode("utf-8", "surrogatepass")
        name = f"{text[:200]}.md".encode("utf-8", "replace")
        form = (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="'
            + _quoted(name)
            + b'"\r\n\r\n'
            + content
            + b"\r\n--x--\r\n"
        )
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        reply = await api.call("POST", "/v1/knowledge/handbook/documents", content=form, headers=headers)
        assert reply.status_code in {200, 422}, f"{text[:50]!r}: {reply.text[:200]}"
        if reply.status_code == 200:
            kept = [path for path in _files(tmp_path) if path.read_bytes() == content]
            assert len(kept) == 1, text[:50]
            names.add(kept[0].name)
    assert all(path.is_relative_to(tmp_path / "tenants/acme") for path in _files(tmp_path))
    listed = {one["path"] for one in (await api.get("/v1/knowledge/handbook/documents")).json()}
    assert listed <= names
    assert len(names) > 20


def _files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.md"))


def _quoted(name: bytes) -> bytes:
    return name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")


async def test_an_answer_reaches_the_step_as_it_was_sent(api: Api, behind: Behind) -> None:
    good = [text for text in texts() if is_text(text) and 0 < len(text) < 10_000]
    for begin in range(0, len(good), AT_ONCE):
        await _answered(api, behind, good[begin : begin + AT_ONCE])


async def _answered(api: Api, behind: Behind, answers: list[str]) -> None:
    steps = [{"id": f"s{at}", "description": "Ask.", "agent": "asker"} for at in range(len(answers))]
    job = JobId((await send(api, "/v1/jobs", {"task": "Ask.", "plan": {"steps": steps}})).json()["job_id"])

    async def all_ask() -> bool:
        return len((await api.get("/v1/asked")).json()) == len(answers)

    async with behind.running(job) as task:
        await wait_until(all_ask, within=60)
        for at, text in enumerate(answers):
            reply = await send(api, f"/v1/jobs/{job}/steps/s{at}/answer", {"text": text})
            assert reply.status_code == 200, f"{text[:50]!r}: {reply.text[:200]}"
        await task
    found = (await api.get(f"/v1/jobs/{job}/steps")).json()
    texts_of = {
        one["id"]: one["result"]["text"] for one in found if one["id"].startswith("s") and one["id"][1:].isdigit()
    }
    assert texts_of == {f"s{at}": f"It is {text}." for at, text in enumerate(answers)}


PLACES: Final = (
    ("POST", "/v1/jobs"),
    ("POST", "/v1/sessions/talk/messages"),
    ("POST", "/v1/sessions/talk/append"),
    ("PUT", "/v1/sessions/talk"),
    ("PATCH", "/v1/sessions/talk/task-state"),
    ("POST", "/v1/login"),
    ("POST", "/v1/replays"),
    ("POST", "/v1/files"),
    ("POST", "/v1/jobs/x/advance"),
    ("POST", "/v1/jobs/x/fork"),
)


async def test_no_document_is_answered_with_a_fault(api: Api) -> None:
    found: dict[int, int] = {}
    for document in documents():
        for method, path in PLACES:
            reply = await api.call(method, path, content=document, headers=JSON)
            assert reply.status_code < 500, f"{method} {path} {document[:60]!r}: {reply.text[:200]}"
            assert reply.status_code < 300 or reply.headers["content-type"] == "application/problem+json"
            found[reply.status_code] = found.get(reply.status_code, 0) + 1
    assert found[422] > len(documents()) * 5


async def test_json_that_is_taken_comes_back_as_it_was_sent(api: Api) -> None:
    taken: list[Any] = []
    for document in documents():
        body = b'{"role": "user", "content": "x", "metadata": {"value": ' + document + b"}}"
        reply = await api.call("POST", "/v1/sessions/talk/append", content=body, headers=JSON)
        assert reply.status_code in {200, 400, 413, 422}, f"{document[:60]!r}: {reply.text[:200]}"
        if reply.status_code == 200:
            taken.append(json.loads(body)["metadata"]["value"])
    found: list[dict[str, Any]] = []
    while page := (await api.get("/v1/sessions/talk/messages", params={"after": len(found)})).json():
        found += page
    assert [one["metadata"]["value"] for one in found] == taken
    assert len(taken) > 10


async def test_uploads_of_anything_end_nothing(api: Api) -> None:
    for document in documents():
        for path, name in (
            ("/v1/files", "x.csv"),
            ("/v1/files", "x.json"),
            ("/v1/knowledge/handbook/documents", "x.md"),
        ):
            reply = await api.call("POST", path, files={"f": (name, document)})
            assert reply.status_code in {200, 201, 413, 422}, f"{name} {document[:60]!r}: {reply.text[:200]}"
