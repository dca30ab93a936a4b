"""What every request must keep to: how long it is, and how deep its JSON."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from orchestrator.api.bounds import STRANGER_BYTES, Bounds
from orchestrator.api.json_faults import depth, fault_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 0),
        ("7", 0),
        ("[]", 1),
        ('{"a": [1, {"b": 2}]}', 3),
        ('["[[[[", "]]]]"]', 1),
        ('["\\"[[[["]', 1),
        ('["an open string [[[', 1),
        ("[[]][[]]", 2),
        ("]]]][[", 0),
    ],
)
def test_depth_counts_brackets_outside_of_strings(text: str, found: int) -> None:
    assert depth(text.encode(), 100) == found


def test_depth_stops_where_it_is_too_deep() -> None:
    assert depth(b"[" * 1_000_000, 64) == 65


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def client() -> AsyncGenerator[httpx2.AsyncClient]:
    app = Starlette(routes=[Route("/v1/echo", echo, methods=["POST"]), Route("/v1/files", echo, methods=["POST"])])
    bounded = Bounds(app, max_bytes=1_000, max_upload_bytes=5_000, max_depth=10)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(cast(Any, bounded)), base_url="http://localhost"
    ) as found:
        yield found


JSON = {"content-type": "application/json"}


async def test_a_body_counts_as_json_whichever_of_its_headers_says_so(client: httpx2.AsyncClient) -> None:
    deep = "[" * 20 + "]" * 20
    for kinds in (["application/json", "text/plain"], ["text/plain", "application/merge-patch+json; x=y"]):
        headers = [("content-type", kind) for kind in kinds]
        reply = await client.post("/v1/echo", content=deep, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("text", ["9" * 298 + "e99", "9" * 310 + ".0", "1e309", "-1E+309", "9" * 200 + "e200"])
async def test_a_number_that_is_too_large_is_refused_however_it_is_written(
    client: httpx2.AsyncClient, text: str
) -> None:
    reply = await client.post("/v1/echo", content=f'{{"a": {text}}}', headers=JSON)
    assert (reply.status_code, reply.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("text", ["9" * 299 + "e8", "9" * 400, "1e308", "0.5e-400"])
async def test_a_number_that_is_none_too_large_comes_through(client: httpx2.AsyncClient, text: str) -> None:
    assert (await client.post("/v1/echo", content=f'{{"a": {text}}}', headers=JSON)).status_code == 200


async def test_long_runs_of_digits_are_looked_at_once() -> None:
    body = b"[" + b",".join([b"9" * 299] * 13_000) + b"]"
    began = time.process_time()
    assert await fault_of(body, 64) is None
    assert time.process_time() - began < 1.5  # many times that, were each digit the beginning of a run


async def test_whose_key_is_not_known_may_send_as_much_as_a_stranger() -> None:
    app = Starlette(routes=[Route("/v1/echo", echo, methods=["POST"])])

    async def nobody(_: object) -> bool:
        return False

    bounded = Bounds(app, max_bytes=1_000_000, max_upload_bytes=1_000_000, max_depth=10, is_known=nobody)
    transport = httpx2.ASGITransport(cast(Any, bounded))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as asking:
        key = {"authorization": "Bearer junk"}
        long = await asking.post("/v1/echo", content=b"x" * (STRANGER_BYTES + 1), headers=key)
        assert long.status_code == 413
        assert (await asking.post("/v1/echo", content=b"x" * STRANGER_BYTES, headers=key)).status_code == 200


async def test_a_body_comes_through_whole(client: httpx2.AsyncClient) -> None:
    body = json.dumps({"task": "x" * 900})
    answer = await client.post("/v1/echo", content=body, headers=JSON)
    assert (answer.status_code, answer.text) == (200, str(len(body)))


async def test_json_that_is_nested_too_deep_is_a_problem(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/echo", content="[" * 11 + "]" * 11, headers=JSON)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json", "text/plain", ""])
async def test_a_body_that_is_announced_too_long_is_refused(client: httpx2.AsyncClient, kind: str) -> None:
    answer = await client.post("/v1/echo", content=b"1" * 1_001, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_a_body_that_turns_out_too_long_is_refused(client: httpx2.AsyncClient) -> None:
    async def parts() -> AsyncGenerator[bytes]:
        for _ in range(11):
            yield b"1" * 100

    answer = await client.post("/v1/echo", content=parts(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")


async def test_uploads_may_be_longer(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/files", files={"file": b"1" * 3_000})
    assert answer.status_code == 200
    answer = await client.post("/v1/files", files={"file": b"1" * 6_000})
    assert answer.status_code == 413


async def test_only_where_they_are_written_to_disk(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/echo", files={"file": b"1" * 3_000})).status_code == 413
    assert (await client.post("/v1/files", content=b"1" * 3_000, headers=JSON)).status_code == 413


async def test_a_length_that_is_no_number_one_can_bear_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/echo", content=b"1", headers={"content-length": "9" * 400})
    assert answer.status_code == 413


async def test_answers_tell_browsers_what_not_to_do(client: httpx2.AsyncClient) -> None:
    headers = (await client.post("/v1/echo", content=b"1")).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "cache-control" not in (await client.post("/echo", content=b"1")).headers
