"""The page of a trace: whole in itself, and deaf to what it shows."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from orchestrator.tracing.document import document
from tasks.models import Failure, JobSpec
from tasks.trace import SpanKind, Trace
from tests.support.traces import JOB, a_large_trace, a_rich_trace, called, jobbed, stepped, traced, tried

ATTACK = '</script><script>alert(1)</script><img src=x onerror=alert(2)><!--script--> \u2028 "]]> <!-- {{x}}'
LOADS = re.compile(r"https?://|\bimport\b|@import|url\((?!#)|innerHTML|insertAdjacentHTML|document\.write|eval\(")


class Reader(HTMLParser):
    """The elements of a page, with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements:
            self.texts.append((self.elements[-1][0], data))

    def whole(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag and text.strip()]


def an_attacked_trace() -> Trace:
    step = stepped("a", "failed", tried("a", 1, 1, 5, "failed", worker=ATTACK), agent="search",
                   step={"description": ATTACK}, failure=Failure(code=ATTACK, message=ATTACK))  # fmt: skip
    texts: dict[str, Any] = {"input": ATTACK, "output": ATTACK, "attributes": {ATTACK: ATTACK}}
    calls = [called("a", 1, 4, ATTACK, kind=SpanKind.TOOL_CALL, **texts)]
    return traced(jobbed(step, spec=JobSpec(id=JOB, task=ATTACK)), calls=calls)


def data_of(page: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(data)


def test_the_page_holds_the_trace() -> None:
    trace = a_rich_trace()
    data = data_of(document(trace))
    assert Trace.model_validate(with_defaults(data["trace"])) == trace
    assert len(data["graph"]["nodes"]) == 7


def with_defaults(trace: dict[str, Any]) -> dict[str, Any]:
    """What has no value is not written; the model asks for it."""
    empty = dict.fromkeys(("parent", "started_at", "ended_at", "duration_ms"))
    return {**trace, "spans": [{**empty, **span} for span in trace["spans"]]}


@pytest.mark.parametrize("trace", [an_attacked_trace(), a_rich_trace(), traced(jobbed())])
def test_what_it_shows_adds_no_element_to_the_page(trace: Trace) -> None:
    bare = [name for name, _ in Reader(document(traced(jobbed()))).elements]
    assert [name for name, _ in Reader(document(trace)).elements] == bare


def test_an_attack_is_data_and_nothing_else() -> None:
    page = document(an_attacked_trace())
    data = data_of(page)
    assert data["trace"]["task"] == ATTACK
    assert data["trace"]["spans"][-1]["output"] == ATTACK
    assert "<img" not in page
    assert "alert(1)</script>" not in page


def test_only_the_pages_own_script_and_style_may_run() -> None:
    page = document(an_attacked_trace())
    reader = Reader(page)
    (policy,) = [one["content"] for _, one in reader.elements if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    for tag, content in (("script-src", reader.whole("script")[1]), ("style-src", reader.whole("style")[0])):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_page_loads_nothing_and_has_no_handlers_of_its_own() -> None:
    page = document(a_rich_trace())
    for _, attributes in Reader(page).elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert attributes.get("src") is None
        assert attributes.get("href") in (None, "data:,")
    code = page.replace("http://www.w3.org/2000/svg", "")
    assert LOADS.findall(code) == []


def test_a_large_job_stays_small_enough_to_mail() -> None:
    assert len(document(a_large_trace())) < 5_000_000
