"""Flower's options, and how tasks stand on its pages."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flower.views.tasks import TASK_COLUMNS
from tornado.httputil import HTTPServerRequest, RequestStartLine
from tornado.web import Application

from orchestrator.local.flower_pages import Refused, Revoke, as_shown, pages
from orchestrator.local.flower_server import COLUMNS, check_port, defaults, is_protected
from tasks.errors import BadSetting


@pytest.mark.parametrize(
    ("passwords", "emails", "protected"),
    [
        (None, None, False),
        ([], "", False),
        (["ann:secret"], None, True),
        (["a:b:c", "d:e"], None, True),
        ([], "x@y.z", True),
    ],
)
def test_it_is_protected_by_a_password_or_by_oauth(passwords: list[str], emails: str, protected: bool) -> None:
    assert is_protected(passwords, emails) is protected


@pytest.mark.parametrize("passwords", [[""], ["ann"], [":secret"], ["ann:"], ["ann:secret", ""]])
def test_half_a_password_is_none(passwords: list[str]) -> None:
    with pytest.raises(BadSetting, match="must be user:password"):
        is_protected(passwords, None)


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "5 5", "٣"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="is no port"):
        check_port(text)


def test_a_port_may_be_left_out() -> None:
    check_port(None)
    check_port("")
    check_port("5555")


def test_what_it_keeps_is_bounded_and_of_one_broker() -> None:
    one, other = (defaults(Path("/home"), f"redis://localhost:{port}/1") for port in (1, 2))
    assert (one["max_tasks"], one["persistent"], one["address"]) == (10_000, True, "127.0.0.1")
    assert str(one["db"]).startswith("/home/flower/seen-")
    assert one["db"] != other["db"]


def test_flower_has_all_columns_that_it_is_told_to_show() -> None:
    assert set(COLUMNS.split(",")) <= set(TASK_COLUMNS)


def a_task(state: str, **fields: Any) -> Any:
    usual = {"state": state, "exception": None, "result": None, "root_id": None, "parent_id": None}
    return SimpleNamespace(**{**usual, **fields})


@pytest.mark.parametrize("state", ["FAILURE", "RETRY", "REVOKED"])
def test_what_a_task_ended_with_is_its_result(state: str) -> None:
    shown = as_shown(lambda _: True)(a_task(state, exception="no: It went wrong."))
    assert shown.result == "no: It went wrong."


def test_the_result_of_a_success_stays() -> None:
    assert as_shown(lambda _: True)(a_task("SUCCESS", result="succeeded")).result == "succeeded"


def test_a_task_that_flower_never_saw_is_not_pointed_at() -> None:
    shown = as_shown(lambda name: name == "there")(a_task("SUCCESS", root_id="gone", parent_id="there"))
    assert (shown.root_id, shown.parent_id) == (None, "there")


def handler_of(path: str, prefix: str = "") -> Any:
    application = Application()
    application.add_handlers(r".*", pages(prefix))  # pyright: ignore[reportArgumentType]
    connection: Any = SimpleNamespace(context=None)
    request = HTTPServerRequest(start_line=RequestStartLine("POST", path, "HTTP/1.0"), connection=connection)
    found: Any = application.find_handler(request)
    return getattr(found, "handler_class", None)


@pytest.mark.parametrize("prefix", ["", "flower"])
def test_requests_that_are_ours_are_taken(prefix: str) -> None:
    base = f"/{prefix}/api/task" if prefix else "/api/task"
    assert handler_of(f"{base}/revoke/j1:a:1", prefix) is Revoke
    for name in ("apply", "async-apply", "send-task", "rate-limit", "timeout", "result", "abort"):
        assert handler_of(f"{base}/{name}/search", prefix) is Refused


@pytest.mark.parametrize("path", ["/api/tasks", "/api/task/info/j1:a:1", "/api/task/types", "/task/j1:a:1"])
def test_all_others_are_flowers(path: str) -> None:
    assert handler_of(path) not in (Revoke, Refused)
