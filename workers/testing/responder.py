"""Answers HTTP requests by the offline model's rules: Troupe's agents work over HTTP without a language model."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from pydantic import BaseModel

from tasks.models import Plan
from tasks.patterns.decisions import Choice, NextMove, Verdict
from workers.agents.envelope import unwrap
from workers.llm.base import ChatMessage, JsonSchema, Model, ModelRequest
from workers.testing.behaviours import Break, Fault, Hang, Say

Json = dict[str, Any]
Responder = Callable[[Json], "str | Say | Fault | Break | Hang | Awaitable[str | Say | Fault | Break | Hang]"]
"""Gets the request's body; gives what to do, or just a text."""

OUTPUTS: dict[str, type[BaseModel]] = {form.__name__: form for form in (Plan, Choice, Verdict, NextMove)}
"""Structured outputs that the rules know, by the title of their schema."""


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    description: str
    input_schema: JsonSchema


class RuleResponder:
    """Runs a model of ours, the offline one unless given, on the request."""

    def __init__(self, model: Model | None = None) -> None:
        self._model = model

    async def __call__(self, body: Json) -> Say:
        """What that model says."""
        if self._model is None:
            from workers.llm.offline import OfflineModel

            self._model = OfflineModel()
        reply = await self._model.reply(model_request(body))
        return Say(content=reply.content, stop_reason=reply.stop_reason)


def model_request(body: Json) -> ModelRequest:
    """The request that the body was made of, as far as a body tells: the agent's name stands in the opening message."""
    system = body.get("system") or ""
    if isinstance(system, list):
        system = "\n\n".join(str(block.get("text", "")) for block in cast("list[Json]", system))
    config: Json = body.get("output_config") or {}
    form: Json = config.get("format") or {}
    schema: Json = form.get("schema") or {}
    tools: list[Json] = body.get("tools") or []
    return ModelRequest(
        model=body["model"],
        agent=agent_of(body["messages"]),
        system=system,
        messages=cast("list[ChatMessage]", body["messages"]),
        tools=[_Tool(one["name"], one.get("description", ""), one.get("input_schema", {})) for one in tools],
        max_tokens=body["max_tokens"],
        output=OUTPUTS.get(schema.get("title", "")),
    )


def agent_of(messages: list[Json]) -> str:
    """Name of the agent whose step opens the conversation; `unknown` when it is not one of ours."""
    content: str | list[Json] = messages[0]["content"]
    texts = [content] if isinstance(content, str) else [str(block.get("text", "")) for block in content]
    for attributes, _ in unwrap("\n\n".join(texts), "step"):
        return attributes.get("agent", "unknown")
    return "unknown"


def ask(responder: Responder, body: Json) -> Say | Fault | Break | Hang:
    """Run a responder, plain or async, in the thread of its request."""
    answer = responder(body)
    if isinstance(answer, Awaitable):
        answer = asyncio.run(_await(answer))
    return Say(content=answer) if isinstance(answer, str) else answer


async def _await(answer: Awaitable[str | Say | Fault | Break | Hang]) -> str | Say | Fault | Break | Hang:
    return await answer
