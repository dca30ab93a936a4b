"""docs/api.md tells of every route there is, and of no other; the OpenAPI document describes all that it names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrator.api.app import create_app
from orchestrator.api.door import Door
from orchestrator.api.problems import STATUSES
from orchestrator.api.settings import ApiSettings
from orchestrator.client import AsyncTroupe
from tasks.errors import ContractError, TransientError, WorkFailed
from tests.unit.pages import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
METHODS = {"get", "post", "put", "patch", "delete"}
FAMILIES = {ContractError, TransientError, WorkFailed}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("home")
    return create_app(Door(AsyncTroupe(), ApiSettings(), folder)).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                yield f"{method.upper()} {path}", operation


def empty_schemas(part: object, place: str = "#") -> Iterator[str]:
    if isinstance(part, dict):
        found = cast("dict[str, object]", part)
        for name, value in found.items():
            if name == "schema" and not value:
                yield place
            yield from empty_schemas(value, f"{place}/{name}")
    elif isinstance(part, list):
        for at, value in enumerate(cast("list[object]", part)):
            yield from empty_schemas(value, f"{place}/{at}")


def test_the_page_names_every_route_and_no_other(document: dict[str, Any]) -> None:
    named = set(re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?]*)`", PAGE))
    assert named == {name for name, _ in operations(document)}


def test_the_page_names_every_code_that_has_a_status_of_its_own() -> None:
    missing = [kind.code for kind in STATUSES if kind not in FAMILIES and f"`{kind.code}`" not in PAGE]
    assert missing == []


def test_every_operation_is_described_and_answers_in_a_known_form(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"] if tag["description"]}
    for name, operation in operations(document):
        assert set(operation["tags"]) <= tags, name
        assert operation.get("description"), name
        for status, answer in operation["responses"].items():
            assert status == "204" or answer.get("content"), f"{name} {status}"
    assert list(empty_schemas(document)) == []


def test_texts_numbers_and_lists_of_parameters_are_bounded(document: dict[str, Any]) -> None:
    bounds = {"string": "maxLength", "integer": "maximum", "number": "maximum", "array": "maxItems"}
    free = [
        f"{name} {one['name']}"
        for name, operation in operations(document)
        for one in operation.get("parameters", [])
        for kind in one["schema"].get("anyOf", [one["schema"]])
        if kind.get("type") in bounds and not {bounds[kind["type"]], "enum", "pattern", "format", "const"} & set(kind)
    ]
    assert free == []
