"""The app: its routes, what every request passes, and its OpenAPI document."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, Final, cast

from fastapi import APIRouter, FastAPI

from orchestrator.api.auditing import Auditing
from orchestrator.api.bounds import Bounds
from orchestrator.api.door import Door
from orchestrator.api.naming import operation
from orchestrator.api.problems import EVERYWHERE, Problem, catch_all, problems
from orchestrator.api.routes import (
    changes,
    dead,
    events,
    files,
    fleet,
    health,
    jobs,
    keys,
    knowledge,
    login,
    metrics,
    people,
    replays,
    sessions,
)
from orchestrator.api.visitors import is_known

PREFIX: Final = "/v1"
ABOUT: Final = """Multi-agent LLM jobs on Celery and Redis: submit a job, follow it, get the answer with its sources.

Errors are `application/problem+json` with a stable `code`. Requests that submit a job, say something or fork take an
`Idempotency-Key`: sent again with the same key they return the first job. Whatever is another tenant's answers 404,
as what never was."""

TAGS: Final = {
    "jobs": "Submit jobs, follow them, get their answers, and change their course.",
    "people": "What steps ask people: approvals and questions, and what is decided.",
    "sessions": "Conversations that outlive their jobs.",
    "knowledge": "Documents that jobs may search.",
    "files": "Data files that jobs may query.",
    "dead": "Steps that were given up.",
    "fleet": "Agents, tools, workers and queues, and what was done.",
    "access": "Keys, who may use them for what, and what was done with them.",
    "health": "Whether the API and the fleet are well.",
}
ROUTERS: Final = (
    *(jobs.router, changes.router, events.router, people.router, replays.router),
    *(sessions.router, knowledge.router, files.router, dead.router),
    *(fleet.router, health.mine, keys.router, login.router),
)
"""All that stands under PREFIX."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(door: Door, beside: Callable[[Door], AbstractAsyncContextManager[None]] | None = None) -> FastAPI:
    """The app of one API process.

    Args:
        beside: What runs as long as the app does, as telling webhooks.
    """
    app = FastAPI(
        title="Troupe",
        version=version("troupe"),
        description=ABOUT,
        openapi_url="/openapi.json",
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        docs_url=None,  # its page loads scripts from elsewhere; ours is at /
        redoc_url=None,
        generate_unique_id_function=operation,
        lifespan=_lifespan(door, beside),
        strict_content_type=True,
        separate_input_output_schemas=False,
    )
    app.state.door = door
    app.state.figures = metrics.fleet_text(door.troupe.settings)
    v1 = APIRouter(prefix=PREFIX, responses=problems(*EVERYWHERE))
    for router in ROUTERS:
        v1.include_router(router)
    app.include_router(v1)
    app.include_router(health.router, responses=problems(400, 413))
    app.include_router(metrics.router, responses=problems(400, 413))
    catch_all(app)
    app.add_middleware(cast(Any, Auditing), door=door)
    settings = door.settings
    app.add_middleware(
        cast(Any, Bounds),
        max_bytes=settings.api_max_body_bytes,
        max_upload_bytes=settings.api_max_upload_bytes,
        max_depth=settings.api_max_depth,
        is_known=partial(is_known, door),
    )
    app.openapi = _openapi(app)
    return app


def _lifespan(door: Door, beside: Callable[[Door], AbstractAsyncContextManager[None]] | None) -> Lifespan:
    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncGenerator[None]:
        door.troupe.share_events()
        try:
            if beside is None:
                yield
            else:
                async with beside(door):
                    yield
        finally:
            door.closing.set()
            await door.troupe.close()

    return run


def _openapi(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The document, with the schema of problems that every operation refers to."""
    make = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = make()
            schemas = found.setdefault("components", {}).setdefault("schemas", {})
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            _as_clients_read(found)
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
        return cast("dict[str, Any]", app.openapi_schema)

    return document


def _as_clients_read(document: dict[str, Any]) -> None:
    """Say what other readers of the document understand: a pattern's end is `$`, and no query or header is null."""
    for operations in document["paths"].values():
        for one in operations.values():
            for parameter in one.get("parameters", ()):
                parameter["schema"] = _not_null(parameter["schema"])
    found: list[Any] = [document]
    while found:
        one = found.pop()
        if isinstance(one, dict):
            inner = cast("dict[str, Any]", one)
            if isinstance(inner.get("pattern"), str):
                inner["pattern"] = inner["pattern"].replace(r"\z", "$")
            found += inner.values()
        elif isinstance(one, list):
            found += cast("list[Any]", one)


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}
