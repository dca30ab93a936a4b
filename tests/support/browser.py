"""A real browser without a window: Debian's Chromium, driven by Playwright. It downloads none of its own.

Tests that want it ask for the fixture `page`. They are no coroutines: Playwright's blocking interface keeps an event
loop in the thread as long as the browser is open, which is until the last test of the module.
"""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WITHIN_MS: Final = 30_000
"""How long one step of the browser may take: the machine may be busy with other tests."""
WIDTH: Final = 1280
HEIGHT: Final = 900
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(slots=True)
class Tab:
    """One page, and what it complained of."""

    page: "Page"
    folder: Path
    problems: list[str] = field(default_factory=list[str])
    """Errors on its console, exceptions of its scripts, and requests that came to nothing."""

    def picture(self, name: str) -> Path:
        """Keep a picture of what is seen now."""
        path = self.folder / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def find_chromium() -> str | None:
    """The browser's program; None when it is not installed."""
    return shutil.which("chromium")


@contextmanager
def chromium(program: str) -> Generator["Browser"]:
    """Start a browser."""
    from playwright.sync_api import sync_playwright  # takes most of a second, which only its tests are to wait

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(FLAGS), timeout=2 * WITHIN_MS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: "Browser", folder: Path, scale: float = 1) -> Generator[Tab]:
    """Open a page in a profile of its own.

    Args:
        folder: Where pictures go.
        scale: Pixels of a picture for each of the page's.
    """
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=scale)
    context.set_default_timeout(WITHIN_MS)
    made = Tab(context.new_page(), folder)
    made.page.on("console", lambda said: made.problems.append(said.text) if said.type == "error" else None)
    made.page.on("pageerror", lambda error: made.problems.append(str(error)))
    made.page.on("requestfailed", lambda request: made.problems.append(f"{request.url}: {request.failure}"))
    try:
        yield made
    finally:
        context.close()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A browser for the tests of one module."""
    program = find_chromium()
    if program is None:
        assert os.environ.get("TEST_SERVERS") != "required", "chromium is missing: .ci/run installs it"
        pytest.skip("chromium is not installed")
    with chromium(program) as opened:
        yield opened


@pytest.fixture
def page(browser: "Browser", tmp_path: Path) -> Iterator[Tab]:
    """A fresh page."""
    with tab(browser, tmp_path) as opened:
        yield opened
