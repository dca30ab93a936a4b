"""Every route of the API, as the app itself knows it, and how each is asked for something that is there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from orchestrator.api.visitors import Needs, visitor_of
from orchestrator.mcp_door.serving import PATH as MCP
from tasks.access import Scope
from tests.api.scene import CSV, DOCUMENT, GUIDE, STEP, Grown, plan

OTHER: Final = GUIDE + b"Or not.\n"
JSONL: Final = {"Content-Type": "application/jsonl"}


@dataclass(frozen=True, slots=True)
class Route:
    """What the app says of one route."""

    name: str
    method: str
    path: str
    scope: Scope | None
    """What its dependencies ask for; None: any key will do."""
    operator: bool
    asks: bool
    """Whether it asks for a key at all."""

    @property
    def places(self) -> list[str]:
        """What its path names."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


def routes_of(app: FastAPI) -> list[Route]:
    """All of an app; those too that are no operations."""
    return [one for context in iter_route_contexts(app.routes) for one in _routes(context)]


def _routes(context: Any) -> Iterator[Route]:
    dependant = cast("Dependant | None", getattr(context, "dependant", None))
    calls = list(_calls(dependant)) if dependant is not None else []
    needs = [call for call in calls if isinstance(call, Needs)]
    scopes = {one.scope for one in needs}
    assert len(scopes) < 2, f"{context.path} asks for several scopes"
    for method in sorted(context.methods or {"*"}):
        yield Route(
            name=str(getattr(context, "unique_id", None) or context.path) if dependant else str(context.path),
            method=method,
            path=str(context.path),
            scope=scopes.pop() if scopes else None,
            operator=any(one.operator for one in needs),
            asks=visitor_of in calls,
        )


