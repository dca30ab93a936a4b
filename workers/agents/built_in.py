"""The agents that every release has: planner, search, analysis, summary. Their prompts are files."""

from importlib import resources

from tasks.models import AgentDefinition, Plan
from tasks.queues import ANALYSIS, BUILT_IN, PLANNER, SEARCH, SUMMARY
from workers.agents.base import Agent
from workers.tools.base import Tool


def built_in() -> list[Agent]:
    """The built-in agents."""
    from workers.tools.knowledge import list_documents, read_document, search_passages
    from workers.tools.tables import describe_table, list_tables, query_table

    tools: dict[str, tuple[Tool, ...]] = {
        PLANNER: (),
        SEARCH: (list_documents, read_document, search_passages),
        ANALYSIS: (describe_table, list_tables, query_table, search_passages),
        SUMMARY: (),
    }
    return [_agent(definition, tools[definition.name]) for definition in BUILT_IN]


def prompt(name: str) -> str:
    """The text of a prompt file."""
    return (resources.files("workers.agents") / "prompts" / f"{name}.md").read_text(encoding="utf-8").strip()


def _agent(definition: AgentDefinition, tools: tuple[Tool, ...]) -> Agent:
    return Agent(
        name=definition.name,
        description=definition.description,
        capabilities=definition.capabilities,
        tools=tools,
        instructions=prompt(definition.name),
        queue=definition.queue,
        output=Plan if definition.name == PLANNER else None,
        plannable=definition.plannable,
    )
