"""What a doctor says of work that does not go on."""

from orchestrator.findings import Finding, Verdict
from orchestrator.progress import progress_findings
from tasks.settings import StoreSettings
from tasks.store.survey import Standing, Survey


def look(
    *steps: Standing, entries: int = 0, oldest_ms: int = 0, readers: dict[str, int] | None = None, living: str = ""
) -> dict[str, Finding]:
    surveys = [Survey(0, 0, 0, (), {}), Survey(1, entries, oldest_ms, steps, readers or {})]
    return {one.check: one for one in progress_findings(StoreSettings(), surveys, living.split())}


def step(status: str, *, since_s: float = 1, overdue_s: float = -5, timeout_s: float = 300) -> Standing:
    return Standing("j", "s", status, int(since_s * 1000), int(overdue_s * 1000), int(timeout_s * 1000))


def test_a_fleet_that_goes_on_has_nothing_to_say() -> None:
    found = look(step("running"), step("dispatched"), step("delayed"), entries=3, oldest_ms=900)
    assert {one.verdict for one in found.values()} == {Verdict.OK}
    assert set(found) == {"lag", "steps", "leftovers"}


def test_control_entries_that_grow_old_are_a_problem() -> None:
    assert look(entries=1, oldest_ms=31_000)["lag"].verdict is Verdict.PROBLEM
    assert look(entries=0, oldest_ms=31_000)["lag"].verdict is Verdict.OK


def test_timers_that_nobody_acts_on_are_a_problem() -> None:
    found = look(*[step("delayed", overdue_s=31)] * 4)["steps"]
    assert found.verdict is Verdict.PROBLEM
    assert found.message.startswith("4 steps (j:s (delayed), j:s (delayed), j:s (delayed), …)")


def test_an_attempt_that_outlasts_its_timeout_is_a_risk() -> None:
    assert look(step("running", since_s=344, timeout_s=300))["steps"].verdict is Verdict.OK
    assert look(step("running", since_s=346, timeout_s=300))["steps"].verdict is Verdict.WARNING
    assert look(step("running", since_s=346, timeout_s=0))["steps"].verdict is Verdict.OK


def test_a_message_that_nobody_begins_is_a_risk() -> None:
    found = look(step("dispatched", since_s=61))["steps"]
    assert found.verdict is Verdict.WARNING
    assert "dispatched 61 s ago" in found.message
    assert look(step("dispatched", since_s=59))["steps"].verdict is Verdict.OK


def test_what_dead_orchestrators_had_read_is_a_problem_while_none_is_alive() -> None:
    assert look(readers={"dead": 2})["leftovers"].verdict is Verdict.PROBLEM
    found = look(readers={"dead": 2, "here": 1}, living="here")["leftovers"]
    assert (found.verdict, found.message) == (Verdict.OK, "of 1 earlier orchestrators, 2 entries to take over")


def test_every_bad_finding_comes_with_advice() -> None:
    for found in (look(step("delayed", overdue_s=31)), look(step("running", since_s=999)), look(readers={"dead": 1})):
        assert all(one.advice for one in found.values() if one.verdict is not Verdict.OK)
