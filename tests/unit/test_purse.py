"""What a call can cost at most, before it is made."""

import math
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tasks.models import JobSpec, StepKind
from tasks.usage import Budget, Usage
from tests.unit.attempts import make_claim
from workers import tool
from workers.journal.purse import LEAST, LEAST_THINKING, OVERHEAD, SERVER_TOOL_TOKENS, Purse, scopes_of
from workers.llm.base import ChatMessage, ModelRequest
from workers.llm.pricing import Pricing
from workers.llm.server_tools import server_tool

PRICING = Pricing.read()
MODEL = "claude-sonnet-5-5"
OLD = "claude-sonnet-4-5"


def ask(*texts: str, **fields: Any) -> ModelRequest:
    """A request of so many messages."""
    roles: list[Any] = ["user", "assistant"]
    messages: list[ChatMessage] = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    values: dict[str, Any] = {"model": MODEL, "agent": "a", "system": "Be brief.", "messages": messages, **fields}
    return ModelRequest(**values)


def tokens(text: str, overhead: int = 0) -> int:
    """A tokenizer whose tokens are longer or shorter from text to text, and never shorter than a byte."""
    size = len(text.encode())
    return max(1, size * (1 + zlib.crc32(text.encode()) % 8) // 8) + overhead if size else overhead


def counted(request: ModelRequest, overhead: int) -> int:
    """What a provider would count."""
    return overhead + tokens(request.system) + sum(tokens(str(one["content"])) for one in request.messages)


def usage_of(prompt: int) -> Usage:
    """A prompt of so many tokens, partly cached."""
    return Usage(
        input_tokens=prompt % 7, cache_read_tokens=prompt // 2, cache_write_tokens=prompt - prompt // 2 - prompt % 7
    )


TEXTS = st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=12)


@given(TEXTS, st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(0, OVERHEAD))
def test_a_bound_is_never_below_what_is_counted(texts: list[str], moves: list[int], overhead: int) -> None:
    """Whatever becomes of the conversation: it grows, its beginning is left out, a message is changed."""
    purse, request = Purse(PRICING), ask(texts[0])
    for at, move in enumerate(moves):
        exact = counted(request, overhead)
        assert purse.bound(request) >= exact
        if move < 5:
            purse.learn(request, usage_of(exact))
        said = [str(one["content"]) for one in request.messages]
        match move:
            case 0 if len(said) > 2:
                said = said[2:]
            case 1:
                said[0] = texts[-1]
            case 2:
                request = replace(request, system=texts[at % len(texts)])
            case _:
                pass
        request = ask(*said, *texts[at % len(texts) :], system=request.system)


def test_what_the_provider_counted_makes_a_bound_sharper() -> None:
    purse, first = Purse(PRICING), ask("x" * 10_000)
    assert 10_000 < purse.bound(first) < 10_000 + OVERHEAD + 200
    purse.learn(first, Usage(input_tokens=100, cache_read_tokens=1_500, cache_write_tokens=900))
    assert purse.bound(first) == 2_500
    assert 2_500 + 400 < purse.bound(ask("x" * 10_000, "y" * 400)) < 2_500 + 500


def test_an_answer_without_counts_teaches_nothing() -> None:
    purse, first = Purse(PRICING), ask("x" * 10_000)
    purse.learn(first, Usage(input_tokens=2_500))
    purse.learn(ask("x" * 10_000, "y"), Usage())
    assert purse.bound(first) == 2_500


class Shape(BaseModel):
    """An answer's form."""

    word: str


@pytest.mark.parametrize(
    "changed",
    [
        {"system": "Be long."},
        {"model": OLD},
        {"tool_choice": "any"},
        {"thinking": "disabled"},
        {"effort": "low"},
        {"output": Shape},
        {"server_tools": [server_tool("web_search")]},
    ],
)
def test_counts_of_another_question_say_nothing(changed: dict[str, Any]) -> None:
    purse = Purse(PRICING)
    purse.learn(ask("x" * 10_000), Usage(input_tokens=2_500))
    assert purse.bound(ask("x" * 10_000, **changed)) > 10_000


def test_tools_and_the_form_of_the_answer_are_part_of_a_prompt() -> None:
    @tool
    async def look(where: str) -> str:
        """Looks for something, at length: LOOKS."""
        return where

    bare = Purse(PRICING).bound(ask("x"))
    assert (
        Purse(PRICING).bound(ask("x", tools=(look,))) > bare + len(look.description) + len(str(look.input_schema)) / 2
    )
    assert Purse(PRICING).bound(ask("x", output=Shape)) > bare + 50


