"""The provider's prompt cache, as far as requests can tell.

A prefix (tools, then system, then messages) is cached up to each block with `cache_control`, if it is long enough. It
can be read from the moment at which the answer to the request that wrote it begins, and for its TTL from its last use:
requests with one prefix that are sent together all pay for it.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching
"""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from workers.llm.tokens import estimate_tokens

Json = dict[str, Any]

MAX_BREAKPOINTS: Final = 4
LOOK_BACK: Final = 20
"""Blocks before a breakpoint that are searched for an older entry."""
MINIMUM: Final = 1024
"""Tokens below which a prefix is not cached; the provider's is 512 to 4096, by model."""
TTL_S: Final = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True)
class Piece:
    """One block of a prompt, in the order in which it is cached."""

    content: str
    ttl: str | None
    """`5m` or `1h` where a breakpoint stands."""


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What one request took from the cache, and will put there."""

    uncached: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0
    entries: tuple[tuple[str, str], ...] = ()
    """Prefix and TTL of each entry; written by `PromptCache.begin`."""

    def usage(self) -> Json:
        """As the fields of `usage`."""
        created = {"ephemeral_5m_input_tokens": self.written_5m, "ephemeral_1h_input_tokens": self.written_1h}
        return {
            "input_tokens": self.uncached,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_read_input_tokens": self.read,
            **({"cache_creation": created} if self.entries or self.read else {}),
        }


class PromptCache:
    """Entries of all keys and models. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float], minimum: int = MINIMUM) -> None:
        self._clock = clock
        self._minimum = minimum
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def look_up(self, key: str, body: Json) -> CacheUse:
        """What a request finds; counts as a use of what it reads.

        Args:
            key: API key; nobody reads what another one wrote.
        """
        all_pieces = list(pieces(body))
        if not any(piece.ttl for piece in all_pieces):
            return CacheUse(estimate_tokens([body.get("system", ""), body.get("tools", []), body["messages"]]))
        sums, chain = _sums(all_pieces), _chain(f"{key} {body['model']}", all_pieces)
        marks = [at for at, piece in enumerate(all_pieces) if piece.ttl and sums[at] >= self._minimum]
        with self._lock:
            found = self._longest(marks, chain, all_pieces)
        read = sums[found] if found is not None else 0
        last = sums[marks[-1]] if marks else 0
        hour = max((sums[at] for at in marks if all_pieces[at].ttl == "1h"), default=0)
        written_1h = max(0, hour - read)
        return CacheUse(
            uncached=sums[-1] - max(last, read),
            read=read,
            written_1h=written_1h,
            written_5m=max(0, last - read - written_1h),
            entries=tuple((chain[at], all_pieces[at].ttl or "5m") for at in marks),
        )

    def begin(self, use: CacheUse) -> None:
        """The answer begins: from now on others can read what the request wrote."""
        with self._lock:
            for prefix, ttl in use.entries:
                self._until[prefix] = self._clock() + TTL_S.get(ttl, TTL_S["5m"])

    def _longest(self, marks: list[int], chain: list[str], all_pieces: list[Piece]) -> int | None:
        now = self._clock()
        for mark in reversed(marks):
            for at in range(mark, max(-1, mark - LOOK_BACK - 1), -1):
                if self._until.get(chain[at], 0.0) > now:
                    self._until[chain[at]] = now + TTL_S.get(all_pieces[at].ttl or "5m", TTL_S["5m"])
                    return at
        return None


def pieces(body: Json) -> Iterator[Piece]:
    """The blocks of a prompt in order. A top-level `cache_control` is a breakpoint on the last of them."""
    tools: list[Json] = body.get("tools") or []
    system: str | list[Json] = body.get("system") or []
    found = [("tools", tool) for tool in tools]
    found += [("system", block) for block in _blocks(system)]
    for message in cast("list[Json]", body["messages"]):
        found += [(str(message["role"]), block) for block in _blocks(message["content"])]
    for at, (place, block) in enumerate(found):
        control = block.get("cache_control") or (body.get("cache_control") if at == len(found) - 1 else None)
        # Keys stay in their order: a request whose fields change places misses the cache of the real API too.
        bare = {name: value for name, value in block.items() if name != "cache_control"}
        yield Piece(json.dumps([place, bare], ensure_ascii=False), control and str(control.get("ttl", "5m")))


def breakpoints(body: Json) -> int:
    """How many there are in a request."""
    return sum(piece.ttl is not None for piece in pieces(body))


def _blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _sums(all_pieces: list[Piece]) -> list[int]:
    sums: list[int] = []
    for piece in all_pieces:
        sums.append((sums[-1] if sums else 0) + estimate_tokens(piece.content))
    return sums


def _chain(start: str, all_pieces: list[Piece]) -> list[str]:
    """A digest of each prefix."""
    digest = start
    chain: list[str] = []
    for piece in all_pieces:
        digest = hashlib.sha256(f"{digest}\n{piece.content}".encode("utf-8", "replace")).hexdigest()
        chain.append(digest)
    return chain
