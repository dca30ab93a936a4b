"""Patterns that go round: refine, supervise, orchestrate, and planning again for a whole job. Each within its bounds;
what was found is kept."""

from dataclasses import dataclass, field

from pydantic import JsonValue, ValidationError

from tasks.errors import ContractError
from tasks.models import Plan, StepInput
from tasks.patterns.decisions import NextMove, Verdict
from tasks.patterns.forms import MAX_ROUNDS, Chain, Orchestrate, Pattern, Refine, Replan, Supervise, Work
from tasks.queues import CRITIC, PLANNER, SUPERVISOR
from workers.agents.base import AgentReply
from workers.coordinating.choosing import described
from workers.coordinating.crew import MAX_FEEDBACK_CHARS, Crew, PatternFailed, gathered, good, why


async def refine(crew: Crew, what: Refine) -> AgentReply:
    """Drafts until one is good, or the rounds are over: then the best of them, as it was judged.

    Raises:
        PatternFailed: there is no draft.
    """
    best, best_score, feedback, seen = None, -1, "", list[StepInput]()
    for number in range(1, what.rounds + 1):
        draft = await crew.run(_mended(what.draft, feedback), seen)
        if not good([draft]):
            if best is None:
                return crew.reply(draft)
            break
        verdict, judged = await crew.decide(CRITIC, f"Judge the draft by: {what.criteria}", Verdict, after=[draft])
        if verdict.score > best_score or verdict.good:
            best, best_score = draft, verdict.score
        crew.say(f"draft {number}: {verdict.score} of 100{'' if verdict.good else f': {verdict.feedback[:200]}'}")
        if verdict.good:
            return crew.reply(draft, rounds=number, good=True, score=verdict.score)
        feedback, seen = verdict.feedback, [draft, judged]
    if best is None:
        raise PatternFailed("there is no draft")
    return crew.reply(best, rounds=what.rounds, good=False, score=best_score, feedback=feedback[:MAX_FEEDBACK_CHARS])


async def supervise(crew: Crew, what: Supervise) -> AgentReply:
    """One worker after the other, as the supervisor says.

    Raises:
        PatternFailed: nobody found anything, or it named a worker that there is not, twice.
    """
    done: list[StepInput] = []
    moves: list[JsonValue] = []
    options: JsonValue = {name: described(part) for name, part in what.workers.items()}
    for _ in range(what.rounds):
        move = await _next(crew, what, options, done)
        moves.append({"worker": move.worker, "reason": move.reason})
        if move.done:
            break
        crew.say(f"{move.worker}: {move.reason}")
        done.append(await crew.run(_tasked(what.workers[move.worker], move.task), good(done)))
    if not good(done):
        raise PatternFailed(f"no worker found anything: {why(done[-1]) if done else 'none was asked'}")
    return AgentReply(gathered(done), {"moves": moves, "steps": [one.step for one in done]})


async def _next(crew: Crew, what: Supervise, options: JsonValue, done: list[StepInput]) -> NextMove:
    told, fault = dict[str, JsonValue](options=options), ""
    for _ in range(2):
        move, _item = await crew.decide(SUPERVISOR, what.task, NextMove, after=done, told=told)
        if move.done or move.worker in what.workers:
            return move
        fault = f"{move.worker[:100]!r} is no worker; there are: {', '.join(what.workers)}"
        told["faults"] = [fault]
    raise PatternFailed(fault)


async def orchestrate(crew: Crew, what: Orchestrate) -> AgentReply:
    """Plan, have it done, plan again for what failed or is missing; what was found is kept and can be built on.

    Raises:
        PatternFailed: there is no plan, or nothing was found.
    """
    found = await _rounds(crew, what, _Found())
    if not found.kept:
        raise PatternFailed(f"nothing was found:\n{found.note}")
    if what.synthesise is not None:
        return crew.reply(await crew.run(what.synthesise, [*found.kept, *found.lacking]), **found.facts)
    return AgentReply(gathered([*found.kept, *found.lacking]), found.facts)


