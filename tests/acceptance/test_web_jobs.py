"""The page's jobs in a real browser, over a real API process and a small fleet that calls no model."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from orchestrator import Troupe
from orchestrator.local.redis_server import RedisServer
from orchestrator.web.pages import POLICY
from tasks.access import Scope
from tasks.models import Plan, PlannedStep
from tasks.states import TaskStatus
from tests.acceptance.conftest import NOTES, start_fleet
from tests.acceptance.stage import Stages, copy_actors, wait_until
from tests.acceptance.web_scene import DESK, Site, Visit, site
from tests.support.browser import Tab

MANY: Final = 1_000
WIDE: Final = 300
LIST_WITHIN_S: Final = 1.5
"""Of the page's own computing, from its first script on. Measured: 0.8 s."""
GRAPH_WITHIN_S: Final = 2.0
"""Measured: 0.4 s."""
HOSTILE: Final = "<img src=x onerror=alert(1)> **bold** <script>alert(2)</script>"


@pytest.fixture(scope="module")
def fleet_site(stages: Stages) -> Iterator[Site]:
    """A fleet with a napping agent and a few documents, and its page."""
    stage = stages.new(TROUPE_AGENTS="actors", TROUPE_MODEL="offline", TROUPE_REPUBLISH_S="1")
    stage.variables["NAPS"] = str(stage.folder / "naps.txt")
    copy_actors(stage)
    for name, text in NOTES.items():
        (stage.work / name).write_text(text)
    assert stage.troupe("kb", "add", *NOTES).code == 0
    up, url, _ = start_fleet(stage, "--concurrency", "4", flower=False)
    with site(stage, url) as made:
        yield made
    up.process.terminate()
    up.wait()


@pytest.fixture(scope="module")
def archive(stages: Stages) -> Iterator[Site]:
    """A store with a wide job, and very many that nobody works on."""
    stage = stages.new(TROUPE_MAX_STEPS="400")
    server = RedisServer.start(stage.folder / "redis")
    try:
        orchestrator = stage.start("orchestrator", TROUPE_REDIS_URL=server.url)
        with Troupe(server.url) as troupe:
            wide = troupe.submit("A wide job.", plan=wide_plan(), idempotency_key="wide")
            wait_until(lambda: len(wide.snapshot().steps) > WIDE)
            orchestrator.process.terminate()
            orchestrator.wait()
            for number in range(MANY):
                troupe.submit(f"Job {number}: find out what is known of it.", plan=nap_plan("1"))
        with site(stage, server.url) as made:
            yield made
    finally:
        server.stop()


def wide_plan() -> Plan:
    """Five stages of steps, each of which builds on two of the stage before."""
    width = WIDE // 5
    steps = [
        PlannedStep(
            id=f"step-{at}", description=f"Do number {at}.", agent="search",
            depends_on=[f"step-{one}" for one in (at - width, at - width + 1 - 2 * (at % 2)) if at >= width],
        )
        for at in range(WIDE)
    ]  # fmt: skip
    return Plan(steps=steps)


def nap_plan(*lengths: str) -> Plan:
    """Naps, one after the other."""
    steps = [
        PlannedStep(
            id=f"nap-{at}", description=f"nap {one}", agent="napper", depends_on=[f"nap-{at - 1}"] if at else []
        )
        for at, one in enumerate(lengths)
    ]
    return Plan(steps=steps)


@pytest.fixture
def visit(page: Tab, fleet_site: Site) -> Visit:
    """A tab that holds a key of the fleet."""
    return Visit(page, fleet_site).enter()


@pytest.fixture
def browse(page: Tab, archive: Site) -> Visit:
    """A tab that holds a key of the archive."""
    return Visit(page, archive).enter()


def answered(at: Site) -> str:
    """A job that has an answer with sources; the same for all tests."""
    job = at.troupe.submit("How long does a refund take? How long does a return take?", idempotency_key="answered")
    assert job.wait(60).status is TaskStatus.COMPLETED
    return job.id


