"""Traces what agents do in one process, for code outside a fleet; and shows jobs of a fleet in the same form."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from orchestrator.tracing import wording
from orchestrator.tracing.entries import AgentTrace, TraceAction, entries_of
from orchestrator.tracing.graph import EdgeKind, ExecutionGraph, GraphEdge, GraphNode
from orchestrator.tracing.wording import printable
from tasks.errors import ContractError
from tasks.redaction import redact
from tasks.trace import Trace

SHOWN_CHARS: Final = 100
"""Of an output, in a line."""


@dataclass(frozen=True, slots=True)
class _Run:
    """An agent at work, from its start to its end."""

    number: int
    agent: str
    depth: int


@dataclass(slots=True)
class _Open:
    """What is under way in one trace."""

    begun: int = 0
    runs: list[_Run] = field(default_factory=list[_Run])
    wanted: list[tuple[str, _Run]] = field(default_factory=list[tuple[str, _Run]])
    """Agents that were delegated to and have not started, with who has delegated."""

    def of(self, agent: str) -> _Run | None:
        """The run of an agent that began last."""
        return next((run for run in reversed(self.runs) if run.agent == agent), None)

    def delegating(self, agent: str) -> _Run | None:
        """The run that an agent starts for, if one has delegated to it."""
        at = next((at for at, (wanted, _) in enumerate(self.wanted) if wanted == agent), None)
        return None if at is None else self.wanted.pop(at)[1]


class AgentTracer:
    """Collects entries by trace. Not for several threads at once; nothing leaves the process.

    Jobs of a fleet need none of this, they are traced anyway: `AgentTracer.of(job.trace())` has their entries.
    """

    def __init__(self) -> None:
        self.traces: dict[str, list[AgentTrace]] = {}
        self._open: defaultdict[str, _Open] = defaultdict(_Open)
        self._graphs: dict[str, ExecutionGraph] = {}
        self._names: dict[str, str] = {}

    @classmethod
    def of(cls, *traces: Trace) -> "AgentTracer":
        """A tracer that holds what these jobs did; each goes by its trace id and by its job id."""
        tracer = cls()
        for trace in traces:
            tracer.traces[trace.trace_id] = entries_of(trace)
            tracer._graphs[trace.trace_id] = ExecutionGraph.of(trace)
            tracer._names[trace.job_id] = trace.trace_id
        return tracer

    def start(self, trace_id: str, agent_name: str, input: str, *, parent: str | None = None) -> None:  # noqa: A002
        """An agent begins.

        Args:
            parent: Agent of the same trace for which it works; by default the one that has delegated to it, if any.

        Raises:
            ContractError: the parent is not at work in that trace.
        """
        state = self._open[trace_id]
        above = state.delegating(agent_name) if parent is None else self._run(trace_id, parent)
        state.begun += 1
        run = _Run(state.begun, agent_name, above.depth + 1 if above is not None else 0)
        state.runs.append(run)
        facts: dict[str, JsonValue] = {"parent": above.number} if above is not None else {}
        self._add(trace_id, run, TraceAction.START, run.depth, input=input, metadata=facts)

    def log_tool_call(
        self, trace_id: str, agent_name: str, tool_name: str, tool_input: Mapping[str, Any], tool_output: object
    ) -> None:
        """An agent has called a tool. What looks like a secret in its input is masked.

        Raises:
            ContractError: the agent has not started in that trace, or has completed.
        """
        run = self._run(trace_id, agent_name)
        plain = redact(cast("JsonValue", to_jsonable_python(dict(tool_input), fallback=str)))
        facts: dict[str, JsonValue] = {"tool_input": plain}
        self._add(
            trace_id, run, TraceAction.TOOL_CALL, run.depth + 1,
            input=tool_name, output=str(tool_output), metadata=facts,
        )  # fmt: skip

    def delegate(self, trace_id: str, agent_name: str, to: str, task: str = "") -> None:
        """An agent has another one do something: the next start of that one is a part of it.

        Raises:
            ContractError: the agent has not started in that trace, or has completed.
        """
        run = self._run(trace_id, agent_name)
        self._open[trace_id].wanted.append((to, run))
        facts: dict[str, JsonValue] = {"task": task}
        self._add(trace_id, run, TraceAction.DELEGATE, run.depth + 1, input=to, metadata=facts)

    def complete(self, trace_id: str, agent_name: str, output: str, duration_ms: float) -> None:
        """An agent has come to its end.

        Raises:
            ContractError: the agent has not started in that trace, or has completed before.
        """
        run = self._run(trace_id, agent_name)
        self._open[trace_id].runs.remove(run)
        self._add(trace_id, run, TraceAction.COMPLETE, run.depth, input="", output=output, duration_ms=duration_ms)

    def get_trace(self, trace_id: str) -> list[AgentTrace]:
        """The entries of a trace, in their order; none of one that is not known."""
        return list(self.traces.get(self._names.get(trace_id, trace_id), ()))

    def visualize_trace(self, trace_id: str) -> str:
        """The entries as text, each as far to the right as it is deep."""
        lines = [f"Trace: {trace_id}"]
        for entry in self.get_trace(trace_id):
            depth = entry.metadata.get("depth")
            indent = "  " * (depth + 1 if isinstance(depth, int) else 1)
            about = f": {_line(entry.input)}" if entry.input else ""
            lines.append(
                f"{indent}[{entry.timestamp.isoformat()}] {_line(entry.agent_name)} - {entry.action.value}{about}"
            )
            if entry.duration_ms is not None:
                lines.append(f"{indent}    Duration: {wording.duration(entry.duration_ms)}")
            if entry.output:
                lines.append(f"{indent}    Output: {_line(entry.output)}")
        return "\n".join(lines)

    def graph(self, trace_id: str) -> ExecutionGraph:
        """What came before what; without nodes when the trace is not known."""
        known = self._graphs.get(self._names.get(trace_id, trace_id))
        return known if known is not None else _graph(self.get_trace(trace_id))

    def _run(self, trace_id: str, agent_name: str) -> _Run:
        run = self._open[trace_id].of(agent_name) if trace_id in self._open else None
        if run is None:
            raise ContractError(f"agent {agent_name!r} is not at work in trace {trace_id!r}: call start first")
        return run

    def _add(
        self, trace_id: str, run: _Run, action: TraceAction, depth: int,
        *, metadata: Mapping[str, JsonValue] | None = None, **fields: Any,
    ) -> None:  # fmt: skip
        facts = {**(metadata or {}), "run": run.number, "depth": depth}
        values = {"trace_id": trace_id, "agent_name": run.agent, "action": action, "metadata": facts, **fields}
        entry = AgentTrace.model_validate({**values, "timestamp": datetime.now(UTC)})
        self.traces.setdefault(trace_id, []).append(entry)


def generate_execution_graph(trace_id: str, tracer: AgentTracer) -> dict[str, list[dict[str, JsonValue]]]:
    """`{"nodes": […], "edges": […]}` for drawing tools: nodes with `id`, `label`, `timestamp`, status, time and cost;
    edges with `from`, `to`, `label`. Steps of a job, or runs of agents and their tool calls."""
    return tracer.graph(trace_id).as_dict()


def _line(text: str) -> str:
    whole = " ".join(printable(text[: 8 * SHOWN_CHARS]).split())
    return whole if len(whole) <= SHOWN_CHARS else f"{whole[: SHOWN_CHARS - 1]}…"


def _graph(entries: Sequence[AgentTrace]) -> ExecutionGraph:
    """Runs and tool calls of agents outside a fleet."""
    nodes: dict[str, GraphNode] = {}
    edges: list[GraphEdge] = []
    for at, entry in enumerate(entries):
        run, parent = str(entry.metadata["run"]), entry.metadata.get("parent")
        if entry.action is TraceAction.START:
            nodes[run] = GraphNode(
                id=f"{entry.agent_name}_{at}", label=f"{entry.agent_name}\nstart", kind="agent", attempts=1,
                agent=entry.agent_name, status="running", started_at=entry.timestamp,
            )  # fmt: skip
            if parent is not None:
                edges.append(GraphEdge(source=nodes[str(parent)].id, target=nodes[run].id, kind=EdgeKind.DELEGATES))
        elif entry.action is TraceAction.COMPLETE:
            changes = {"status": "succeeded", "ended_at": entry.timestamp, "duration_ms": entry.duration_ms}
            nodes[run] = nodes[run].model_copy(update=changes)
        elif entry.action is TraceAction.TOOL_CALL:
            call = nodes[f"call {at}"] = GraphNode(
                id=f"{entry.input}_{at}", label=f"{entry.input}\ntool_call", kind="tool_call", agent=entry.agent_name,
                status="ok", ended_at=entry.timestamp,
            )  # fmt: skip
            edges.append(GraphEdge(source=nodes[run].id, target=call.id, kind=EdgeKind.CALLS))
    return ExecutionGraph(nodes=tuple(nodes.values()), edges=tuple(edges))
