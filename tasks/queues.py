"""Queues, and the agents that every release has. A queue has the name of the agent it feeds, unless said otherwise."""

from typing import Final

from tasks.models import AgentDefinition
from tasks.patterns.compile import COORDINATOR

PLANNER: Final = "planner"
SEARCH: Final = "search"
ANALYSIS: Final = "analysis"
SUMMARY: Final = "summary"
ROUTER: Final = "router"
CRITIC: Final = "critic"
SUPERVISOR: Final = "supervisor"
DECIDERS: Final = frozenset({PLANNER, ROUTER, CRITIC, SUPERVISOR})
"""Where patterns have these say how to go on, that is nothing for an answer to rest on."""

QUEUES: Final = (PLANNER, SEARCH, ANALYSIS, SUMMARY)
"""Queues of the built-in agents."""

VERSION_MARK: Final = "@"


def of_version(queue: str, version: str) -> str:
    """The queue of messages for workers that have this version of an agent. It is used while there are several."""
    return f"{queue}{VERSION_MARK}{version}"


BUILT_IN: Final = (
    AgentDefinition(
        name=PLANNER,
        description="Decomposes a task into a graph of steps for the other agents.",
        capabilities=("planning",),
        queue=PLANNER,
        plannable=False,
    ),
    AgentDefinition(
        name=SEARCH,
        description="Finds passages in the knowledge bases and reports what they say, with citations.",
        capabilities=("search", "retrieval"),
        queue=SEARCH,
        tools=("list_documents", "read_document", "search_passages"),
    ),
    AgentDefinition(
        name=ANALYSIS,
        description="Analyses data tables with SQL and statistics, and weighs evidence.",
        capabilities=("analysis", "statistics", "tables"),
        queue=ANALYSIS,
        tools=("describe_table", "list_tables", "query_table", "search_passages"),
    ),
    AgentDefinition(
        name=SUMMARY,
        description="Condenses and compares findings of other steps; also writes the final answer.",
        capabilities=("summary", "comparison", "writing"),
        queue=SUMMARY,
    ),
    AgentDefinition(
        name=COORDINATOR,
        description="Does what patterns decide while they run: code, that has steps done by other agents.",
        queue=PLANNER,
        tools=("delegate",),
        plannable=False,
        sub_agents=("any",),
    ),
    AgentDefinition(name=ROUTER, description="Chooses one of several options.", queue=PLANNER, plannable=False),
    AgentDefinition(name=CRITIC, description="Says what is wrong with a draft.", queue=PLANNER, plannable=False),
    AgentDefinition(name=SUPERVISOR, description="Says who does what next.", queue=PLANNER, plannable=False),
)
"""Definitions that a plan may name also while no worker that offers them is up: their steps wait in the queue."""