def _calls(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for one in dependant.dependencies:
        yield from _calls(one)


@dataclass(frozen=True, slots=True)
class Asking:
    """How a route is asked."""

    job: str = "done"
    """Which of a tenant's jobs it is about."""
    options: Callable[[Grown], dict[str, Any]] = field(default=lambda _: {})
    """What the request has beside its path."""
    answers: frozenset[int] = frozenset({200, 201, 202, 204})
    """What its owner is answered."""
    foreign: bool = True
    """Whether what its path names is another tenant's; else the name is a tenant's own, and may be used by all."""

    def names(self, of: Grown) -> dict[str, str]:
        """What the places of paths stand for, of what a tenant has."""
        job = str(getattr(of, self.job))
        return {"job": job, "step": STEP, "session": of.session, "name": of.base, "file": of.file, "key": of.key}

    def path(self, route: Route, of: Grown) -> str:
        """The path, for what a tenant has."""
        path, names = route.path, self.names(of)
        for place in route.places:
            path = path.replace(f"{{{place}}}", names[place])
        return path


def body(value: Any) -> Callable[[Grown], dict[str, Any]]:
    """A JSON body that is the same for all."""
    return lambda _: {"json": value}


def query(**params: Any) -> Callable[[Grown], dict[str, Any]]:
    """A query that is the same for all."""
    return lambda _: {"params": params}


LOOK: Final = Asking()
CONFLICT: Final = frozenset({409})
SUBMIT: Final = {"task": "Do.", "plan": plan("worker")}
SAVED: Final = {"agent_name": "troupe", "created_at": "2025-01-31T12:00:00Z", "updated_at": "2025-01-31T12:00:00Z"}

ASKED: Final[dict[str, Asking]] = {
    "access.audit": LOOK,
    "access.keys": LOOK,
    "access.make_key": Asking(options=body({"scopes": ["read"]})),
    "access.me": LOOK,
    "access.revoke_key": LOOK,
    "dead.drop": Asking("dead", answers=frozenset({204, 409})),
    "dead.list": LOOK,
    "dead.retry": Asking("dead", body({"steps": [STEP]}), frozenset({200, 409})),
    "dead.show": Asking("dead", answers=frozenset({200, 409})),
    "files.delete": LOOK,
    "files.list": LOOK,
    "files.upload": Asking(options=lambda _: {"files": {"f": ("more.csv", CSV)}}),
    "fleet.agents": LOOK,
    "fleet.metrics_endpoints": LOOK,
    "fleet.orchestrators": LOOK,
    "fleet.prune": Asking(options=body({"older_than_s": 1e8, "dry_run": True})),
    "fleet.queues": LOOK,
    "fleet.scale": LOOK,
    "fleet.statistics": LOOK,
    "fleet.tools": LOOK,
    "fleet.workers": LOOK,
    "health.metrics": LOOK,
    "jobs.advance": Asking("open"),
    "jobs.board": LOOK,
    "jobs.cancel": Asking("open"),
    "jobs.diff": Asking(options=lambda of: {"params": {"with": of.dead}}),
    "jobs.events": LOOK,
    "jobs.fork": Asking(options=body({"from_step": STEP})),
    "jobs.get": LOOK,
    "jobs.graph": LOOK,
    "jobs.ledger": LOOK,
    "jobs.list_jobs": LOOK,
    "jobs.pause": Asking("open"),
    "jobs.recording": LOOK,
    "jobs.replay": Asking(options=lambda of: {"content": of.recording, "headers": JSONL}),
    "jobs.result": LOOK,
    "jobs.resume": Asking("open"),
    "jobs.retry": Asking("dead", answers=frozenset({200, 409})),
    "jobs.status": LOOK,
    "jobs.step": LOOK,
    "jobs.steps": LOOK,
    "jobs.submit": Asking(options=body(SUBMIT)),
    "jobs.trace": LOOK,
    "knowledge.add_documents": Asking(
        options=lambda _: {"files": {"f": ("new.md", GUIDE + b"Or not.\n")}}, foreign=False
    ),
    "knowledge.delete": LOOK,
    "knowledge.documents": LOOK,
    "knowledge.get": LOOK,
    "knowledge.list": LOOK,
    "knowledge.remove_document": Asking(options=query(path=DOCUMENT)),
    "knowledge.search": Asking(options=query(q="refund")),
    "people.answer": Asking("asking", body({"text": "2024"}), frozenset({200, 409})),
    "people.approve": Asking("asking", answers=CONFLICT),
    "people.asked": LOOK,
    "people.deny": Asking("asking", answers=CONFLICT),
    "sessions.append": Asking(options=body({"role": "user", "content": "Hi."})),
    "sessions.delete": LOOK,
    "sessions.get": LOOK,
    "sessions.list": LOOK,
    "sessions.messages": LOOK,
    "sessions.save": Asking(
        options=lambda of: {"json": {"session_id": of.session, **SAVED}}, answers=frozenset({200, 409})
    ),
    "sessions.send": Asking(options=body({"text": "Hi.", "plan": plan("worker")})),
    "sessions.update_task_state": Asking(options=body({"changes": {"a": 1}})),
}
"""Every route that asks for a key. A new one has to be added here, or the tests of all routes fail."""

OPEN: Final[dict[str, str]] = {
    "GET /healthz": "whether the process lives",
    "GET /readyz": "whether it may be given requests",
    "POST /v1/login": "has its key in its body",
    "GET /v1/login": "says whether there is a key, and never refuses",
    "POST /v1/logout": "makes a browser forget",
    "GET /openapi.json": "the document, which is public",
    "HEAD /openapi.json": "the document, which is public",
    "GET /": "the page, a static file",
    "HEAD /": "the page, a static file",
    "GET /web/{version}/{name}": "the page's own files",
    "HEAD /web/{version}/{name}": "the page's own files",
}
"""Routes that ask for no key, and what they give to everybody."""

GATED: Final = {f"{method} {MCP}" for method in ("GET", "HEAD", "POST", "DELETE")}
"""Routes with a gate of their own, which lets in whom the API lets in."""
