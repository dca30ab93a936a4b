"""What a doctor says of work that does not go on. Pure."""

from collections.abc import Collection, Sequence
from typing import Final

from orchestrator.findings import Finding, ok, problem, warning
from tasks.settings import StoreSettings
from tasks.store.survey import DAMAGED, Standing, Survey

LATE_MS: Final = 30_000
"""Control entries and timers are acted on within a second or two; one that is older was not looked at."""
NAMED: Final = 3
"""Steps named in one message."""


def progress_findings(settings: StoreSettings, surveys: Sequence[Survey], living: Collection[str]) -> list[Finding]:
    """Orchestrator lag, stuck steps, and what dead orchestrators have left.

    Args:
        living: Names of the orchestrators that are alive.
    """
    return [_lag(surveys), _stuck(settings, surveys), *_damaged(surveys), _leftovers(surveys, living)]


def _lag(surveys: Sequence[Survey]) -> Finding:
    waiting = sum(one.entries for one in surveys)
    oldest = max((one.oldest_ms for one in surveys if one.entries), default=0)
    text = f"{waiting} control entries, the oldest {oldest / 1000:.0f} s old"
    if oldest <= LATE_MS:
        return ok("lag", text)
    return problem(
        "lag", f"{text}: the orchestrators do not keep up, or cannot publish", "look at their logs; start one more"
    )


def _stuck(settings: StoreSettings, surveys: Sequence[Survey]) -> Finding:
    steps = [step for one in surveys for step in one.steps if step.status != DAMAGED]
    unswept = [step for step in steps if step.overdue_ms > LATE_MS]
    if unswept:
        return problem(
            "steps",
            f"{_named(unswept)}: their time came and nobody acted",
            "start an orchestrator: troupe orchestrator",
        )
    endless = [step for step in steps if step.status == "running" and _runs_on(settings, step)]
    if endless:
        return warning(
            "steps", f"{_named(endless)}: running past their timeout", "look at their workers' logs; restart these"
        )
    patience_ms = max(6 * settings.republish_s * 1000, 2 * LATE_MS)
    unclaimed = [step for step in steps if step.status == "dispatched" and step.since_ms > patience_ms]
    if unclaimed:
        return warning(
            "steps",
            f"{_named(unclaimed)}: dispatched {max(one.since_ms for one in unclaimed) / 1000:.0f} s ago and not begun",
            "the queue is long or its workers hang: start more workers",
        )
    return ok("steps", f"{len(steps)} dispatched, running or delayed; none is stuck")


def _damaged(surveys: Sequence[Survey]) -> list[Finding]:
    """Nothing, as a rule: it takes somebody who changes keys by hand."""
    found = [step for one in surveys for step in one.steps if step.status == DAMAGED]
    if not found:
        return []
    return [
        problem(
            "records",
            f"{_named(found)}: no release writes such a record; nobody acts on it any more",
            "an orchestrator's log says what is wrong (damaged_record); cancel the job, and submit it anew",
        )
    ]


def _runs_on(settings: StoreSettings, step: Standing) -> bool:
    return step.timeout_ms > 0 and step.since_ms > step.timeout_ms + settings.lease_s * 1000 + LATE_MS


def _leftovers(surveys: Sequence[Survey], living: Collection[str]) -> Finding:
    dead = {name: 0 for one in surveys for name in one.readers if name not in living}
    for one in surveys:
        for name in dead:
            dead[name] += one.readers.get(name, 0)
    left = {name: count for name, count in dead.items() if count}
    if left and not living:
        return problem(
            "leftovers",
            f"{sum(left.values())} entries that dead orchestrators had read wait for another one",
            "start one: troupe orchestrator",
        )
    return ok("leftovers", f"of {len(dead)} earlier orchestrators, {sum(left.values())} entries to take over")


def _named(steps: Sequence[Standing]) -> str:
    names = ", ".join(f"{one.job}:{one.step} ({one.status})" for one in steps[:NAMED])
    return f"{len(steps)} steps ({names}{', …' if len(steps) > NAMED else ''})"
