"""Requests as the agent loop makes them, and small stand-ins for the tools, for the tests of the offline model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, JsonValue

from tasks.ids import JobId, StepId
from tasks.models import AgentDefinition, Claim, Failure, JobSpec, Plan, Step, StepInput, StepKind, StepResult, TableRef
from tasks.states import StepStatus
from workers.agents.prompt import opening
from workers.llm.base import Block, ChatMessage, JsonSchema, ModelReply, ModelRequest
from workers.llm.offline.model import respond

JOB = JobId("j" + "0" * 19)
USUAL = (
    AgentDefinition(
        name="search", description="Finds passages in documents.", capabilities=("search",), queue="search"
    ),
    AgentDefinition(name="analysis", description="Queries tables.", capabilities=("analysis",), queue="analysis"),
    AgentDefinition(name="summary", description="Writes summaries.", capabilities=("summary",), queue="summary"),
)


@dataclass(frozen=True)
class FakeTool:
    """What a model gets to know of a tool."""

    name: str
    description: str = "A tool."
    input_schema: JsonSchema = field(default_factory=dict[str, JsonValue])


SEARCH_TOOLS = (FakeTool("list_documents"), FakeTool("read_document"), FakeTool("search_passages"))
TABLE_TOOLS = (
    FakeTool("describe_table"),
    FakeTool("list_tables"),
    FakeTool("query_table"),
    FakeTool("search_passages"),
)


def job(
    task: str, *, knowledge: Sequence[str] = (), tables: Sequence[str] = (), columns: Sequence[str] = ()
) -> JobSpec:
    """A job with knowledge bases and tables of these names; each table has these columns."""
    data = tuple(TableRef(name=name, path=f"/data/{name}.csv", columns=tuple(columns)) for name in tables)
    return JobSpec(id=JOB, task=task, knowledge=tuple(knowledge), data=data)


def finding(about: str, text: str, *, agent: str = "search", step: str = "search-1") -> StepInput:
    """The result of a step that succeeded."""
    return StepInput(
        step=StepId(step), description=about, agent=agent, status=StepStatus.SUCCEEDED, result=StepResult(text=text)
    )


def failed(about: str, message: str, *, step: str = "search-9") -> StepInput:
    """A step that did not succeed."""
    failure = Failure(code="step_failed", message=message)
    return StepInput(step=StepId(step), description=about, agent="search", status=StepStatus.FAILED, failure=failure)


def request(
    spec: JobSpec,
    description: str = "",
    *,
    kind: StepKind = StepKind.WORK,
    inputs: Sequence[StepInput] = (),
    tools: Sequence[FakeTool] = (),
    agents: Sequence[AgentDefinition] = USUAL,
    output: type[BaseModel] | None = None,
    faults: Sequence[str] = (),
) -> ModelRequest:
    """The first request of an attempt at a step."""
    step = Step(
        id=StepId("step-1"),
        kind=kind,
        description=description or spec.task,
        agent="search",
        queue="search",
        input={"faults": list(faults)} if faults else None,
    )
    claim = Claim(job=spec, step=step, attempt=1, deadline_ms=60_000, inputs=tuple(inputs))
    messages: tuple[ChatMessage, ...] = ({"role": "user", "content": opening(claim, agents)},)
    return ModelRequest(model="offline", agent="search", system="", messages=messages, tools=tools, output=output)


def plan_request(
    spec: JobSpec, *, agents: Sequence[AgentDefinition] = USUAL, faults: Sequence[str] = ()
) -> ModelRequest:
    """What the planner is asked."""
    return request(spec, kind=StepKind.PLAN, agents=agents, output=Plan, faults=faults)


def planned(
    task: str,
    *,
    knowledge: Sequence[str] = (),
    tables: Sequence[str] = (),
    columns: Sequence[str] = (),
    agents: Sequence[AgentDefinition] = USUAL,
) -> Plan:
    """The plan for a task."""
    spec = job(task, knowledge=knowledge, tables=tables, columns=columns)
    return Plan.model_validate_json(respond(plan_request(spec, agents=agents)).text)


def after(asked: ModelRequest, reply: ModelReply, results: Sequence[str | Exception]) -> ModelRequest:
    """The request that follows once the tools were run; an exception stands for a failed call."""
    blocks: list[Block] = [
        {
            "type": "tool_result",
            "tool_use_id": use["id"],
            "content": str(result),
            "is_error": isinstance(result, Exception),
        }
        for use, result in zip(reply.tool_uses, results, strict=True)
    ]
    more: tuple[ChatMessage, ...] = (
        {"role": "assistant", "content": reply.content},
        {"role": "user", "content": blocks},
    )
    return ModelRequest(
        model=asked.model,
        agent=asked.agent,
        system=asked.system,
        messages=(*asked.messages, *more),
        tools=asked.tools,
        output=asked.output,
    )


def passages(*found: Mapping[str, str]) -> str:
    """The output of `search_passages`."""
    shown = [{"title": "A title", "heading": None, "where": "a.md line 1", "score": 1.0, **one} for one in found]
    return json.dumps({"passages": shown, "total": len(shown)})


def arguments(reply: ModelReply, name: str) -> list[str]:
    """One argument of every tool call in a reply."""
    found: list[str] = []
    for use in reply.tool_uses:
        given = use["input"]
        assert isinstance(given, dict)
        found.append(str(given[name]))
    return found
