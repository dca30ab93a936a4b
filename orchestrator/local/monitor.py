"""Flower on this machine alone, without a password: open to programs here, shut to web pages from elsewhere.

A browser sends requests to loopback for any page that asks: a form or a fetch (told by Origin, Referer and
Sec-Fetch-Site), or, when the page's name was made to resolve to 127.0.0.1, one that looks like the page's own (told by
Host). Unguarded, each of them could shut workers down or publish messages.
"""

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
READING: Final = frozenset({"GET", "HEAD"})


def guard() -> list[Rule]:
    """A Tornado rule that takes the requests to be refused; the others go on to the application's own rules."""
    return [Rule(_Foreign(), _Refusal)]


def refusal(method: str, host: str, headers: Mapping[str, str]) -> str | None:
    """Why a request is refused; None when a program of this machine, or a page of Flower itself, may have sent it.

    Args:
        host: The Host header: name and port that the sender believes to talk to.
    """
    if _name(f"//{host}") not in LOOPBACK:
        return f"this Flower has no password and answers to loopback names only, not to {host!r}"
    origin = headers.get("Origin")
    if origin is not None and not _is_own(origin, host):
        return "a page from elsewhere may not use it"
    referer = headers.get("Referer")
    if method not in READING and origin is None and referer is not None and not _is_own(referer, host):
        return "a page from elsewhere may not change anything here"
    follows_link = method in READING and headers.get("Sec-Fetch-Mode") == "navigate"
    if headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"} and not follows_link:
        return "a page from elsewhere may not use it"
    return None


def _is_own(address: str, host: str) -> bool:
    try:
        return urlsplit(address).netloc.lower() == host.lower()
    except ValueError:
        return False


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


class _Foreign(Matcher):
    """Requests that are to be refused."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        reason = refusal(request.method or "", request.host, request.headers)
        return None if reason is None else {"target_kwargs": {"reason": reason}}


class _Refusal(RequestHandler):
    """Answers 403 to whatever is asked."""

    def initialize(self, reason: str) -> None:
        self.reason = reason

    def check_xsrf_cookie(self) -> None:
        """It is refused anyway, and for another reason than a missing cookie."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        cast(Any, self).finish(f"{self.reason}; set FLOWER_BASIC_AUTH=user:password to open Flower to others\n")
