"""What a step may spend: the scopes that it spends from, and the most that a call can cost."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tasks.models import Claim, StepKind
from tasks.store import Estimate, Scope
from tasks.usage import Budget, Usage
from workers.llm.base import JsonSchema, ModelRequest
from workers.llm.pricing import Pricing
from workers.llm.settings import OFFLINE

FREE: Final = frozenset({OFFLINE, "scripted"})
"""Models that run in this process and cost nothing."""
LEAST: Final = 1024
"""Output tokens without which no call is begun, where the budget decides."""
LEAST_THINKING: Final = 2048
"""As LEAST, for models that think within a budget of at least 1,024 tokens."""
OVERHEAD: Final = 1000
"""Input tokens that the provider may add to a prompt of its own: what tells a model of tools, above all.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing"""
ANSWER_SHARE: Final = 0.1
"""Part of the job's budget that is kept for writing the answer from what was found."""
MAX_SEARCHES: Final = 10
"""Searches of a call whose tool sets no limit to them."""
SERVER_TOOL_TOKENS: Final = 30_000
"""Input tokens that each of the provider's own tools may add to a prompt by what it finds. The one number here that is
no bound: the provider sets none."""


def scopes_of(claim: Claim, budget: Budget | None) -> list[Scope]:
    """What a step spends from: its job, less what is kept for the answer, and its agent's budget in this job."""
    whole = claim.job.budget
    scopes = [Scope("job", whole)]
    if claim.step.kind is not StepKind.SYNTHESIS:
        scopes.append(Scope("work", _less(whole)))
    if budget is not None:
        scopes.append(Scope(f"agent:{claim.step.agent}", budget))
    named = {scope.name: scope for scope in scopes}
    for one in claim.step.budgets:
        named.setdefault(one.scope, Scope(one.scope, one.budget))
    return [scope for scope in named.values() if not scope.budget.endless]


def _less(whole: Budget) -> Budget:
    """The budget without the share of the answer; a limit of one or two calls is not split."""

    def less(limit: int | None) -> int | None:
        return None if limit is None else limit - math.floor(limit * ANSWER_SHARE)

    requests = None if whole.requests is None else max(whole.requests - 1, 1)
    return Budget(
        cost_microusd=less(whole.cost_microusd), tokens=less(whole.tokens), requests=requests, tool_calls=None
    )


@dataclass(slots=True)
class Purse:
    """Estimates calls of one conversation, sharper with each answer."""

    pricing: Pricing
    hour: bool = False
    """Whether prompts are kept in the provider's cache for an hour, which is dearer to write than five minutes."""
    before: ModelRequest | None = None
    """The last one whose prompt the provider has counted."""
    bytes_before: int = 0
    tokens_before: int = 0

    def bound(self, request: ModelRequest) -> int:
        """Tokens that the prompt has at most.

        A token is at least one byte. Where the last prompt of the conversation was counted by the provider, only what
        came since is bounded so.
        """
        size = _size(request)
        if self.before is not None and _extends(request, self.before):
            size += self.tokens_before - self.bytes_before
        else:
            size += OVERHEAD
        return size + SERVER_TOOL_TOKENS * len(request.server_tools)

    def learn(self, request: ModelRequest, usage: Usage) -> None:
        """Note what the provider counted."""
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        if prompt:
            self.before, self.bytes_before, self.tokens_before = request, _size(request), prompt

    def estimate(self, request: ModelRequest, prompt: int) -> Estimate:
        """The most that a call can take whose prompt has so many tokens.

        Raises:
            UnknownModel: it has no price.
        """
        if request.model in FREE:
            return Estimate(least=0, most=0, requests=1)
        facts = self.pricing.facts(request.model)
        most = min(request.max_tokens, facts.max_output)
        least = min(LEAST_THINKING if request.thinking == "enabled" else LEAST, most)
        searches = _searches(request.server_tools)
        beside = self._cost(request.model, prompt, 0, searches)
        million = self._cost(request.model, prompt, 1_000_000, searches)
        return Estimate(
            least=least,
            most=most,
            nanousd=math.ceil((million - beside + 1) / 1000),
            cost_microusd=beside,
            tokens=prompt,
            requests=1,
        )

    def _cost(self, model: str, prompt: int, output: int, searches: int) -> int:
        """Cost of a call whose prompt is written to the cache: the dearest that can become of it."""
        return self.pricing.cost_microusd(
            model,
            input_tokens=0,
            output_tokens=output,
            cache_write_5m_tokens=0 if self.hour else prompt,
            cache_write_1h_tokens=prompt if self.hour else 0,
            web_searches=searches,
        )


def _size(request: ModelRequest) -> int:
    """Bytes of all that the prompt is made of."""
    tools = [(tool.name, tool.description, tool.input_schema) for tool in request.tools]
    output = request.output.model_json_schema() if request.output else ""
    whole = [request.system, tools, list(request.server_tools), list(request.messages), output]
    return len(json.dumps(whole, ensure_ascii=False, default=str).encode("utf-8", "replace"))


def _extends(request: ModelRequest, before: ModelRequest) -> bool:
    """Whether it is the other one, with more messages at its end: what was changed or left out may have been counted
    as anything."""
    same = (request.model, request.system, request.tools, request.server_tools, request.output)
    how = (request.tool_choice, request.thinking, request.effort)
    if same != (before.model, before.system, before.tools, before.server_tools, before.output):
        return False
    if how != (before.tool_choice, before.thinking, before.effort):
        return False
    return list(request.messages[: len(before.messages)]) == list(before.messages)


def _searches(tools: Sequence[JsonSchema]) -> int:
    found = 0
    for tool in tools:
        if str(tool.get("type", "")).startswith("web_search"):
            uses = tool.get("max_uses")
            found += uses if isinstance(uses, int) else MAX_SEARCHES
    return found