def test_the_page_is_served_with_a_policy_that_runs_nothing_else(page: Tab, fleet_site: Site) -> None:
    request = page.page.request
    answer = request.get(fleet_site.url)
    assert answer.headers["content-security-policy"] == POLICY
    module = fleet_site.url + answer.text().split('<script type="module" src="')[1].split('"')[0]
    kept = request.get(module)
    assert "immutable" in kept.headers["cache-control"]
    assert request.get(module, headers={"If-None-Match": kept.headers["etag"]}).status == 304
    folder, _, name = module.rpartition("/")
    assert request.get(f"{fleet_site.url}/web/of-another-release/{name}").headers["cache-control"] == "no-cache"
    for other in (folder, f"{folder}/", f"{folder}/..%2fpages.py", f"{folder}/index.html", f"{fleet_site.url}/web/"):
        assert request.get(other).status == 404


def test_one_logs_in_with_a_key_and_out_again(page: Tab, fleet_site: Site) -> None:
    visit = Visit(page, fleet_site, expected={401})
    visit.open("/jobs?status=failed")
    visit.check_accessible()
    visit.page.get_by_label("API key").fill("trp_0000000000_nobody")
    visit.press("Log in")
    visit.see("This key is not valid.")
    visit.page.get_by_label("API key").fill(fleet_site.key)
    visit.press("Log in")
    visit.see("anna")
    visit.page.get_by_role("heading", name="Jobs").wait_for()
    assert "status=failed" in visit.page.url
    assert visit.page.evaluate("document.cookie") == ""
    visit.press("Log out")
    visit.page.get_by_label("API key").wait_for()
    visit.page.reload()
    visit.page.get_by_label("API key").wait_for()
    visit.refused.clear()
    visit.check_quiet()


def test_a_job_is_followed_live_to_its_end(visit: Visit) -> None:
    job = visit.site.troupe.submit("Sleep well.", plan=nap_plan("6", "0.5"))
    visit.open(f"/jobs/{job.id}")
    visit.page.locator(".job-line .badge", has_text="in progress").wait_for()
    visit.page.locator(".node.busy", has_text="nap-0").wait_for()
    visit.page.locator(".node.good", has_text="nap-1").wait_for()
    visit.page.locator(".job-line .badge", has_text="completed").wait_for()
    visit.page.locator(".events li", has_text="job finished: completed").wait_for()
    assert visit.page.locator(".figures").inner_text().count("3 of 3") == 1
    visit.press("Timeline", "tab")
    expect(visit.page.locator(".bars li.good")).to_have_count(3)
    visit.press("List", "tab")
    expect(visit.page.locator(".step-list li")).to_have_count(3)
    visit.check_quiet()


def test_a_step_tells_all_and_a_source_its_passage(visit: Visit) -> None:
    visit.open(f"/jobs/{answered(visit.site)}")
    visit.page.locator(".markdown .cite").first.click()
    passage = visit.page.get_by_role("dialog")
    assert "takes" in passage.locator(".passage").inner_text()
    visit.check_accessible()
    visit.page.keyboard.press("Escape")
    visit.page.locator(".node", has_text="search-1").first.focus()
    visit.page.keyboard.press("Enter")
    step = visit.page.locator(".step")
    step.locator(".call").first.wait_for()
    step.locator(".call", has_text="tool").first.locator("summary").click()
    assert "refund" in step.locator(".call[open] pre").first.inner_text()
    assert "step=search-1" in visit.page.url
    visit.page.reload()
    visit.page.locator(".step .call").first.wait_for()
    visit.check_accessible()
    visit.page.get_by_role("button", name="Close the step").focus()
    visit.page.keyboard.press("Escape")
    expect(visit.page.locator(".step")).to_be_hidden()
    visit.check_quiet()


def test_a_job_is_paused_resumed_and_cancelled(visit: Visit) -> None:
    job = visit.site.troupe.submit("Sleep long.", plan=nap_plan("60 0.1", "60"))
    visit.open(f"/jobs/{job.id}")
    visit.page.locator(".node.busy").first.wait_for()
    visit.press("Pause")
    visit.page.locator(".job-line .badge", has_text="paused").wait_for()
    assert job.snapshot().paused
    visit.press("Resume")
    visit.page.locator(".job-line .badge", has_text="in progress").wait_for()
    visit.press("Cancel")
    visit.press("No")
    visit.press("Cancel")
    visit.press("Cancel the job")
    visit.page.locator(".job-line .badge", has_text="cancelled").wait_for()
    assert job.status() is TaskStatus.CANCELLED
    visit.check_quiet()


