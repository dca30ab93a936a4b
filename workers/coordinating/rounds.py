"""Patterns that go round: refine, supervise, orchestrate. Each within its bounds; what was found is kept."""

from pydantic import JsonValue, ValidationError

from tasks.errors import ContractError
from tasks.models import Plan, StepInput
from tasks.patterns.decisions import NextMove, Verdict
from tasks.patterns.forms import Chain, Orchestrate, Pattern, Refine, Supervise, Work
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
    kept: list[StepInput] = []
    lacking: list[StepInput] = []
    note, rationales = "", list[JsonValue]()
    for number in range(1, what.rounds + 1):
        try:
            plan, items = await _planned(crew, what.task, kept, note)
        except PatternFailed:
            if not kept:
                raise
            break  # no budget or no way to plan again: what there is has to do
        rationales.append(plan.rationale)
        kept += good(items)
        lacking = [one for one in items if one not in kept]
        note = "\n".join(f"- failed: {one.description[:300]}: {why(one)[:300]}" for one in lacking)
        if what.check and kept and number < what.rounds:
            verdict, _ = await crew.decide(CRITIC, f"Do these results suffice for: {what.task}", Verdict, after=kept)
            note += "" if verdict.good else f"\n- insufficient: {verdict.feedback[:MAX_FEEDBACK_CHARS]}"
        if not note.strip():
            break
        if number < what.rounds:
            crew.say(f"plans again: {note.strip()[:300]}")
    if not kept:
        raise PatternFailed(f"nothing was found:\n{note}")
    facts: dict[str, JsonValue] = {"rounds": len(rationales), "rationales": rationales, "missing": note.strip()}
    if what.synthesise is not None:
        return crew.reply(await crew.run(what.synthesise, [*kept, *lacking]), **facts)
    return AgentReply(gathered([*kept, *lacking]), facts)


async def _planned(crew: Crew, task: str, kept: list[StepInput], note: str) -> tuple[Plan, list[StepInput]]:
    """A plan and what came of it; one that may not run is mended once.

    Raises:
        PatternFailed: there is none that may run.
    """
    told: dict[str, JsonValue] = {"agents": True}
    if kept or note:
        found = "\n".join(f"- {one.step}: {one.description[:300]}" for one in kept)
        task += (
            "\n\nThis was found already. Do not have it done again; a step may depend on it by its id:\n"
            f"{found or '- nothing'}\n\nPlan only what is still missing:\n{note}"
        )
    fault = ""
    for _ in range(2):
        try:
            plan, _item = await crew.decide(PLANNER, task, Plan, after=kept, told=told)
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
