"""Structured answers: read however the model wraps them, and their faults in words."""

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tasks.usage import Usage
from workers.agents.structured import MAX_FAULTS_CHARS, MAX_RAW_CHARS, begins, data_of, describe, read_output
from workers.llm.base import Block, ModelReply


class Verdict(BaseModel):
    """A structured answer."""

    good: bool
    why: str = Field(max_length=20)


class Wide(BaseModel):
    """One with many fields."""

    rows: list[int]


GOOD = '{"good": true, "why": "tested"}'


def reply(*content: str | Block) -> ModelReply:
    blocks: list[Block] = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
    return ModelReply(id="m", model="m", content=blocks, stop_reason="end_turn", usage=Usage())


@pytest.mark.parametrize(
    "content",
    [
        [GOOD],
        [f"\n {GOOD} \n"],
        [GOOD[:10], GOOD[10:]],
        [f"Here it is:\n```json\n{GOOD}\n```\nDone."],
        [f"```\n{GOOD}\n```"],
        ["I look first.", {"type": "server_tool_use", "id": "s"}, {"type": "x_result", "tool_use_id": "s"}, GOOD],
        [{"type": "thinking", "thinking": "{", "signature": "s"}, GOOD],
    ],
)
def test_an_answer_is_found_within_what_stands_around_it(content: list[str | Block]) -> None:
    value, text = read_output(Verdict, reply(*content))
    assert value == Verdict(good=True, why="tested")
    assert text == GOOD


@pytest.mark.parametrize("said", ["nope", f"```json\n{GOOD}\n``` or ```json\n{GOOD}\n```", f"It is {GOOD}"])
def test_an_answer_that_is_not_clearly_one_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        read_output(Verdict, reply(said))


def test_the_bounds_that_a_provider_does_not_hold_are_checked_here() -> None:
    with pytest.raises(ValidationError) as caught:
        read_output(Verdict, reply('{"good": true, "why": "far more than twenty characters"}'))
    assert describe(caught.value) == "why: String should have at most 20 characters"


def test_faults_are_few_and_bounded() -> None:
    with pytest.raises(ValidationError) as caught:
        Wide.model_validate({"rows": ["x"] * 50})
    assert describe(caught.value).count("rows.") == 10
    keyed = TypeAdapter(dict[str, int])
    with pytest.raises(ValidationError) as caught:
        keyed.validate_python({"k" * 200 + str(number): "x" for number in range(10)})
    assert len(describe(caught.value)) == MAX_FAULTS_CHARS + 1


def test_what_is_kept_of_a_raw_answer_is_bounded() -> None:
    assert begins("short") == "short"
    assert begins("x" * 5000) == "x" * MAX_RAW_CHARS + "…"


def test_an_answer_is_stored_as_json() -> None:
    assert data_of(Verdict(good=False, why="")) == {"good": False, "why": ""}
