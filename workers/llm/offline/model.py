"""OfflineModel: answers by rules, in the same loop and with the same tools as a language model. It is none."""

import asyncio
import hashlib
import json
from typing import Final

from tasks.errors import ModelNonsense
from tasks.models import Plan
from tasks.usage import Usage
from workers.llm.base import Block, ChatMessage, ModelReply, ModelRequest
from workers.llm.offline.analysis import DESCRIBE, LIST, QUERY, analyse
from workers.llm.offline.deciding import filled
from workers.llm.offline.generic import use_tools
from workers.llm.offline.moves import Answer, Move
from workers.llm.offline.planner import plan
from workers.llm.offline.reading import read
from workers.llm.offline.retrieval import SEARCH, search
from workers.llm.offline.summary import summarise

NAME: Final = "offline"
READ: Final = "read_document"
MAX_TURNS: Final = 6
"""Replies after which it answers with what it has, whatever a policy would still ask."""


class OfflineCannotFill(ModelNonsense):
    """A form was asked for that rules cannot fill; another try would end the same."""

    retryable = False


class OfflineModel:
    """Plans, searches, computes and summarises by fixed rules.

    Needs no key and no network and costs nothing. The same request always gets the same reply, down to the ids.
    """

    @property
    def name(self) -> str:
        """`offline`."""
        return NAME

    async def reply(self, request: ModelRequest) -> ModelReply:
        """Answer once; takes milliseconds, in a thread. A request that it cannot read gets a plain answer, no error.

        Raises:
            OfflineCannotFill: the answer is to have a form of the user's own.
        """
        reply = await asyncio.to_thread(respond, request)
        reply.show(request.on_text)
        return reply

    async def close(self) -> None:
        """Nothing to release."""


def respond(request: ModelRequest) -> ModelReply:
    """The reply to a request: a pure function."""
    move = decide(request)
    if isinstance(move, Answer):
        content: list[Block] = [{"type": "text", "text": move.text}]
    else:
        made = sum(_calls_in(message) for message in request.messages)
        content = [
            {"type": "tool_use", "id": f"toolu_offline_{number}", "name": call.tool, "input": call.arguments}
            for number, call in enumerate(move.calls, start=made + 1)
        ]
    return ModelReply(
        id=f"msg_offline_{_digest(request, content)}",
        model=NAME,
        content=content,
        stop_reason="end_turn" if isinstance(move, Answer) else "tool_use",
        usage=Usage(requests=1),
    )


def decide(request: ModelRequest) -> Move:
    """Which policy answers, by the form asked for and the tools on offer; and what it says.

    Raises:
        OfflineCannotFill: a form is asked for that is no plan. Refused at once: prose would fail after its repairs.
    """
    brief = read(request)
    if request.output is Plan:
        return Answer(plan(brief))
    form = filled(request.output, brief) if request.output is not None else None
    if form is not None:
        return Answer(form)
    if request.output is not None:
        raise OfflineCannotFill(
            f"the offline rules cannot fill the form {request.output.__name__!r} of agent {request.agent!r}; "
            "choose a language model, or make the agent without output="
        )
    if not brief.tools or brief.turns >= MAX_TURNS:
        return summarise(brief)
    if brief.tools & {LIST, DESCRIBE, QUERY} and (brief.tables or SEARCH not in brief.tools):
        return analyse(brief)
    if SEARCH in brief.tools:
        return search(brief)
    return use_tools(brief, [tool for tool in request.tools if tool.name != READ])


def _calls_in(message: ChatMessage) -> int:
    content = message["content"]
    return 0 if isinstance(content, str) else sum(block.get("type") == "tool_use" for block in content)


def _digest(request: ModelRequest, content: list[Block]) -> str:
    told = json.dumps([request.agent, list(request.messages), content], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(told.encode()).hexdigest()[:20]