def test_a_job_is_forked_with_another_description(visit: Visit) -> None:
    job = visit.site.troupe.submit("Sleep.", plan=nap_plan("0.1", "0.2"))
    job.wait(60)
    visit.open(f"/jobs/{job.id}")
    visit.press("Fork…")
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_label("From step").select_option("nap-1")
    dialog.get_by_label("What the step is to do").fill("nap 0.3")
    visit.check_accessible()
    dialog.get_by_role("button", name="Fork", exact=True).click()
    visit.see("forked from")
    visit.page.locator(".job-line .badge", has_text="completed").wait_for()
    fork = visit.site.troupe.job(visit.page.url.rpartition("/")[2]).snapshot()
    assert next(one for one in fork.steps if one.id == "nap-0").reused_from == job.id
    assert next(one for one in fork.steps if one.id == "nap-1").description == "nap 0.3"
    visit.check_quiet()


def test_what_agents_and_people_write_is_shown_and_never_run(visit: Visit) -> None:
    visit.page.on("dialog", lambda dialog: visit.tab.problems.append(f"a dialog: {dialog.message}"))
    plan = Plan(steps=[PlannedStep(id="nap-0", description="nap 0.1 " + "0.1 " * 3, agent="napper")])
    job = visit.site.troupe.submit(HOSTILE, plan=plan)
    job.wait(60)
    visit.open(f"/jobs/{job.id}")
    assert visit.page.locator("h1").inner_text() == HOSTILE
    visit.open("/jobs")
    visit.page.get_by_role("link", name=HOSTILE).wait_for()
    drawn = visit.page.evaluate(
        """async (text) => {
          const folder = document.querySelector('script[type=module]').src;
          const { markdown } = await import(new URL('markdown.js', folder).href);
          const box = markdown(text, { cite: () => {}, cited: (one) => one < 3 });
          const names = [...box.querySelectorAll('*')].map((one) => one.tagName.toLowerCase());
          return [names, [...box.querySelectorAll('a')].map((one) => one.href), box.textContent];
        }""",
        f"{HOSTILE} [bad](javascript:alert(1)) [good](https://example.com/a) ![p](https://example.com/x.png) [1] [9]\n"
        "\n| a | b |\n|---|--:|\n| `x|y` | <b>2</b> |\n\n- one\n  - two\n\n```\n<i>code</i>\n```",
    )
    names, links, text = drawn
    assert links == ["https://example.com/a"]
    assert {"script", "img", "b", "i"}.isdisjoint(names)
    assert {"strong", "button", "table", "ul", "pre"} <= set(names)
    assert "<script>alert(2)</script>" in text
    assert "[9]" in text
    visit.check_quiet()


def test_the_page_goes_on_when_the_api_comes_back(visit: Visit) -> None:
    job = visit.site.troupe.submit("Sleep on.", plan=nap_plan("6"))
    visit.open(f"/jobs/{job.id}")
    visit.page.locator(".node.busy").first.wait_for()
    visit.site.api.process.terminate()
    visit.site.api.wait()
    visit.see("Connection lost, trying again.")
    job.wait(60)
    visit.site.start_again()
    visit.page.locator(".job-line .badge", has_text="completed").wait_for()
    visit.page.locator("#connection").wait_for(state="hidden")
    lines = visit.page.locator(".events li").all_inner_texts()
    assert len([line for line in lines if "job finished" in line]) == 1
    visit.tab.problems.clear()  # the requests of that time


def test_a_key_that_only_reads_is_offered_no_changes(page: Tab, fleet_site: Site) -> None:
    job = fleet_site.troupe.submit("Sleep.", plan=nap_plan("0.1"))
    visit = Visit(page, fleet_site).enter(fleet_site.new_key("default", Scope.READ, name="reader"))
    visit.open(f"/jobs/{job.id}")
    assert visit.page.get_by_role("button", name="Fork…").count() == 0
    assert visit.page.get_by_role("link", name="Keys").count() == 0
    other = Visit(page, fleet_site, expected={404}).enter(fleet_site.new_key("other", Scope.READ))
    visit.expected.add(404)
    other.page.reload()
    other.see("there is no job")
    visit.check_quiet()


