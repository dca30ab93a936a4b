"""The page's forms, approvals, sessions, fleet, knowledge and keys in a real browser, over real processes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tasks.access import Scope
from tasks.states import TaskStatus
from tests.acceptance.conftest import NOTES
from tests.acceptance.stage import Stages
from tests.acceptance.web_fleet import ask, staffed
from tests.acceptance.web_scene import Site, Visit
from tests.support.browser import Tab

Enter = Callable[..., Visit]


@pytest.fixture(scope="module")
def site(stages: Stages) -> Iterator[Site]:
    """A small fleet and its page."""
    with staffed(stages.new()) as made:
        yield made


@pytest.fixture
def enter(site: Site, page: Tab) -> Iterator[Enter]:
    """Goes to a view with a key, the operator's unless given; at the end the browser must have nothing to complain of,
    but for answers of the expected statuses."""
    visits: list[Visit] = []

    def go(path: str, key: str | None = None, *expected: int) -> Visit:
        visits.append(Visit(page, site, set(expected)).enter(key).open(path))
        return visits[-1]

    yield go
    for visit in visits:
        visit.check_quiet()


def check(visit: Visit) -> None:
    """What every view must be, as it stands now."""
    visit.check_accessible()
    visit.check_fits_phone()


def test_a_job_is_submitted_once_from_the_form_with_a_data_file_and_its_page_opens(enter: Enter, table: Path) -> None:
    visit = enter("/submit")
    visit.press("Submit")
    visit.see("Say what is to be done.")
    visit.page.get_by_label("Budget in US dollars").fill("-1")
    visit.page.get_by_label("Task").fill("What do the notes say of refunds?")
    visit.press("Submit")
    visit.see("A number from 0 to 1,000,000.")
    visit.page.get_by_label("Budget in US dollars").fill("0.5")
    visit.page.get_by_label("Add data files").set_input_files(table)
    assert visit.page.get_by_role("checkbox", name=table.name).is_checked()
    visit.page.get_by_role("button", name="Submit").dblclick()
    visit.page.wait_for_url("**/#/jobs/*")
    visit.see("What do the notes say of refunds?")
    submitted = visit.site.troupe.jobs(limit=100)
    assert [one.task for one in submitted].count("What do the notes say of refunds?") == 1
    job = visit.site.troupe.job(visit.page.url.rpartition("/")[2])
    assert job.wait(60).status is TaskStatus.COMPLETED


def test_what_the_api_refuses_is_said_at_its_field(enter: Enter) -> None:
    visit = enter("/submit", None, 422)
    visit.page.get_by_label("Task").fill("Tell nobody.")
    visit.page.get_by_text("More options").click()
    visit.page.get_by_label("Webhook").fill("http://127.0.0.1/told")
    visit.press("Submit")
    visit.see("127.0.0.1 is not a public address")
    assert visit.page.get_by_label("Webhook").get_attribute("aria-invalid") == "true"
    assert visit.page.evaluate("document.activeElement.name") == "webhook"
    assert "/submit" in visit.page.url
    check(visit)


def test_a_call_is_approved_with_other_arguments_and_its_job_goes_on(enter: Enter, site: Site) -> None:
    job = ask(site, "clerk", "Pay order A-1001 back.")
    visit = enter("/approvals")
    box = visit.page.locator("article", has_text=job.id)
    box.get_by_text('"order": "A-1001"').wait_for()
    assert "waiting" in visit.page.get_by_role("link", name="Approvals").inner_text()
    box.get_by_role("button", name="Change the arguments").click()
    text = box.get_by_label("Arguments as JSON")
    text.fill("{none}")
    box.get_by_role("button", name="Approve").click()
    visit.see("This is no JSON")
    check(visit)
    text.fill('{"order": "A-1002", "amount": 10}')
    box.get_by_role("button", name="Approve").click()
    box.wait_for(state="detached")
    result = job.wait(60)
    assert result.status is TaskStatus.COMPLETED
    assert result.steps[0].result is not None
    assert "paid 10 back for A-1002" in result.steps[0].result.text


def test_a_question_is_answered_with_a_button_and_a_step_denied_with_a_reason(enter: Enter, site: Site) -> None:
    asked, held = ask(site, "asker"), ask(site, "careful")
    visit = enter("/approvals")
    visit.page.locator("article", has_text=asked.id).get_by_role("button", name="2025").click()
    visit.see("Answered: 2025.")
    box = visit.page.locator("article", has_text=held.id)
    box.get_by_label("Reason").fill("Not today.")
    box.get_by_role("button", name="Deny").click()
    box.wait_for(state="detached")
    answered, denied = asked.wait(60).steps[0].result, held.wait(60).steps[0].error
    assert answered is not None
    assert denied is not None
    assert "2025" in answered.text
    assert "Not today." in denied.message


def test_what_somebody_else_has_decided_is_said_to_be(enter: Enter, site: Site) -> None:
    job = ask(site, "careful")
    visit = enter("/approvals", None, 409)
    box = visit.page.locator("article", has_text=job.id)
    box.wait_for()
    visit.page.route("**/v1/asked*", lambda route: route.abort())  # it does not learn of it before it decides
    assert asks(site, f"/jobs/{job.id}/steps/one/approve", site.key, b"{}") == 200
    box.get_by_role("button", name="Approve").click()
    visit.see("It was decided meanwhile, or has expired.")
    visit.tab.problems.clear()  # the requests that the test kept from it


def test_a_session_is_begun_and_its_answer_is_seen_while_it_is_written(enter: Enter, site: Site) -> None:
    visit = enter("/sessions")
    visit.page.get_by_label("Name of a new session").fill("desk-17")
    visit.press("Open")
    visit.see("Nothing was said here yet.")
    visit.page.get_by_role("textbox", name="Message").fill("How long does a refund take?")
    visit.page.keyboard.press("Enter")
    visit.page.locator(".message.user", has_text="How long does a refund take?").wait_for()
    visit.page.locator("body:has(.writing-text p):not(:has(li.message.assistant))").wait_for()
    written = visit.page.locator("li.message.assistant")
    written.wait_for()
    (last,) = [one for one in site.troupe.session("desk-17").messages() if one.role == "assistant"]
    assert last.text.split("\n")[0] in written.inner_text()
    assert written.get_by_role("link").get_attribute("href") == f"#/jobs/{last.job}"
    check(visit)
    visit.open("/sessions").see("desk-17")
    check(visit)
    visit.press("desk-17", "link")
    visit.press("Delete")
    visit.press("Delete it")
    visit.see("There are no sessions yet.")


def test_documents_are_added_found_and_taken_out(enter: Enter, tmp_path: Path) -> None:
    for name, text in {**NOTES, "notes.xyz": "?"}.items():
        (tmp_path / name).write_text(text)
    visit = enter("/knowledge", None, 422)
    visit.page.get_by_label("To the knowledge base").fill("shop")
    visit.page.get_by_label("Choose documents").set_input_files(sorted(tmp_path.iterdir()))
    visit.see("3 documents added")
    assert "unknown kind" in visit.see("notes.xyz").locator("..").inner_text()
    check(visit)
    visit.page.get_by_role("table").get_by_role("link", name="shop").click()
    visit.page.get_by_label("Words to look for").fill("signature of a manager")
    visit.page.keyboard.press("Enter")
    visit.see("A refund needs the signature of a manager.")
    visit.press("Remove warranty.txt")
    visit.press("Remove it")
    visit.see("2 documents, 4 passages")
    check(visit)
    visit.press("Delete the base")
    visit.press("Delete it")
    visit.see("shop is deleted.")


def test_operators_see_the_whole_fleet(enter: Enter, site: Site) -> None:
    site.troupe.submit("What does a warranty claim need?").wait(60)
    visit = enter("/fleet")
    visit.see("By agent")
    visit.check_accessible()
    for part, seen in (("Agents", "clerk"), ("Tools", "refund"), ("Workers", "alive"), ("Queues", "Wanted")):
        visit.press(part, "tab")
        visit.page.get_by_role("tabpanel", name=part).get_by_text(seen).first.wait_for()
        visit.check_fits_phone()


def test_tenants_see_what_is_theirs_of_the_fleet(enter: Enter, site: Site) -> None:
    visit = enter("/fleet", site.new_key("acme", Scope.READ))
    visit.see("Nothing was done in this time.")
    visit.press("Workers", "tab")
    visit.see("This is for operators.")
    visit.press("Tools", "tab")
    visit.see("refund")
    assert visit.page.get_by_role("columnheader", name="Calls").count() == 0
    visit.check_fits_phone()


def test_a_key_is_made_shown_once_and_revoked(enter: Enter, site: Site) -> None:
    visit = enter("/keys")
    visit.press("New key")
    visit.page.get_by_label("Name", exact=True).fill("carol")
    visit.page.get_by_label("Tenant").fill("acme")
    check(visit)
    visit.press("Make the key")
    text = visit.page.get_by_label("The key").input_value()
    assert asks(site, "/me", text) == 200
    visit.page.keyboard.press("Escape")
    visit.press("Revoke carol")
    visit.press("Revoke it")
    visit.see("The key is revoked.")
    assert asks(site, "/me", text) == 401
    assert text not in visit.page.content()
    visit.check_fits_phone()


def test_who_may_only_look_is_told_so_and_not_offered_more(enter: Enter, site: Site) -> None:
    ask(site, "careful")
    reader = site.new_key("default", Scope.READ)
    visit = enter("/approvals", reader)
    visit.see("it has not the scope approve")
    assert visit.page.get_by_role("button", name="Approve").count() == 0
    visit.open("/submit").see("it has not the scope submit")
    visit.open("/keys").see("This is for administrators")


def asks(site: Site, path: str, key: str, body: bytes | None = None) -> int:
    """The status of a request with a key; with a body it is a POST."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(f"{site.url}/v1{path}", body, headers), timeout=10) as found:  # noqa: S310 - ours
            return int(found.status)
    except HTTPError as error:
        return error.code