def test_each_tool_of_the_provider_has_room_for_what_it_finds() -> None:
    search = [server_tool("web_search"), server_tool("web_fetch")]
    purse = Purse(PRICING)
    assert purse.bound(ask("x", server_tools=search)) > 2 * SERVER_TOOL_TOKENS
    purse.learn(ask("x", server_tools=search), Usage(input_tokens=50_000))
    assert purse.bound(ask("x", server_tools=search)) == 50_000 + 2 * SERVER_TOOL_TOKENS


@given(
    st.sampled_from(PRICING.models),
    st.booleans(),
    st.integers(1, 400_000),
    st.integers(1, 200_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_no_call_costs_more_than_its_estimate(
    model: str, hour: bool, bound: int, max_tokens: int, prompt_part: float, answer_part: float, searches: int
) -> None:
    """However its prompt is cached, and wherever prices change with its size."""
    tools = [server_tool({"name": "web_search", "max_uses": searches})] if searches else []
    request = ask("x", model=model, max_tokens=max_tokens, server_tools=tools)
    most = Purse(PRICING, hour).estimate(request, bound)
    prompt = int(bound * prompt_part)
    for name in ("input_tokens", "cache_read_tokens", "cache_write_1h_tokens" if hour else "cache_write_5m_tokens"):
        counts: dict[str, Any] = {"input_tokens": 0, "output_tokens": int(most.most * answer_part), name: prompt}
        cost = PRICING.cost_microusd(model, **counts, web_searches=searches)
        held = math.ceil(most.nanousd * counts["output_tokens"] / 1000)  # as `reserve.lua` holds it
        assert cost <= most.cost_microusd + held
        assert prompt + counts["output_tokens"] <= most.tokens + most.most
    assert most.requests == 1


def test_an_answer_is_no_longer_than_the_model_can() -> None:
    facts = PRICING.facts(MODEL)
    most = Purse(PRICING).estimate(ask("x", max_tokens=10**9), 1)
    assert (most.least, most.most) == (LEAST, facts.max_output)
    short = Purse(PRICING).estimate(ask("x", max_tokens=100), 1)
    assert (short.least, short.most) == (100, 100)
    assert Purse(PRICING).estimate(ask("x", thinking="enabled"), 1).least == LEAST_THINKING


@pytest.mark.parametrize("model", ["offline", "scripted"])
def test_a_model_of_our_own_costs_nothing_and_is_counted(model: str) -> None:
    most = Purse(PRICING).estimate(ask("x" * 999, model=model), 999)
    assert most == (0, 0, 0, 0, 0, 1, 0)


# --- scopes


def scopes(budget: Budget | None, limits: Budget, kind: StepKind = StepKind.WORK) -> dict[str, Budget]:
    claim = make_claim(kind)
    job = JobSpec.model_validate({**claim.job.model_dump(), "limits": limits.model_dump()})
    return dict(scopes_of(claim.model_copy(update={"job": job}), budget))


def test_a_job_without_limits_has_no_scopes() -> None:
    assert scopes(None, Budget()) == scopes(Budget(), Budget()) == {}


def test_work_leaves_a_tenth_for_the_answer() -> None:
    whole = Budget(cost_microusd=1_000, tokens=99, requests=5, tool_calls=7)
    found = scopes(None, whole)
    assert found == {"job": whole, "work": Budget(cost_microusd=900, tokens=90, requests=4)}
    assert scopes(None, whole, StepKind.PLAN) == found
    assert scopes(None, whole, StepKind.SYNTHESIS) == {"job": whole}


@pytest.mark.parametrize(("requests", "work"), [(1, 1), (2, 1), (3, 2)])
def test_one_request_is_kept_where_there_are_two(requests: int, work: int) -> None:
    assert scopes(None, Budget(requests=requests))["work"].requests == work


def test_limits_of_tool_calls_are_all_for_work() -> None:
    assert scopes(None, Budget(tool_calls=3)) == {"job": Budget(tool_calls=3)}


def test_an_agent_has_a_budget_beside_its_jobs() -> None:
    own = Budget(requests=2)
    assert scopes(own, Budget(cost_microusd=10)).keys() == {"job", "work", "agent:search"}
    assert scopes(own, Budget()) == {"agent:search": own}
