"""A plan as a picture: Mermaid, which Markdown pages show."""

from tasks.models import Join, Plan, PlannedStep

ANSWER = "answer"
TAKEN = frozenset({ANSWER, "end", "graph", "subgraph", "flowchart", "style", "class", "click", "default"})
"""Names that nodes of steps may not have: the last node's, and Mermaid's words."""


def mermaid(plan: Plan) -> str:
    """A flow chart of a plan's steps, in their order; the answer last. Joins that are not `all` stand at their step."""
    lines = ["flowchart LR"]
    lines += [f'    {_node(step.id)}["{_label(step)}"]' for step in plan.steps]
    lines.append(f'    {ANSWER}(["answer"])')
    needed = {before for step in plan.steps for before in step.depends_on}
    for step in plan.steps:
        lines += [f"    {_node(before)} --> {_node(step.id)}" for before in step.depends_on]
    lines += [f"    {_node(step.id)} --> {ANSWER}" for step in plan.steps if step.id not in needed]
    return "\n".join(lines)


def _node(step: str) -> str:
    return f"{step}_" if step in TAKEN else step


def _label(step: PlannedStep) -> str:
    who = step.agent or f"any {step.capability}"
    facts = [f"{step.id}<br/>{who}" if who != step.id else who]
    if step.join is Join.QUORUM:
        facts.append(f"quorum {step.quorum or len(step.depends_on) // 2 + 1}")
    elif step.join not in (None, Join.ALL):
        facts.append(step.join.value.replace("_", " "))
    if step.join_ms:
        facts.append(f"within {step.join_ms / 1000:g} s")
    if step.optional:
        facts.append("optional")
    return "<br/>".join(facts)
