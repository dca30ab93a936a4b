"""The page of a trace in a real browser, and the trace of a real job on a real fleet."""

import json
import time
from pathlib import Path

import pytest

from orchestrator.tracing.document import document
from tasks.trace import SpanKind, Trace
from tests.acceptance.conftest import Fleet
from tests.support.browser import Tab
from tests.support.traces import a_large_trace, a_rich_trace
from tests.unit.test_trace_document import ATTACK, an_attacked_trace

OPENS_WITHIN_S = 10.0
"""Measured: 0.3 s. Other tests may have the machine for themselves meanwhile."""


def opened(page: Tab, folder: Path, trace: Trace) -> None:
    path = folder / "trace.html"
    path.write_text(document(trace))
    page.page.goto(path.as_uri())


def test_the_page_of_a_large_job_opens_at_once_and_can_be_read(page: Tab, tmp_path: Path) -> None:
    path = tmp_path / "large.html"
    path.write_text(document(a_large_trace()))
    begun = time.monotonic()
    page.page.goto(path.as_uri())
    page.page.wait_for_selector(".row")
    assert time.monotonic() - begun < OPENS_WITHIN_S
    assert (page.page.locator(".node").count(), page.page.locator(".row").count()) == (300, 300)
    assert page.picture("large").stat().st_size > 50_000
    heights = page.page.evaluate(
        "[...document.querySelectorAll('.node text')].map(t => t.getBoundingClientRect().height)"
    )
    assert min(heights) > 9, "letters that can be read"
    page.page.click("#time-open")
    assert page.page.locator(".row").count() > 3000
    assert page.problems == []


def test_a_click_tells_all_of_a_step_and_marks_it_in_both_views(page: Tab, tmp_path: Path) -> None:
    opened(page, tmp_path, a_rich_trace())
    page.page.click(".node.bad")
    said = page.page.inner_text("#details")
    assert all(text in said for text in ("count", "failed", "analysis@two", "tool_failed: no such table: sales"))
    assert page.page.locator(".row.picked .name").inner_text() == "count"
    page.page.click(".row:has-text('find') >> nth=0")
    assert "succeeded" in page.page.inner_text("#details")
    assert "find" in (page.page.locator(".node.picked").text_content() or "")
    assert page.problems == []


def test_a_search_leaves_what_was_looked_for(page: Tab, tmp_path: Path) -> None:
    opened(page, tmp_path, a_rich_trace())
    page.page.keyboard.press("/")
    page.page.keyboard.type("no such table")
    assert page.page.inner_text("#found") == "1 of 7 steps"
    assert page.page.locator(".row").count() == 1
    page.page.keyboard.press("Escape")
    assert page.page.inner_text("#found") == ""
    page.page.click("#filters button:has-text('failed')")
    assert page.page.inner_text("#found") == "6 of 7 steps"


def test_graph_and_timeline_are_used_by_keyboard(page: Tab, tmp_path: Path) -> None:
    opened(page, tmp_path, a_rich_trace())
    page.page.focus(".node[tabindex='0']")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("Enter")
    assert page.page.locator(".node.picked").count() == 1
    page.page.focus(".row[tabindex='0']")
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.page.keyboard.press(key)
    assert "claude-sonnet-5-5" in page.page.inner_text("#details strong")
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("ArrowLeft")
    assert page.page.get_attribute(".row >> nth=0", "aria-expanded") == "false"
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_in_both_colours(page: Tab, tmp_path: Path, scheme: str) -> None:
    page.page.set_viewport_size({"width": 390, "height": 844})
    page.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, tmp_path, a_rich_trace())
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.page.is_visible("#details")
    page.page.click(".row >> nth=0")
    assert page.page.is_visible("#details")
    page.page.click("#details .close")
    assert not page.page.is_visible("#details")
    light = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (light == "rgb(244, 245, 248)") == (scheme == "light")


def test_what_the_page_shows_runs_nothing(page: Tab, tmp_path: Path) -> None:
    page.page.on("dialog", lambda dialog: page.problems.append(f"a dialog: {dialog.message}"))
    opened(page, tmp_path, an_attacked_trace())
    page.page.click("#time-open")
    page.page.click(".row.tool_call")
    assert page.page.locator("img").count() == 0
    assert page.page.inner_text("#details strong") == ATTACK.replace("\u2028 ", "\u2028 ")
    assert page.problems == []


def test_a_job_of_a_fleet_is_shown_in_every_form(fleet: Fleet, page: Tab) -> None:
    job = fleet.nap("0", "0")
    job.result(timeout=60)
    trace = job.trace()
    attempts = [span for span in trace.spans if span.kind is SpanKind.ATTEMPT]
    assert {span.status for span in attempts} == {"succeeded"}
    assert {span.worker for span in attempts} == {step.worker for step in job.snapshot().steps}
    for form in ("tree", "json", "mermaid", "dot", "html"):
        done = fleet.stage.troupe("trace", job.id, "--format", form, TROUPE_REDIS_URL=fleet.url)
        assert (done.code, done.stderr) == (0, "")
        assert "nap-1" in done.stdout
        if form == "json":
            assert Trace.model_validate(json.loads(done.stdout)) == trace
        if form == "html":
            path = fleet.stage.folder / "trace.html"
            path.write_text(done.stdout)
            page.page.goto(path.as_uri())
            assert page.page.locator(".node").count() == len(job.snapshot().steps)
    assert page.problems == []
