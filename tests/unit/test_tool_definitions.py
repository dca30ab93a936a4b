"""Tools as defined: names, descriptions, schemas, registry."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from anthropic import beta_async_tool, beta_tool
from pydantic import BaseModel, Field, ValidationError

from tasks.errors import InvalidTool, UnknownTool
from workers.llm.schema import schema_of
from workers.tools.base import Tool, ToolError, tool
from workers.tools.registry import ToolRegistry
from workers.tools.signature import describe


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    """A place."""

    x: float
    y: float = Field(default=0.0, description="Height.")


class Shape(BaseModel):
    points: list[Point]
    colour: Colour | None = None


class Query(BaseModel):
    text: str = Field(min_length=1)
    limit: int = Field(default=5, ge=1)


def none() -> str:
    """Takes nothing."""
    return ""


def plain(text: str) -> str:
    """Takes text.

    Args:
        text: The text to take.
    """
    return text


async def several(text: str, count: int, ratio: float, flag: bool) -> str:
    """Takes several.

    More is said here,
    on two lines.

    Args:
        text: The text.
        count: How often.
        ratio: How much,
            on two lines.
        flag: Whether.

    Returns:
        Nothing of use.

    Raises:
        ValueError: never.
    """
    return f"{text}{count}{ratio}{flag}"


def defaults(text: str = "x", count: int = 3, ratio: float | None = None) -> str:
    """Has defaults."""
    return f"{text}{count}{ratio}"


def choices(unit: Literal["km", "mi"], level: Literal[1, 2] = 1) -> str:
    """Has choices."""
    return f"{unit}{level}"


def optional(text: str | None) -> str:
    """May be nothing."""
    return str(text)


def union(value: int | str | list[int]) -> str:
    """Is one of several."""
    return str(value)


def annotated(limit: Annotated[int, Field(ge=1, le=9, description="Most.")] = 5) -> str:
    """Has bounds.

    Args:
        limit: Loses against the field's own words.
    """
    return str(limit)


def lists(names: list[str], pairs: dict[str, int], triple: tuple[int, str, bool]) -> str:
    """Has containers."""
    return f"{names}{pairs}{triple}"


def enums(colour: Colour = Colour.RED) -> str:
    """Has an enum."""
    return colour


def nested(shape: Shape, other: Point | None = None) -> str:
    """Has models.

    Args:
        shape: What to draw.
    """
    return f"{shape}{other}"


def models(points: list[Point]) -> str:
    """Has a list of models."""
    return str(points)


def keyword_only(*, text: str, count: int = 1) -> str:
    """Has keywords only."""
    return f"{text}{count}"


def unannotated(text, count=1):  # type: ignore[no-untyped-def]
    """Has no types."""
    return f"{text}{count}"  # pyright: ignore[reportUnknownVariableType]


def anything(value: Any) -> str:
    """Takes anything."""
    return str(value)


def numpy_style(text: str, count: int = 1) -> str:
    """Is documented in another style.

    Parameters
    ----------
    text : str
        The text.
    count : int
        How often.
    """
    return text * count


def sphinx_style(text: str) -> str:
    """Is documented in a third style.

    :param text: The text.
    """
    return text


def undescribed_argument(text: str, other: str) -> str:
    """Describes one argument.

    Args:
        text: The text.
        nobody: Is not there.
    """
    return text + other


def sets(names: set[str], maybe: list[str | None] | None = None) -> str:
    """Has a set."""
    return f"{names}{maybe}"


def patterns(code: Annotated[str, Field(pattern="^[a-z]+$", max_length=9)], when: timedelta) -> str:
    """Has a pattern."""
    return f"{code}{when}"


def literal_none(mode: Literal["a"] | None = None) -> str:
    """Has a choice or none."""
    return str(mode)


FUNCTIONS: list[Callable[..., Any]] = [
    none, plain, several, defaults, choices, optional, union, annotated, lists, enums, nested, models, keyword_only,
    unannotated, anything, numpy_style, sphinx_style, undescribed_argument, sets, patterns, literal_none,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.__name__)
def test_schema_and_description_are_those_of_the_sdk(function: Callable[..., Any]) -> None:
    sdk: Any = (beta_async_tool if function is several else beta_tool)(function)
    made = tool(function)
    assert made.input_schema == sdk.input_schema
    assert made.description == sdk.description
    assert made.name == sdk.name


def test_the_description_leaves_out_what_the_schema_says() -> None:
    assert describe(several) == "Takes several.\n\nMore is said here,\non two lines."
    assert str(schema_of(several)).count("How much") == 1


def test_a_single_model_is_the_schema_itself() -> None:
    @tool
    async def search(query: Query) -> str:
        """Searches."""
        return query.text

    assert search.input_schema == Query.model_json_schema()
    assert search.input_model is Query


async def test_a_single_model_is_validated_from_the_arguments_themselves() -> None:
    @tool
    async def search(query: Query) -> str:
        """Searches."""
        return f"{query.text} {query.limit}"

    assert await search.bind({"text": "a"})() == "a 5"
    with pytest.raises(ValidationError):
        search.bind({"text": ""})


@pytest.mark.parametrize("function", [optional, union, nested, models, none])
def test_other_parameters_are_no_single_model(function: Callable[..., Any]) -> None:
    assert tool(function).input_model is None


def test_arguments_are_validated_before_the_function_is_called() -> None:
    assert tool(defaults).bind({"count": "7"})() == "x7None"
    with pytest.raises(ValidationError):
        tool(defaults).bind({"count": "many"})


def test_a_function_of_unknown_types_has_no_schema() -> None:
    def odd(value: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821  # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        """Takes what nobody knows."""
        return str(value)  # pyright: ignore[reportUnknownArgumentType]

    with pytest.raises(InvalidTool, match="odd"):
        _ = tool(odd).input_schema  # pyright: ignore[reportUnknownArgumentType]
    with pytest.raises(InvalidTool, match="odd"):
        tool(odd).bind({})  # pyright: ignore[reportUnknownArgumentType]


def test_a_type_without_a_schema_is_refused() -> None:
    def odd(value: Callable[[int], int]) -> str:
        """Takes a function."""
        return str(value)

    with pytest.raises(InvalidTool, match="odd"):
        _ = tool(odd).input_schema


def test_a_decorated_function_stays_callable() -> None:
    assert tool(plain)("a") == "a"
    assert not tool(plain).is_async
    assert tool(several).is_async


def test_limits_and_name_are_taken() -> None:
    made = tool(name="other", timeout=5, rate_limit=9, max_output_chars=7)(plain)
    assert (made.name, made.timeout, made.rate_limit, made.max_output_chars) == ("other", timedelta(seconds=5), 9, 7)
    assert tool(timeout=timedelta(minutes=1))(plain).timeout == timedelta(minutes=1)
    more = tool(retries=2, max_uses=3, concurrency=4, idempotent=True, requires_approval=True, redact=["text"])(plain)
    assert (more.retries, more.max_uses, more.concurrency, more.redact) == (2, 3, 4, {"text"})
    assert more.idempotent
    assert more.requires_approval


def test_a_given_schema_is_taken_as_it_is_and_the_arguments_come_as_one() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}}
    foreign = Tool(name="foreign", description="Is defined elsewhere.", function=dict, given_schema=schema)
    assert foreign.input_schema == schema
    assert foreign.input_model is None
    assert foreign.bind({"self": 1, "not an identifier": 2})() == {"self": 1, "not an identifier": 2}


def undocumented(text: str) -> str:
    return text


def variadic(*texts: str) -> str:
    """Takes many."""
    return str(texts)


def keywords(**texts: str) -> str:
    """Takes any."""
    return str(texts)


def positional(text: str, /) -> str:
    """Takes by position."""
    return text


@pytest.mark.parametrize("function", [undocumented, variadic, keywords, positional, lambda: None])
def test_a_function_that_a_model_could_not_call_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(InvalidTool):
        tool(function)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0}, {"timeout": -1}, {"timeout": float("inf")}, {"rate_limit": 0}, {"max_output_chars": 0},
        {"name": "Bad name"}, {"max_uses": 0}, {"concurrency": 0}, {"retries": -1}, {"retries": 11},
        {"redact": "number"}, {"tags": "web"},
    ],
)  # fmt: skip
def test_limits_that_are_not_positive_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidTool):
        tool(**options)(plain)


def test_a_tool_error_carries_code_and_message() -> None:
    error = ToolError("bad_sql", "no")
    assert (error.code, str(error)) == ("bad_sql", "no")


def test_a_registry_is_sorted_whatever_the_order() -> None:
    registry = ToolRegistry([tool(several), tool(none), tool(plain)])
    assert registry.names == ("none", "plain", "several")
    assert [one.name for one in registry] == list(registry.schemas()) == list(registry.names)
    assert len(registry) == 3
    assert "plain" in registry
    assert "other" not in registry


def test_the_same_function_may_be_registered_twice_another_one_not() -> None:
    registry = ToolRegistry([tool(plain), tool(plain)])
    assert len(registry) == 1
    with pytest.raises(InvalidTool, match="two tools are called 'plain'"):
        registry.register(tool(name="plain")(none))


def test_an_unknown_tool_is_answered_with_those_there_are() -> None:
    assert isinstance(ToolRegistry([tool(plain)]).get("plain"), Tool)
    with pytest.raises(UnknownTool, match="the tools are: none, plain"):
        ToolRegistry([tool(plain), tool(none)]).get("odd")


def test_importing_the_table_tools_loads_neither_duckdb_nor_the_sdk() -> None:
    code = "import sys, workers.tools.tables, workers.tools.executor; print({'duckdb', 'anthropic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
