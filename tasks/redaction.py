"""Keeps secrets out of what people see: logs, events, records of tool calls.

Three ways: a field whose name says that it is a secret is masked whole; in every other text, what looks like a key, a
token or a password is, and what is known to be secret where the code runs (`hide_here`). Rather too much than too
little: nothing that computes reads what was redacted.
"""

import re
from collections.abc import Collection, Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, cast

from pydantic import JsonValue

MASK: Final = "***"
STEERING: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but line feeds and tabs: they steer terminals, and rich leaves them as they are."""
MAX_DEPTH: Final = 64
"""Nesting of a value; what is deeper is left out."""
SHORTEST_ECHO: Final = 4
"""Characters of a known secret below which it is not looked for in other texts: `1` would be everywhere."""

MAX_KNOWN: Final = 500
"""Texts that are known in one place: each is looked for in every line that is logged there."""

_NAMES: Final = (
    "password|passwd|passphrase|pwd|secret|secret[_-]?key|api[_-]?key|access[_-]?key|access[_-]?key[_-]?id|private[_-]?key"
    "|token|credentials?"
)
_NAMED: Final = re.compile("(?:" + re.sub(r"\[_-\]\?|-", "", _NAMES) + "|authorization|cookie)$")
_SCHEME: Final = "(?i:bearer|basic|token|digest|apikey|negotiate)"
_QUOTED: Final = r'"(?:\\.|[^"\\])*(?:"|\Z)|' + r"'(?:\\.|[^'\\])*(?:'|\Z)" + r'|\\"[^"]*(?:"|\Z)'
# Every pattern is linear: a key core is looked for without what stands before it, and repeats are bounded or possessive
# by what follows them. A tool's output may be 20,000 characters of anything.
_PATTERNS: Final = tuple(
    (re.compile(pattern), f"{shown}{MASK}{after}")
    for pattern, shown, after in (
        (r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|\Z)", "", ""),
        (r"(\b[A-Za-z][A-Za-z0-9+.-]{1,30}://[^\s/:@]{0,256}:)[^\s/?#]+@", r"\1", "@"),
        (r"((?i:cookie)\\?[\"']?\s{0,5}[:=]\s{0,5}\\?[\"']?)[^\n\"'\\]+", r"\1", ""),
        (rf"((?i:authorization)\\?[\"']?\s{{0,5}}[:=]\s{{0,5}}\\?[\"']?(?:{_SCHEME}\s+)?)[^\s\"',;}}\\]+", r"\1", ""),
        (rf"((?i:{_NAMES})\\?[\"']?\s{{0,5}}[:=]\s{{0,5}})(?:{_QUOTED}|[^\s\"',;&}}\]\\]+)", r"\1", ""),
        (r"((?i:\bbearer)\s+)[A-Za-z0-9._~+/=-]{16,}", r"\1", ""),
        (r"sk-ant-[A-Za-z0-9_-]{4,}", "sk-ant-", ""),
        (r"\bsk-[A-Za-z0-9_-]{20,}", "", ""),
        (r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA)[0-9A-Z]{16}\b", "", ""),
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})", "", ""),
        (r"\b(?:xox[abeoprs]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{20,}|[rs]k_(?:live|test)_[A-Za-z0-9]{10,})", "", ""),
        (r"trp_[A-Za-z0-9_-]{11,}", "trp_", ""),
        (r"\b(?:npm_|hf_|dop_v1_)[A-Za-z0-9]{20,}", "", ""),
        (r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?", "", ""),
    )
)


REMEMBERED_CHARS: Final = 64
"""Characters up to which a text and what was left of it are remembered."""
REMEMBERED: Final = 4096
"""Texts that are."""


class Secrets:
    """Texts that are known to be secret in one place, as in one step. They may become more."""

    def __init__(self) -> None:
        self.texts: frozenset[str] = frozenset()

    def add(self, texts: Collection[str]) -> None:
        """Know these too; no more than MAX_KNOWN are kept."""
        room = MAX_KNOWN - len(self.texts)
        if texts and room > 0:  # into a new set: threads that log may be going through the old one
            self.texts |= frozenset(sorted(texts)[:room])


_here: ContextVar[Secrets | None] = ContextVar("troupe_secrets", default=None)


def hide_here(secrets: Secrets) -> None:
    """Mask these texts in whatever this asyncio task, or thread, and those that it starts, logs and reports."""
    _here.set(secrets)


def excerpt(text: str, chars: int) -> str:
    """The beginning of a text, without secrets: masked before it is cut, for half a secret does not look like one."""
    return redact_text(text[: chars * 4 + 1000])[:chars]  # masking takes time; what is masked becomes shorter


def redact_text(text: str, secrets: Collection[str] = ()) -> str:
    """The text without what looks like a secret, without the given ones, and without those that are known here."""
    known = _here.get()
    every = frozenset(secrets) | known.texts if known is not None else secrets
    for secret in sorted(every, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _short(text) if len(text) <= REMEMBERED_CHARS else _masked(text)


def _masked(text: str) -> str:
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


_short: Final = lru_cache(maxsize=REMEMBERED)(_masked)
"""The same for names and ids, which come again in each line of a log: fourteen patterns cost more than the line."""


def redact(value: JsonValue, names: Collection[str] = (), secrets: Collection[str] = ()) -> JsonValue:
    """A copy of JSON data without secrets.

    Args:
        names: Further fields to mask, whatever they hold, at any depth.
        secrets: Texts to mask wherever they stand; see `secrets_in`.
    """
    return cast("JsonValue", _redact(value, names, secrets, 0))


@lru_cache(maxsize=REMEMBERED)
def is_secret_name(name: str) -> bool:
    """Whether a field of that name holds a secret: `api_key`, `Authorization`, `dbPassword` …"""
    return _NAMED.search(re.sub(r"[^a-z]", "", name.lower())) is not None


def secrets_in(value: JsonValue, names: Collection[str]) -> frozenset[str]:
    """The texts under the fields `names` and under fields named like secrets: to be masked where they come up again."""
    found: set[str] = set()
    _collect(value, names, False, found, 0)
    return frozenset(found)


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: the event without secrets. Stands after what formats exceptions, before the renderer."""
    return cast("dict[str, Any]", _redact(event, (), (), 0))


def _redact(value: object, names: Collection[str], secrets: Collection[str], depth: int) -> object:
    if isinstance(value, str):
        return redact_text(value, secrets)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {
            redact_text(key, secrets) if isinstance(key, str) else key: MASK
            if item not in (None, "") and not isinstance(item, bool) and _hidden(key, names)
            else _redact(item, names, secrets, depth + 1)
            for key, item in items
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, names, secrets, depth + 1) for item in cast("Collection[object]", value)]
    shown = repr(value)  # what a renderer would write
    safe = redact_text(shown, secrets)
    return value if safe == shown else safe


def _hidden(key: object, names: Collection[str]) -> bool:
    return isinstance(key, str) and (key in names or is_secret_name(key))


def _collect(value: JsonValue, names: Collection[str], hidden: bool, found: set[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            _collect(item, names, hidden or _hidden(key, names), found, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _collect(item, names, hidden, found, depth + 1)
    elif hidden and isinstance(value, str | int | float) and len(str(value)) >= SHORTEST_ECHO:
        found.add(str(value))
