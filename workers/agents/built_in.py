"""The agents that every release has. Their prompts are files."""

from importlib import resources

from pydantic import BaseModel

from tasks.models import AgentDefinition, Plan
from tasks.patterns.compile import COORDINATOR
from tasks.patterns.decisions import Choice, NextMove, Verdict
from tasks.queues import ANALYSIS, BUILT_IN, CRITIC, PLANNER, ROUTER, SEARCH, SUMMARY, SUPERVISOR
from workers.agents.base import Agent
from workers.tools.base import Tool


def built_in() -> list[Agent]:
    """The built-in agents."""
    from workers.coordinating.agent import coordinator
    from workers.tools.knowledge import list_documents, read_document, search_passages
    from workers.tools.tables import describe_table, list_tables, query_table

    tools: dict[str, tuple[Tool, ...]] = {
        PLANNER: (),
        SEARCH: (list_documents, read_document, search_passages),
        ANALYSIS: (describe_table, list_tables, query_table, search_passages),
        SUMMARY: (),
    }
    forms: dict[str, type[BaseModel]] = {PLANNER: Plan, ROUTER: Choice, CRITIC: Verdict, SUPERVISOR: NextMove}
    return [
        coordinator if one.name == COORDINATOR else _agent(one, tools.get(one.name, ()), forms.get(one.name))
        for one in BUILT_IN
    ]


def prompt(name: str) -> str:
    """The text of a prompt file."""
    return (resources.files("workers.agents") / "prompts" / f"{name}.md").read_text(encoding="utf-8").strip()


def _agent(definition: AgentDefinition, tools: tuple[Tool, ...], output: type[BaseModel] | None) -> Agent:
    return Agent(
        name=definition.name,
        description=definition.description,
        capabilities=definition.capabilities,
        tools=tools,
        instructions=prompt(definition.name),
        queue=definition.queue,
        output=output,
        plannable=definition.plannable,
    )