@pytest.mark.parametrize(
    "view", ["/jobs", "/jobs/{job}", "/jobs/{job}?view=time", "/jobs/{job}?view=list&step=synthesis"]
)
def test_views_are_accessible_in_both_themes_and_fit_a_phone(visit: Visit, view: str) -> None:
    visit.open(view.format(job=answered(visit.site)))
    visit.page.locator(".job-row a, .markdown").first.wait_for()
    visit.check_accessible()
    visit.check_fits_phone()
    visit.check_quiet()


def test_the_theme_is_chosen_and_kept(visit: Visit) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    visit.theme("light")
    visit.open("/jobs")
    light = visit.page.evaluate(back)
    visit.press("Dark colours")
    dark = visit.page.evaluate(back)
    assert dark != light
    visit.page.reload()
    visit.page.get_by_role("button", name="Light colours").wait_for()
    assert visit.page.evaluate(back) == dark
    visit.check_quiet()


def test_keyboard_and_screen_reader_come_to_the_new_view(visit: Visit) -> None:
    answered(visit.site)
    visit.open("/jobs")
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.id") == "skip"
    visit.page.keyboard.press("Enter")
    assert visit.page.evaluate("document.activeElement.id") == "main"
    row = visit.page.locator(".job-row a").first
    row.focus()
    visit.page.keyboard.press("Enter")
    visit.page.locator("h1.task").wait_for()
    wait_until(lambda: visit.page.evaluate("document.activeElement.className") == "task")
    assert visit.page.title().endswith("· Troupe")
    visit.page.go_back()
    visit.page.get_by_role("heading", name="Jobs").wait_for()
    visit.check_quiet()


def test_very_many_jobs_are_listed_at_once_and_sieved(browse: Visit) -> None:
    computed = browse.measure()
    browse.open(f"/jobs?show={MANY}")
    browse.count(".jobs > li", MANY)
    assert computed() < LIST_WITHIN_S
    browse.page.get_by_role("searchbox").fill("job 777:")
    browse.count(".jobs > li", 1)
    assert "q=job" in browse.page.url
    browse.page.get_by_role("searchbox").fill("")
    browse.page.get_by_role("button", name="failed").click()
    browse.see("No job is like that.")
    browse.check_quiet()


def test_a_refresh_leaves_place_and_focus_where_they_are(browse: Visit) -> None:
    browse.open("/jobs")
    browse.press("More")
    browse.count(".jobs > li", 200)
    link = browse.page.locator(".job-row a").nth(150)
    link.focus()
    before = browse.page.evaluate("[scrollY, document.activeElement.href]")
    job = browse.site.troupe.submit("One more.", plan=nap_plan("1"))
    browse.page.locator(f".job-row a[href$='{job.id}']").wait_for(state="attached")
    after = browse.page.evaluate("[scrollY, document.activeElement.href]")
    assert after[1] == before[1]
    assert after[0] > 1000
    job.cancel()
    browse.page.locator(f".job-row[data-key='{job.id}'] .badge", has_text="cancelled").wait_for()
    browse.check_quiet()


def test_a_wide_graph_is_drawn_at_once_and_can_be_walked(browse: Visit) -> None:
    wide = browse.site.troupe.submit("A wide job.", plan=wide_plan(), idempotency_key="wide").id
    computed = browse.measure()
    browse.open(f"/jobs/{wide}")
    browse.count(".node", WIDE + 1)
    assert computed() < GRAPH_WITHIN_S
    browse.page.locator(".node[tabindex='0']").focus()
    browse.page.keyboard.press("ArrowDown")
    browse.page.keyboard.press("Enter")
    browse.page.locator(".node.picked").wait_for()
    browse.press("Fit")
    box = browse.page.locator(".graph svg").bounding_box()
    assert box is not None
    assert box["width"] < DESK["width"]
    browse.check_quiet()


def test_a_trace_is_downloaded(visit: Visit, tmp_path: Path) -> None:
    job = answered(visit.site)
    visit.open(f"/jobs/{job}")
    visit.page.locator("summary", has_text="Download").click()
    with visit.page.expect_download() as waiting:
        visit.press("Trace (JSON)")
    path = tmp_path / "trace.json"
    waiting.value.save_as(path)
    assert json.loads(path.read_text())["job_id"] == job
    visit.check_quiet()
