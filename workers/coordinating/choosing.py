"""One of several: routes by rule or by model, and judges of votes."""

import re
from collections.abc import Mapping

from pydantic import JsonValue

from tasks.models import StepInput
from tasks.patterns.decisions import Choice
from tasks.patterns.forms import Pattern, Route, Rule, Tally, Work
from tasks.queues import ROUTER
from workers.agents.base import AgentReply
from workers.coordinating.counting import Ballot, count
from workers.coordinating.crew import Crew, PatternFailed, good

MAX_SHOWN_CHARS = 2_000
"""Of an answer that is judged beside others."""


async def route(crew: Crew, what: Route) -> AgentReply:
    """Choose a part and have it done. Why it was chosen is kept in the result's data.

    Raises:
        PatternFailed: no choice could be made, or the part failed.
    """
    text = "\n".join([crew.context.claim.job.task, *(one.result.text for one in crew.before if one.result)])
    rule = next((one for one in what.rules if _found(one, text)), None)
    if rule is not None:
        chosen, by, reason = rule.choice, "rule", f"the text has {rule.pattern!r}"
    elif what.by_model:
        options = {name: what.about.get(name) or described(part) for name, part in what.choices.items()}
        chosen, reason = await choose(crew, "Choose who is to do the task.", options, otherwise=what.otherwise)
        by = "model"
    elif what.otherwise is not None:
        chosen, by, reason = what.otherwise, "otherwise", "no rule fits"
    else:
        raise PatternFailed(f"no rule fits, and there is no other choice: {', '.join(what.choices)}")
    crew.say(f"chose {chosen}: {reason}")
    return crew.reply(await crew.run(what.choices[chosen]), choice=chosen, by=by, reason=reason)


async def choose(
    crew: Crew,
    task: str,
    options: Mapping[str, str],
    *,
    otherwise: str | None = None,
    after: list[StepInput] | None = None,
) -> tuple[str, str]:
    """Have a model choose. One that there is not is said to it once.

    Raises:
        PatternFailed: it chose none that there is, and there is no other choice.
    """
    told, fault = dict[str, JsonValue](options=dict(options)), ""
    for _ in range(2):
        choice, _item = await crew.decide(ROUTER, task, Choice, after=after or (), told=told)
        if choice.choice in options:
            return choice.choice, choice.reason
        fault = f"{choice.choice[:100]!r} is none of the options; there are: {', '.join(options)}"
        told["faults"] = [fault]
    if otherwise is None:
        raise PatternFailed(fault)
    return otherwise, f"the model's choice could not be used: {fault}"


async def tally(crew: Crew, what: Tally) -> AgentReply:
    """Count the votes of the steps before.

    Raises:
        PatternFailed: nobody won.
    """
    items, how = good(crew.before), what.how
    weights = dict(zip((one.step for one in crew.before), how.weights, strict=False))
    texts = {one.step: one.result.text for one in items if one.result}
    result = count([Ballot(one, text, weights.get(one, 1.0)) for one, text in texts.items()], how)
    votes: JsonValue = dict(result.votes)
    if how.rule == "judge" or (how.judge_ties and result.tied):
        shown = {str(one): text[:MAX_SHOWN_CHARS] for one, text in texts.items()}
        chosen, reason = await choose(crew, "Which of these answers to the task is best?", shown)
        return crew.reply(_named(items, chosen), winner=chosen, votes=votes, reason=reason)
    if result.winner is None:
        raise PatternFailed(f"no answer has {how.quorum or 1} votes: {result.votes}")
    reason = "of equals, the first" if result.tied else "most votes"
    return crew.reply(_named(items, result.first), winner=result.winner, votes=votes, reason=reason)


def described(part: Pattern) -> str:
    """What a part is for, in one line."""
    if isinstance(part, Work):
        return " ".join(part.task.split())[:300]
    return f"{part.kind}: {' '.join(str(getattr(part, 'task', '') or getattr(part, 'question', '')).split())[:300]}"


def _found(rule: Rule, text: str) -> bool:
    return re.search(rule.pattern, text, re.IGNORECASE) is not None


def _named(items: list[StepInput], step: str) -> StepInput:
    return next(one for one in items if one.step == step)