async def replan(crew: Crew, what: Replan) -> AgentReply:
    """Plan again for what a job's plan has left without a result; the reply is what that found, and only that.

    Raises:
        PatternFailed: there is no room for that, no plan, or nothing more was found.
    """
    given = crew.before
    before = _Found(good(given), [one for one in given if one not in good(given)])
    task = crew.context.claim.job.task
    again = Orchestrate(task=task, rounds=min(what.rounds + 1, MAX_ROUNDS), check=what.check)
    if what.check and not what.refused:
        await _judge(crew, task, before)
    if not before.note:
        return AgentReply("", {"rounds": 0, "missing": ""})
    if what.refused:
        raise PatternFailed(f"{what.refused}; there is no result of:\n{before.note}")
    crew.say(f"plans again: {before.note[:300]}")
    found = await _rounds(crew, again, before, first=2)
    more = [one for one in found.kept if one not in given]
    if not more:
        raise PatternFailed(f"nothing more was found:\n{found.note}")
    return AgentReply(gathered([*more, *(one for one in found.lacking if one not in given)]), found.facts)


@dataclass(slots=True)
class _Found:
    """What rounds of planning have come to."""

    kept: list[StepInput] = field(default_factory=list[StepInput])
    lacking: list[StepInput] = field(default_factory=list[StepInput])
    """Of the last plan: what has no result."""
    judged: str = ""
    """What the results lack, as a model says."""
    rationales: list[JsonValue] = field(default_factory=list[JsonValue])

    @property
    def note(self) -> str:
        """What is missing, line by line; empty: nothing."""
        lines = [f"- failed: {one.description[:300]}: {why(one)[:300]}" for one in self.lacking]
        return "\n".join([*lines, *([f"- insufficient: {self.judged}"] if self.judged else [])])

    @property
    def facts(self) -> dict[str, JsonValue]:
        """For the result's data."""
        return {"rounds": len(self.rationales), "rationales": self.rationales, "missing": self.note}


async def _rounds(crew: Crew, what: Orchestrate, found: _Found, first: int = 1) -> _Found:
    for number in range(first, what.rounds + 1):
        try:
            plan, items = await _planned(crew, what.task, found)
        except PatternFailed:
            if not found.kept:
                raise
            break  # no budget or no way to plan again: what there is has to do
        found.rationales.append(plan.rationale)
        found.kept += good(items)
        found.lacking, found.judged = [one for one in items if one not in found.kept], ""
        if what.check and found.kept and number < what.rounds:
            await _judge(crew, what.task, found)
        if not found.note:
            break
        if number < what.rounds:
            crew.say(f"plans again: {found.note[:300]}")
    return found


async def _judge(crew: Crew, task: str, found: _Found) -> None:
    if found.kept:
        verdict, _ = await crew.decide(CRITIC, f"Do these results suffice for: {task}", Verdict, after=found.kept)
        found.judged = "" if verdict.good else verdict.feedback[:MAX_FEEDBACK_CHARS] or "as a model judged"


async def _planned(crew: Crew, task: str, before: _Found) -> tuple[Plan, list[StepInput]]:
    """A plan and what came of it; one that may not run is mended once.

    Raises:
        PatternFailed: there is none that may run.
    """
    told: dict[str, JsonValue] = {"agents": True}
    kept, note = before.kept, before.note
    if kept or note:
        found = "\n".join(f"- {one.step}: {one.description[:300]}" for one in kept)
        task += (
            "\n\nThis was found already. Do not have it done again; a step may depend on it by its id:\n"
            f"{found or '- nothing'}\n\nPlan only what is still missing:\n{note}"
        )
    fault = ""
    for _ in range(2):
        try:
            plan, _item = await crew.decide(PLANNER, task, Plan, after=[*kept, *before.lacking], told=told)
            return plan, await crew.context.delegate_all(plan.steps)
        except (ContractError, ValidationError) as error:
            fault = str(error)
            told["faults"] = [fault[:MAX_FEEDBACK_CHARS]]
    raise PatternFailed(f"no plan that may run: {fault}")


def _mended(part: Pattern, feedback: str) -> Pattern:
    """The part, told what was wrong with what it made before."""
    if not feedback:
        return part
    if isinstance(part, Chain):
        return part.model_copy(update={"parts": (_mended(part.parts[0], feedback), *part.parts[1:])})
    if isinstance(part, Work):
        told = f"{part.task}\n\nMend your last draft, which you are given: {feedback[:MAX_FEEDBACK_CHARS]}"
        return part.model_copy(update={"task": told})
    return part  # it sees the verdict among its inputs


def _tasked(part: Pattern, task: str) -> Pattern:
    """The part with what the supervisor wants of it."""
    if not isinstance(part, Work) or not task.strip() or task.strip() == part.task.strip():
        return part
    return part.model_copy(update={"task": f"{part.task}\n\n{task[:MAX_FEEDBACK_CHARS]}"})
