"""The page as people see it: an API process, a key in the browser, and all that the browser complains of."""

import asyncio
from collections.abc import Callable, Collection, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from axe_playwright_python.sync_playwright import Axe
from pydantic import SecretStr

from orchestrator import Troupe
from tasks.access import OPERATOR, Scope
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.access import AccessStore
from tests.acceptance.stage import START_WITHIN_S, Command, Stage, wait_until
from tests.support.browser import Tab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Response

COOKIE: Final = "troupe_key"
LEFT: Final = "net::ERR_ABORTED"
"""A request or a stream whose view was left."""
PHONE: Final = {"width": 320, "height": 700}
DESK: Final = {"width": 1280, "height": 900}


@dataclass(slots=True)
class Site:
    """An API process with its page, over a store."""

    stage: Stage
    store_url: str
    url: str
    api: Command
    troupe: Troupe
    key: str = ""
    """An operator's; with it nobody comes in without one."""

    def new_key(self, tenant: str, *scopes: Scope, name: str = "") -> str:
        """Make a key."""
        return make_key(self.store_url, tenant, scopes, name)

    def restart(self, port: int | None = None) -> None:
        """End the API and start it again at the same address."""
        self.api.process.terminate()
        self.api.wait()
        self.start_again(port)

    def start_again(self, port: int | None = None) -> None:
        """Start the API at the address that it had."""
        self.api, self.url = _start(self.stage, self.store_url, port or int(self.url.rpartition(":")[2]))


def make_key(store_url: str, tenant: str, scopes: Collection[Scope], name: str = "") -> str:
    """Make a key, straight in the store."""

    async def make() -> str:
        store = Store(StoreSettings(redis_url=SecretStr(store_url)))
        try:
            return (await AccessStore(store).create(tenant, scopes, name=name))[1]
        finally:
            await store.close()

    with ThreadPoolExecutor(1) as aside:  # the browser's driver keeps a loop in this thread
        return aside.submit(lambda: asyncio.run(make())).result()


@contextmanager
def site(stage: Stage, store_url: str) -> Generator[Site]:
    """Serve the API and the page over a store, to holders of a key."""
    key = make_key(store_url, OPERATOR, list(Scope), name="anna")
    api, url = _start(stage, store_url, 0)
    with Troupe(store_url) as troupe:
        made = Site(stage, store_url, url, api, troupe, key)
        try:
            yield made
        finally:
            made.api.process.terminate()
            made.api.wait()


def _start(stage: Stage, store_url: str, port: int) -> tuple[Command, str]:
    api = stage.start("api", "--port", str(port), TROUPE_REDIS_URL=store_url)

    def serving() -> str:
        assert api.process.poll() is None, api.said
        words = api.out.read_text().split()
        return words[-1] if "serving" in words else ""

    return api, wait_until(serving, within=START_WITHIN_S)


@dataclass(slots=True)
class Visit:
    """A browser's tab on a site."""

    tab: Tab
    site: Site
    expected: set[int] = field(default_factory=set[int])
    """Statuses of answers that a test brings about on purpose."""
    refused: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self.tab.problems.append(said.text) if said.type == "warning" else None)
        self.page.on("response", lambda response: self._answered(response))

    def _answered(self, response: "Response") -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.refused.append(f"{response.status} {response.request.method} {response.url}")

    @property
    def page(self) -> "Page":
        """The browser's page."""
        return self.tab.page

    def enter(self, key: str | None = None) -> "Visit":
        """Hold a key, as after a login; the site's own unless given."""
        cookie = {"name": COOKIE, "value": key or self.site.key, "url": self.site.url, "httpOnly": True}
        self.page.context.add_cookies([cast("dict[str, str]", cookie)])  # pyright: ignore[reportArgumentType]
        return self

    def open(self, path: str) -> "Visit":
        """Go to a view."""
        self.page.goto(f"{self.site.url}/#{path}")
        self.page.locator("main h1").first.wait_for()
        return self

    def see(self, text: str) -> "Locator":
        """Wait until a text is seen."""
        found = self.page.get_by_text(text).locator("visible=true").first
        found.wait_for()
        return found

    def count(self, selector: str, number: int) -> None:
        """Wait until there are so many. A function in the page would need `eval`, which its policy forbids."""
        wait_until(lambda: self.page.locator(selector).count() == number)

    def measure(self) -> Callable[[], float]:
        """Begin to count the seconds that the page computes: what others do with the machine is not in them."""
        session = cast(Any, self.page.context.new_cdp_session(self.page))
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def read() -> float:
            told = cast("list[dict[str, Any]]", session.send("Performance.getMetrics")["metrics"])
            return next(float(one["value"]) for one in told if one["name"] == "TaskDuration")

        return read

    def press(self, name: str, role: str = "button") -> None:
        """Click what is called so."""
        self.page.get_by_role(cast("object", role), name=name, exact=True).first.click()  # pyright: ignore[reportArgumentType]

    def theme(self, scheme: str) -> None:
        """Use the system's light or dark colours."""
        self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")

    def check_fits_phone(self) -> None:
        """Nothing stands out to the right on the narrowest phone."""
        self.page.set_viewport_size(cast("object", PHONE))  # pyright: ignore[reportArgumentType]
        assert self.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        self.page.set_viewport_size(cast("object", DESK))  # pyright: ignore[reportArgumentType]

    def check_accessible(self) -> None:
        """Axe finds nothing, in neither theme."""
        for scheme in ("light", "dark"):
            self.theme(scheme)
            found = cast(Any, Axe()).run(self.page)
            assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"

    def check_quiet(self) -> None:
        """The browser has nothing to complain of."""
        status = "Failed to load resource: the server responded with a status of"
        problems = [one for one in self.tab.problems if LEFT not in one]
        loud = [one for one in problems if not any(one.startswith(f"{status} {code}") for code in self.expected)]
        assert loud == []
        assert self.refused == []
