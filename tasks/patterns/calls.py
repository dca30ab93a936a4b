"""The patterns as calls: `plan_of(chain(work(…), …))` is a plan for `submit`. Each takes parts, and is one."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, TypeVar

from pydantic import JsonValue, ValidationError

from tasks.errors import ContractError
from tasks.models import Join, RetryPolicy
from tasks.patterns.forms import (
    Chain,
    Debate,
    How,
    Orchestrate,
    Parallel,
    Pattern,
    Refine,
    Route,
    Rule,
    Supervise,
    Vote,
    Work,
)
from tasks.wire import Wire

F = TypeVar("F", bound=Wire)


def work(
    task: str,
    agent: str | None = None,
    *,
    capability: str | None = None,
    id: str | None = None,  # noqa: A002 - what it is called in plans
    fallback: str | Sequence[str] | None = None,
    optional: bool = False,
    timeout: float = 0,
    retry: RetryPolicy | None = None,
    input: JsonValue = None,  # noqa: A002 - as above
) -> Work:
    """One step: of the agent that is named, or of the least busy one that has a capability.

    Raises:
        ContractError: neither or both are given, or a name is none; so for all patterns.
    """
    if (agent is None) == (capability is None):
        raise ContractError(f"work {task[:50]!r}: give an agent or a capability")
    chain = fallback if fallback is None or isinstance(fallback, str) else tuple(fallback)
    told = {"fallback": chain, "optional": optional, "timeout_ms": int(timeout * 1000), "retry": retry, "input": input}
    return _made(Work, task=task, agent=agent, capability=capability, id=id, **told)


def chain(*parts: Pattern) -> Chain:
    """One part after the other; each gets the result of the one before."""
    return _made(Chain, parts=parts)


def parallel(
    *parts: Pattern,
    join: Join | str = Join.BEST_EFFORT,
    quorum: int = 0,
    within: float | timedelta = 0,
    merge: Work | None = None,
) -> Parallel:
    """All parts at the same time.

    Args:
        join: When that which comes behind may begin: all, any, quorum, best_effort.
        within: Seconds (or a timedelta) after which it begins with what there is, as soon as there is one result.
        merge: A step that makes one result of theirs.
    """
    seconds = within.total_seconds() if isinstance(within, timedelta) else within
    told = {"join": join, "quorum": quorum, "within_ms": int(seconds * 1000), "merge": merge}
    return _made(Parallel, parts=parts, **told)


def route(
    choices: Mapping[str, Pattern],
    *,
    rules: Sequence[tuple[str, str]] = (),
    about: Mapping[str, str] | None = None,
    by_model: bool = True,
    otherwise: str | None = None,
) -> Route:
    """One of several parts, by rules (regular expression, choice), else by a model that gives its reason."""
    made = tuple(_made(Rule, pattern=pattern, choice=choice) for pattern, choice in rules)
    told = {"about": dict(about or {}), "by_model": by_model, "otherwise": otherwise}
    return _made(Route, choices=dict(choices), rules=made, **told)


def vote(
    *candidates: Pattern,
    how: Literal["majority", "quorum", "weighted", "judge"] = "majority",
    quorum: int = 0,
    weights: Sequence[float] = (),
    choices: Sequence[str] = (),
    judge_ties: bool = False,
) -> Vote:
    """Several answers to the same question, and the one that wins. Of equals the one that was voted for first wins."""
    told = {"quorum": quorum, "weights": tuple(weights), "choices": tuple(choices), "judge_ties": judge_ties}
    return _made(Vote, candidates=candidates, how=_made(How, rule=how, **told))


def orchestrate(
    task: str,
    *,
    synthesise: Work | None = None,
    rounds: int = 1,
    check: bool = False,
) -> Orchestrate:
    """A model plans, agents work, and one of them makes one result of it; after failures it plans again."""
    return _made(Orchestrate, task=task, synthesise=synthesise, rounds=rounds, check=check)


def supervise(task: str, workers: Mapping[str, Pattern], *, rounds: int = 5) -> Supervise:
    """A model says who does what next, sees what came of it, and goes on until it is done or the rounds are over."""
    return _made(Supervise, task=task, workers=dict(workers), rounds=rounds)


def refine(draft: Pattern, criteria: str, *, rounds: int = 3) -> Refine:
    """One makes a draft, another says what is wrong with it, until it is good or the rounds are over."""
    return _made(Refine, draft=draft, criteria=criteria, rounds=rounds)


def debate(question: str, *debaters: Work, verdict: Work, rounds: int = 2) -> Debate:
    """Several agents take positions, hear each other, and answer, round after round; then one sums up."""
    return _made(Debate, question=question, debaters=debaters, rounds=rounds, verdict=verdict)


def _made(form: type[F], **fields: object) -> F:
    try:
        return form.model_validate(fields)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or form.__name__}: {one['msg']}" for one in error.errors())
        raise ContractError(f"{form.__name__.lower()}: {faults}") from error
