"""Middleware: what was changed, or refused to somebody with a key, is written down before it is answered."""

from datetime import UTC, datetime
from typing import Final, cast

from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api.door import Door
from orchestrator.api.naming import operation
from orchestrator.api.visitors import SAFE, Visitor
from tasks.access import Audited
from tasks.errors import TroupeError
from tasks.library_log import LibraryLog
from tasks.store.audit import AuditLog

log = LibraryLog("troupe.api")
REFUSED: Final = 403
FAILED: Final = 400
PLACES: Final = ("job", "session", "key", "name", "file", "step")
"""Parts of paths that say what something was done to."""


class Auditing:
    """Writes a line for each request that changes something, and each that was refused for want of a right."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app = app
        self.audit: AuditLog = door.audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._write(scope, int(message["status"]))
            await send(message)

        await self.app(scope, receive, tell)

    async def _write(self, scope: Scope, status: int) -> None:
        visitor = cast("Visitor | None", scope["state"].get("visitor"))
        if visitor is None or (scope["method"] in SAFE and status != REFUSED):
            return
        line = Audited(
            at=datetime.now(UTC),
            key=visitor.key,
            tenant=visitor.tenant,
            action=_action(scope),
            object=_object(scope),
            outcome="ok" if status < FAILED else str(scope["state"].get("code", status)),
            address=_address(scope),
        )
        try:
            await self.audit.write(line)
        except TroupeError as error:  # what was done is done; the log has it at least
            log.warning("audit_not_written", action=line.action, object=line.object, key=line.key, reason=str(error))


def _action(scope: Scope) -> str:
    route: object = scope.get("route")
    return operation(route) if isinstance(route, APIRoute) else str(scope["path"])[:100]


def _object(scope: Scope) -> str:
    named = cast("dict[str, object]", scope.get("path_params", {}))
    made = scope["state"].get("made")
    found = [str(named[place])[:100] for place in PLACES if place in named]
    return "/".join([*found, *([str(made)] if made else [])])


def _address(scope: Scope) -> str:
    client = cast("tuple[str, int] | None", scope.get("client"))
    return client[0] if client else ""
