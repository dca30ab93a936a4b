"""Over HTTP keys are made, listed and revoked by those who may; a page is let in with one."""

import pytest

from tasks.access import Scope
from tests.api.conftest import Api, refused

ADMIN = "acme:admin"


async def test_an_administrator_makes_keys_for_its_own_tenant(api: Api) -> None:
    reply = await api.post("/v1/keys", {"scopes": ["read"], "name": "reader", "expires_s": 60}, ADMIN)
    assert reply.status_code == 201
    made = reply.json()
    assert (made["key"]["tenant"], made["key"]["scopes"]) == ("acme", ["read"])
    api.keys["reader"] = made["text"]
    mine = (await api.get("/v1/me", "reader")).json()
    assert (mine["tenant"], mine["name"], mine["scopes"], mine["operator"]) == ("acme", "reader", ["read"], False)
    assert made["text"] not in (await api.get("/v1/keys", ADMIN)).text


@pytest.mark.parametrize("tenant", ["globex", "*", "default"])
async def test_an_administrator_makes_none_for_others(api: Api, tenant: str) -> None:
    refused(await api.post("/v1/keys", {"tenant": tenant, "scopes": ["read"]}, ADMIN), 403, "not_allowed")


async def test_keys_are_for_administrators(api: Api) -> None:
    for method, path in (("GET", "/v1/keys"), ("POST", "/v1/keys"), ("DELETE", "/v1/keys/x"), ("GET", "/v1/audit")):
        body = {"scopes": ["read"]} if method == "POST" else None
        refused(await api.call(method, path, "acme", json=body), 403, "not_allowed")


async def test_operators_make_keys_for_all(api: Api) -> None:
    for tenant in ("initech", "*"):
        made = await api.post("/v1/keys", {"tenant": tenant, "scopes": ["admin"]}, "operator")
        assert made.json()["key"]["tenant"] == tenant
    refused(await api.post("/v1/keys", {"tenant": "No Name", "scopes": ["read"]}, "operator"), 422, "invalid_request")
    refused(await api.post("/v1/keys", {"scopes": []}, "operator"), 422, "invalid_request")


async def test_keys_of_others_are_neither_listed_nor_revoked(api: Api) -> None:
    assert {one["tenant"] for one in (await api.get("/v1/keys", ADMIN)).json()} == {"acme"}
    assert len({one["tenant"] for one in (await api.get("/v1/keys", "operator")).json()}) == 4
    refused(await api.call("DELETE", f"/v1/keys/{api.ids['globex']}", ADMIN), 404, "unknown_key")
    assert (await api.call("DELETE", f"/v1/keys/{api.ids['acme']}", ADMIN)).json()["revoked_at"]
    refused(await api.get("/v1/me"), 401, "unauthenticated")
    assert (await api.get("/v1/me", "globex")).status_code == 200


async def test_what_was_done_is_read_by_administrators_of_the_tenant(api: Api) -> None:
    job = await api.submit("acme")
    await api.submit("globex")
    refused(await api.get("/v1/keys"), 403, "not_allowed")
    found = (await api.get("/v1/audit", ADMIN)).json()
    assert {one["tenant"] for one in found} == {"acme"}
    assert {("jobs.submit", job, "ok"), ("access.keys", "", "not_allowed")} <= {
        (one["action"], one["object"], one["outcome"]) for one in found
    }
    assert {one["tenant"] for one in (await api.get("/v1/audit", "operator")).json()} == {"acme", "globex"}


async def test_a_page_logs_in_with_a_key_and_out(api: Api) -> None:
    reply = await api.post("/v1/login", {"key": api.keys["acme"]}, None)
    assert reply.status_code == 204
    cookie = reply.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=2592000"))
    assert "Secure" not in cookie
    assert (await api.get("/v1/me", None)).json()["tenant"] == "acme"
    assert (await api.post("/v1/logout", who=None)).status_code == 204
    refused(await api.get("/v1/me", None), 401, "unauthenticated")


async def test_the_cookie_is_for_https_alone_where_the_page_came_by_it(api: Api) -> None:
    reply = await api.client.post("https://api.test/v1/login", json={"key": api.keys["acme"]})
    assert "Secure" in reply.headers["set-cookie"]


async def test_a_key_that_is_none_logs_nobody_in(api: Api) -> None:
    for text in ("", "secret", f"trp_{'0' * 10}_{'x' * 43}"):
        reply = await api.post("/v1/login", {"key": text}, None)
        refused(reply, 401, "unauthenticated")
        assert "set-cookie" not in reply.headers


async def test_another_sites_page_logs_nobody_in_or_out(api: Api) -> None:
    headers = {"Origin": "https://evil.test"}
    refused(await api.post("/v1/login", {"key": api.keys["acme"]}, None, headers=headers), 403, "not_allowed")
    refused(await api.post("/v1/logout", who=None, headers=headers), 403, "not_allowed")


async def test_the_first_key_is_made_by_this_machine_and_closes_the_door(keyless: Api) -> None:
    local = {"Host": "localhost:8080"}
    made = await keyless.post("/v1/keys", {"tenant": "acme", "scopes": list(Scope)}, None, headers=local)
    assert made.status_code == 201
    refused(await keyless.get("/v1/keys", None, headers=local), 401, "unauthenticated")


async def test_the_page_learns_whether_it_is_logged_in_without_a_refusal(api: Api) -> None:
    assert (await api.get("/v1/login", None)).json() == {"logged_in": False}
    for text, known in ((api.keys["acme"], True), ("trp_nothing", False)):
        reply = await api.get("/v1/login", None, headers={"Cookie": f"troupe_key={text}"})
        assert (reply.status_code, reply.json()) == (200, {"logged_in": known})


async def test_the_page_needs_no_login_where_there_are_no_keys(keyless: Api) -> None:
    assert (await keyless.get("/v1/login", None, headers={"Host": "localhost"})).json() == {"logged_in": True}
    assert (await keyless.get("/v1/login", None, headers={"Host": "evil.example"})).json() == {"logged_in": False}
