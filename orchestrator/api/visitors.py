"""Who a request is from, and what they may do."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope as Received

from orchestrator.api.door import Door, TheDoor
from orchestrator.api.loopback import is_loopback
from tasks.access import OPERATOR, ApiKey, Scope, TenantLimits, allows
from tasks.errors import StoreUnavailable
from tasks.library_log import LibraryLog
from tasks.refusals import NotAllowed, Unauthenticated
from tasks.store.access import KEY_TEXT
from tasks.tenancy import DEFAULT_TENANT

COOKIE: Final = "troupe_key"
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

log = LibraryLog("troupe.api")
_told_at = float("-inf")

bearer: Final = HTTPBearer(auto_error=False, description="An API key: `troupe keys create`.", scheme_name="key")
cookie: Final = APIKeyCookie(name=COOKIE, auto_error=False, description="Set by /v1/login.", scheme_name="cookie")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose request it is."""

    tenant: str
    """A tenant, or `*`: an operator, who sees all of them."""
    scopes: frozenset[Scope]
    key: str | None = None
    """Id of the key; None where no keys are needed."""
    name: str = ""
    limits: TenantLimits = field(default_factory=TenantLimits)
    left: timedelta | None = None
    """How long the key is still good for; None: until it is revoked."""

    @property
    def operator(self) -> bool:
        """Whether it sees all tenants."""
        return self.tenant == OPERATOR

    @property
    def own(self) -> str:
        """The tenant that what it makes belongs to, where nothing else is said."""
        return DEFAULT_TENANT if self.operator else self.tenant

    @property
    def keyless(self) -> bool:
        """Whether no keys are needed here."""
        return self.key is None

    def sees(self, tenant: str | None) -> bool:
        """Whether what is of a tenant is for these eyes. None: it is not there at all."""
        return tenant is not None and (self.operator or tenant == self.tenant)

    def may(self, wanted: Scope) -> bool:
        """Whether its key has this scope, or one that stands for it."""
        return allows(self.scopes, wanted)


KEYLESS: Final = Visitor(tenant=OPERATOR, scopes=frozenset(Scope), name="this machine")


async def visitor_of(
    request: Request,
    door: TheDoor,
    header: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    kept: Annotated[str | None, Security(cookie)],
) -> Visitor:
    """Whose request it is. One round trip to the store, so that a revoked key is refused at once.

    Raises:
        Unauthenticated: no key, or one that is not valid.
        NotAllowed: no key is needed here, and it comes from elsewhere; or with a cookie, from another page.
        RateLimited: its tenant has sent as many in this minute as it may.
    """
    if header is None and request.headers.get("authorization"):
        raise Unauthenticated("the Authorization header is not of the form: Bearer trp_…")
    text = header.credentials if header is not None else kept
    try:
        entry = await door.access.enter(text)
    except Unauthenticated as error:
        if text is not None:
            _tell_refused(text, request, str(error))
        raise
    if entry.key is None:
        check_local(request.client.host if request.client else "", request.headers, request.method)
        found = replace(KEYLESS, limits=entry.limits)
    else:
        if header is None:
            check_same_origin(request.headers, request.method)
        found = of_key(entry.key, entry.limits)
        await door.access.count_request(found.tenant, found.limits)
    request.state.visitor = found
    request.state.shown = text
    return found


def _tell_refused(text: str, request: Request, reason: str) -> None:
    """A line in the log, one a second at most: nobody is to fill it."""
    global _told_at
    now = time.monotonic()
    if now >= _told_at + 1:
        _told_at = now
        match = KEY_TEXT.fullmatch(text)
        peer = request.client.host if request.client else ""
        log.warning("key_refused", key=match[1] if match else None, address=peer, reason=reason)


async def is_known(door: Door, scope: Received) -> bool:
    """Whether a request's key is good, or none is needed. True too while nobody can tell: that is said later."""
    request = Request(scope)
    words = request.headers.get("authorization", "").split()
    text = words[-1] if words else request.cookies.get(COOKIE)
    try:
        return await _is_good(door, text)
    except StoreUnavailable:
        return True


async def may_still(request: Request, door: Door) -> bool:
    """Whether the key of a request that is still being answered is still good."""
    return await _is_good(door, request.state.shown)


async def _is_good(door: Door, text: str | None) -> bool:
    try:
        await door.access.enter(text)
    except Unauthenticated:
        return False
    return True


def of_key(key: ApiKey, limits: TenantLimits) -> Visitor:
    """Who holds a key."""
    left = None if key.expires_at is None else max(key.expires_at - datetime.now(UTC), timedelta(seconds=1))
    return Visitor(key.tenant, frozenset(key.scopes), key.id, key.name, limits, left)


def check_local(peer: str, headers: Mapping[str, str], method: str) -> None:
    """Where no key was ever made: only this machine may come in, and no page of another site through its browser.

    Raises:
        NotAllowed: it comes from elsewhere.
    """
    host = urlsplit(f"//{headers.get('host', '')}").netloc.rpartition("@")[2].lower()
    name = host if host.endswith("]") else host.rsplit(":", 1)[0]
    if not is_loopback(peer) or name not in LOOPBACK_NAMES or any(one in headers for one in FORWARDED):
        raise NotAllowed("no API key was made yet, so only this machine may come in: troupe keys create")
    check_same_origin(headers, method)


def check_same_origin(headers: Mapping[str, str], method: str) -> None:
    """A page of another site cannot act with what this browser holds.

    Raises:
        NotAllowed: it is one.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    foreign = site not in {None, "same-origin", "none"} or (
        origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    )
    opened = method in SAFE and headers.get("sec-fetch-mode") == "navigate"  # a link was followed: nobody else reads it
    if foreign and not opened:
        raise NotAllowed("another site's page asks; it needs a key of its own")


@dataclass(frozen=True, slots=True)
class Needs:
    """The dependency of a route that asks for a scope. The test of all routes reads it."""

    scope: Scope
    operator: bool = False
    """Whether it is for operators only."""

    async def __call__(self, visitor: Annotated[Visitor, Depends(visitor_of)]) -> Visitor:
        """Let in who may.

        Raises:
            NotAllowed: the key has not the scope.
        """
        if not visitor.may(self.scope):
            raise NotAllowed(f"this key has not the scope {self.scope.value!r}")
        if self.operator and not visitor.operator:
            raise NotAllowed("this is for operators: keys that were made with --operator")
        return visitor


AnyVisitor = Annotated[Visitor, Depends(visitor_of)]
Reader = Annotated[Visitor, Depends(Needs(Scope.READ))]
Submitter = Annotated[Visitor, Depends(Needs(Scope.SUBMIT))]
Approver = Annotated[Visitor, Depends(Needs(Scope.APPROVE))]
Administrator = Annotated[Visitor, Depends(Needs(Scope.ADMIN))]
Operator = Annotated[Visitor, Depends(Needs(Scope.READ, operator=True))]
Chief = Annotated[Visitor, Depends(Needs(Scope.ADMIN, operator=True))]
