"""From a pattern to a plan. Pure: what is known beforehand becomes steps, what is decided while it runs becomes one
step of the coordinating agent, which has further steps done."""

import re
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple, assert_never

from pydantic import JsonValue

from tasks.models import Join, Plan, PlannedStep
from tasks.patterns.forms import (
    Chain,
    Debate,
    Gather,
    How,
    Orchestrate,
    Parallel,
    Pattern,
    Refine,
    Route,
    Supervise,
    Tally,
    Vote,
    Work,
)
from tasks.wire import Wire

COORDINATOR: Final = "coordinator"
"""The agent that does what patterns decide while they run. It is code, and asks others."""
PATTERN: Final = "pattern"
"""Key of its step's input under which the pattern stands."""
MAX_BASE_CHARS: Final = 40


class After(NamedTuple):
    """Where something follows: on which steps, and when."""

    ids: tuple[str, ...] = ()
    join: Join | None = None
    quorum: int = 0
    join_ms: int = 0


def plan_of(pattern: Pattern, rationale: str = "") -> Plan:
    """The plan of a whole job: it is submitted as any other, and the answer is written from its last results."""
    steps = Compiler()
    end = steps.put(pattern, After())
    if end.join not in (None, Join.BEST_EFFORT) or end.join_ms:
        steps.one(end)
    return Plan(rationale=rationale or f"As it was given: {pattern.kind}.", steps=steps.made)


class Compiler:
    """Steps as they are made, each with an id of its own."""

    def __init__(self, taken: Collection[str] = ()) -> None:
        self.made: list[PlannedStep] = []
        self._taken = set(taken)

    def put(self, part: Pattern, after: After) -> After:
        """Add a part; tells where what follows it stands."""
        match part:
            case Work():
                return After((self._work(part, after),))
            case Chain():
                for one in part.parts:
                    after = self.put(one, after)
                return after
            case Parallel():
                return self._parallel(part, after)
            case Vote():
                ends = [self.one(self.put(one, after)) for one in part.candidates]
                return self._coordinated(
                    "vote", _counting(part.how), Tally(how=part.how), After((*ends,), Join.BEST_EFFORT)
                )
            case Debate():
                return self._debate(part, after)
            case Route():
                return self._coordinated("route", f"Choose one of: {', '.join(part.choices)}", part, after)
            case Orchestrate():
                return self._coordinated("orchestrate", f"Plan and have done: {part.task}", part, after)
            case Supervise():
                return self._coordinated("supervise", f"Supervise: {part.task}", part, after)
            case Refine():
                return self._coordinated("refine", f"Refine until it is good: {part.criteria}", part, after)
            case _:
                assert_never(part)

    def one(self, after: After) -> str:
        """The one step to follow on; where there are several, or they are waited for in a way of their own, one is put
        behind them that gathers their results."""
        if len(after.ids) == 1 and after.join is None:
            return after.ids[0]
        (end,) = self._coordinated("gather", "Hand on what was found", Gather(), after).ids
        return end

    def _parallel(self, part: Parallel, after: After) -> After:
        ends: list[str] = []
        for one in part.parts:
            end = self.put(one, after)
            plain = end.join in (None, part.join) and not end.join_ms
            ends += end.ids if plain and part.join is not Join.QUORUM else [self.one(end)]
        joined = After(tuple(ends), part.join, part.quorum, part.within_ms)
        return joined if part.merge is None else After((self._work(part.merge, joined),))

    def _debate(self, part: Debate, after: After) -> After:
        for number in range(1, part.rounds + 1):
            said = f"Round {number} of {part.rounds}. Question: {part.question}\n"
            said += "State your position." if number == 1 else "Answer what the others said, then state your position."
            spoken = [self._work(_speaking(one, said), after) for one in part.debaters]
            after = After(tuple(spoken), Join.BEST_EFFORT)
        return After((self._work(part.verdict, after),))

    def _coordinated(self, base: str, description: str, what: Wire, after: After) -> After:
        told: dict[str, JsonValue] = {PATTERN: what.model_dump(mode="json", exclude_defaults=False)}
        return After((self._work(Work(task=description, agent=COORDINATOR, id=base, input=told), after),))

    def _work(self, work: Work, after: After) -> str:
        fallback = (work.fallback,) if isinstance(work.fallback, str) else work.fallback or ()
        name = self._name(work.id or work.agent or work.capability or "step")
        self.made.append(
            PlannedStep(
                id=name,
                description=work.task,
                agent=work.agent,
                capability=work.capability,
                depends_on=list(after.ids),
                join=after.join if len(after.ids) > 1 or after.join is Join.QUORUM else None,
                quorum=after.quorum,
                join_ms=after.join_ms,
                optional=work.optional,
                fallback=fallback[0] if fallback else None,
                fallbacks=list(fallback[1:]),
                timeout_ms=work.timeout_ms,
                retry=work.retry,
                input=work.input,
            )
        )
        return name

    def _name(self, base: str) -> str:
        cleaned = re.sub(r"[^a-z0-9_-]+", "-", base.lower()).strip("-_")[:MAX_BASE_CHARS]
        cleaned = cleaned if cleaned[:1].isalpha() else f"s-{cleaned}"
        name, number = cleaned, 1
        while name in self._taken:
            number += 1
            name = f"{cleaned}-{number}"
        self._taken.add(name)
        return name


def _speaking(debater: Work, said: str) -> Work:
    return debater.model_copy(update={"task": f"{debater.task}\n{said}"})


def _counting(how: How) -> str:
    match how.rule:
        case "majority":
            return "Count the votes: what most say"
        case "quorum":
            return f"Count the votes: what at least {how.quorum} say"
        case "weighted":
            return "Count the votes by their weights"
        case "judge":
            return "Judge which answer is best"
        case _:
            assert_never(how.rule)


def steps_of(pattern: Pattern, after: Sequence[str] = ()) -> tuple[list[PlannedStep], str]:
    """The steps of a pattern behind others, and the one that holds its result: for the coordinating agent."""
    steps = Compiler(after)
    end = steps.one(steps.put(pattern, After(tuple(after), Join.BEST_EFFORT if len(after) > 1 else None)))
    return steps.made, end
