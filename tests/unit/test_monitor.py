"""Flower without a password: open to programs of this machine, shut to web pages from elsewhere."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from tornado.web import Application, RequestHandler

from orchestrator.local.monitor import guard, refusal

HOST = "127.0.0.1:5555"
OWN, FOREIGN = f"http://{HOST}", "https://evil.example"


@pytest.mark.parametrize("host", [HOST, "localhost:5555", "LOCALHOST:5555", "[::1]:5555", "localhost"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_program_of_this_machine_may_do_everything(method: str, host: str) -> None:
    assert refusal(method, host, {}) is None


@pytest.mark.parametrize(
    "host", ["evil.example:5555", "127.0.0.1.evil.example", "evil.example@", "", "[::1", "localhost@evil.example:5555"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_was_made_to_resolve_to_this_machine_is_refused(method: str, host: str) -> None:
    assert "loopback names only" in (refusal(method, host, {}) or "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": OWN},
        {"Referer": f"{OWN}/tasks"},
        {"Sec-Fetch-Site": "same-origin", "Origin": OWN, "Referer": f"{OWN}/"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_page_of_its_own_may_do_everything(headers: Mapping[str, str]) -> None:
    assert refusal("POST", HOST, headers) is None
    assert refusal("GET", HOST, headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": FOREIGN},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://[::1"},
        {"Referer": f"{FOREIGN}/{HOST}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_a_page_from_elsewhere_changes_nothing(headers: Mapping[str, str]) -> None:
    assert refusal("POST", HOST, headers) is not None
    assert refusal("OPTIONS", HOST, headers) is not None


@pytest.mark.parametrize(
    "headers", [{"Origin": FOREIGN}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_a_page_from_elsewhere_reads_nothing(headers: Mapping[str, str]) -> None:
    """Flower would let it: without a password it answers to every origin."""
    assert refusal("GET", HOST, headers) is not None


def test_a_link_from_elsewhere_may_be_followed() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Referer": f"{FOREIGN}/"}
    assert refusal("GET", HOST, headers) is None


class Page(RequestHandler):
    """A page of the guarded application."""


def handler_of(host: str) -> type[RequestHandler]:
    """What a guarded application answers a request with."""
    application = Application(cast(Any, [("/workers", Page)]))
    application.add_handlers(r".*", guard())
    start, headers = RequestStartLine("GET", "/workers", "HTTP/1.1"), HTTPHeaders({"Host": host})
    request = HTTPServerRequest(start_line=start, headers=headers, connection=cast(Any, SimpleNamespace(context=None)))
    return cast(Any, application.find_handler(request)).handler_class


def test_a_guarded_application_answers_as_before_unless_it_refuses() -> None:
    assert handler_of(HOST) is Page
    assert handler_of("evil.example") is not Page
