"""Who may come in without a key, and which pages may act with what a browser holds."""

import pytest

from orchestrator.api.problems import STATUSES, status_of
from orchestrator.api.visitors import KEYLESS, Needs, Visitor, check_local, check_same_origin
from tasks import errors, refusals
from tasks.access import Scope
from tasks.errors import TroupeError
from tasks.refusals import NotAllowed

HOME = {"host": "127.0.0.1:8080"}


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("127.0.0.1", "localhost"),
        ("127.8.8.8", "LOCALHOST:1"),
        ("::1", "[::1]:8080"),
        ("::ffff:127.0.0.1", "localhost:8080"),
    ],
)
def test_this_machine_may_come_in_without_a_key(peer: str, host: str) -> None:
    check_local(peer, {"host": host}, "POST")


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        ("10.0.0.7", HOME),
        ("", HOME),
        ("not an address", HOME),
        ("127.0.0.1", {}),
        ("127.0.0.1", {"host": "evil.example"}),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example:8080"}),
        ("127.0.0.1", {"host": "localhost@evil.example"}),
        ("127.0.0.1", {**HOME, "x-forwarded-for": "10.0.0.7"}),
        ("127.0.0.1", {**HOME, "forwarded": "for=10.0.0.7"}),
        ("127.0.0.1", {**HOME, "origin": "https://evil.example"}),
        ("127.0.0.1", {**HOME, "sec-fetch-site": "cross-site"}),
    ],
)
def test_all_else_needs_a_key(peer: str, headers: dict[str, str]) -> None:
    with pytest.raises(NotAllowed):
        check_local(peer, headers, "POST")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://127.0.0.1:8080"},
        {"origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"},
    ],
)
def test_our_own_page_may_act(headers: dict[str, str]) -> None:
    check_same_origin({**HOME, **headers}, "POST")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9090"},
        {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_pages_of_others_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(NotAllowed):
        check_same_origin({**HOME, **headers}, "POST")


def test_a_link_from_elsewhere_may_be_followed_and_nothing_be_read_by_it() -> None:
    check_same_origin({**HOME, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "GET")
    with pytest.raises(NotAllowed):
        check_same_origin({**HOME, "sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, "GET")


def test_a_tenant_sees_its_own_and_operators_see_all() -> None:
    acme = Visitor(tenant="acme", scopes=frozenset({Scope.READ}), key="k")
    assert acme.sees("acme")
    assert not acme.sees("globex")
    assert not acme.sees(None)
    assert KEYLESS.sees("globex")
    assert not KEYLESS.sees(None)


async def test_a_scope_is_asked_for_and_admin_stands_for_all() -> None:
    reader = Visitor(tenant="acme", scopes=frozenset({Scope.READ}), key="k")
    chief = Visitor(tenant="acme", scopes=frozenset({Scope.ADMIN}), key="k")
    assert await Needs(Scope.READ)(reader) is reader
    assert await Needs(Scope.SUBMIT)(chief) is chief
    with pytest.raises(NotAllowed):
        await Needs(Scope.SUBMIT)(reader)
    with pytest.raises(NotAllowed):
        await Needs(Scope.READ, operator=True)(chief)


def kinds(root: type[TroupeError]) -> list[type[TroupeError]]:
    return [root, *(deeper for kind in root.__subclasses__() for deeper in kinds(kind))]


def test_every_error_of_ours_has_a_status_that_is_not_a_fault_of_the_api() -> None:
    for kind in kinds(TroupeError)[1:]:
        if not kind.__module__.startswith("tests"):
            found = next(STATUSES[one] for one in kind.__mro__ if one in STATUSES)
            assert 400 <= found < 600, kind
            assert found != 500, kind


def test_the_nearest_class_says_the_status() -> None:
    assert status_of(errors.UnknownJob("x")) == 404
    assert status_of(errors.InvalidPlan(["x"])) == 422
    assert status_of(errors.StoreUnavailable("x")) == 503
    assert status_of(refusals.NotAllowed("x")) == 403
