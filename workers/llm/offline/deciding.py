"""The forms of patterns, filled by rules: which option fits, whether a draft says what was asked, who goes next."""

import json
from collections.abc import Callable
from typing import Final

from pydantic import BaseModel

from tasks.patterns.decisions import Choice, NextMove, Verdict
from workers.llm.offline.reading import Brief
from workers.llm.offline.terms import key_stems, stems

ENOUGH: Final = 0.5
"""Share of the words of the criteria that a good draft has."""


def choose(brief: Brief) -> Choice:
    """The option that has the most words of the task; of equals the first."""
    asked = set(key_stems(f"{brief.task} {brief.step}"))
    shared = {name: sorted(asked & set(stems(f"{name} {about}"))) for name, about in brief.options.items()}
    best = max(shared, key=lambda name: len(shared[name]), default="")
    words = ", ".join(shared.get(best, []))
    return Choice(choice=best, reason=f"it shares with the task: {words}" if words else "nothing fits better")


def judge(brief: Brief) -> Verdict:
    """Good when half of the words of the criteria stand in the draft."""
    draft = brief.inputs[-1].text if brief.inputs else ""
    wanted = sorted(set(key_stems(brief.step.partition(":")[2] or brief.step)))
    has = set(stems(draft))
    missing = [word for word in wanted if word not in has]
    share = 1.0 if not wanted else 1 - len(missing) / len(wanted)
    good = bool(draft.strip()) and share >= ENOUGH
    return Verdict(
        good=good, score=round(100 * share), feedback="" if good else f"It says nothing of: {', '.join(missing)}."
    )


def move(brief: Brief) -> NextMove:
    """The first worker that has not been asked yet; done when all have, or one whose words fit found something."""
    about = [item.about for item in brief.inputs]
    for name, wanted in brief.options.items():
        if not any(one.startswith(wanted[:100]) for one in about):
            return NextMove(done=False, worker=name, task=wanted, reason="nobody was asked this yet")
    return NextMove(done=True, reason="every worker was asked")


FORMS: Final[dict[type[BaseModel], Callable[[Brief], BaseModel]]] = {Choice: choose, Verdict: judge, NextMove: move}


def filled(form: type[BaseModel], brief: Brief) -> str | None:
    """The form as JSON; None when the rules do not know it."""
    fill = FORMS.get(form)
    return None if fill is None else json.dumps(fill(brief).model_dump(mode="json"), ensure_ascii=False)
