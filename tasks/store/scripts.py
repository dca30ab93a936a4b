"""Lua scripts: loaded from files, sent by digest, sent whole when the server does not have them (restart, failover)."""

from collections.abc import Sequence
from hashlib import sha1
from importlib import resources
from typing import Final, cast

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError

READING: Final = frozenset(
    {"read", "read_step", "recall", "awaited", "survey", "calls_window", "session_read", "totals", "queues"}
    | {"alive", "enter", "page", "listed", "spent_day"}
)
"""Scripts that write nothing. They are sent as such, so that who may only read their keys can run them."""
ALONE: Final = (
    READING
    | {"announce", "lead", "tidy", "warm", "count_calls", "limit_trip", "tool_rate", "due_holds"}
    | {"hook_keep", "hook_arm", "hook_take", "hook_settle"}
)
"""Scripts that stand without the prelude of the job scripts."""

BEFORE: Final = ("prelude", "figures", "admission", "accounts", "waits", "board", "sessions", "steps")
"""What stands before the text of every other script."""
LIMITING: Final = frozenset({"limit_book", "limit_correct"})
"""Scripts that have a prelude of their own, `limit_bucket`, instead."""
SPENDING: Final = frozenset({"hold_day", "settle_day"})
"""Scripts that have `day` for a prelude."""

REFUSED_WHEN_FULL: Final = frozenset(
    {"submit", "seed", "report", "post", "reopen", "count_calls", "lead", "warm", "session_write"}
    | {"hold_day", "hook_keep"}
)
"""Scripts that Redis refuses at `maxmemory`, whole, before their first line. All others pass: what was accepted goes on
to its end, leases are kept, and jobs can be cancelled. So memory grows by the open jobs at most."""

Arg = str | int
Reply = object


class Script:
    """One Lua script."""

    def __init__(self, name: str) -> None:
        folder = resources.files("tasks.store") / "lua"
        text = (folder / f"{name}.lua").read_text()
        text = "".join((folder / f"{part}.lua").read_text() for part in _before(name)) + text
        # Redis reads the first line (since 7.0). With it, a script runs to its end or not at all.
        flags = " flags=no-writes" if name in READING else "" if name in REFUSED_WHEN_FULL else " flags=allow-oom"
        text = f"#!lua{flags}\n{text}"
        self.name = name
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: Redis, keys: Sequence[str], args: Sequence[Arg]) -> Reply:
        """Run it in one round trip; two after a server lost its scripts."""
        # The cluster's client would ask the server before each call which keys a read-only script has.
        reads = self.name in READING and not isinstance(redis, RedisCluster)
        by_digest, whole = (redis.evalsha_ro, redis.eval_ro) if reads else (redis.evalsha, redis.eval)
        try:
            return cast(Reply, await by_digest(self.digest, len(keys), *keys, *args))  # pyright: ignore[reportGeneralTypeIssues]
        except NoScriptError:
            return cast(Reply, await whole(self.text, len(keys), *keys, *args))  # pyright: ignore[reportGeneralTypeIssues]


def _before(name: str) -> tuple[str, ...]:
    if name in ALONE:
        return ()
    if name in LIMITING:
        return ("limit_bucket",)
    return ("day",) if name in SPENDING else BEFORE


SUBMIT: Final = Script("submit")
EXTEND: Final = Script("extend")
DISPATCH: Final = Script("dispatch")
CLAIM: Final = Script("claim")
HEARTBEAT: Final = Script("heartbeat")
SETTLE: Final = Script("settle")
POSTPONE: Final = Script("postpone")
GIVE_UP: Final = Script("give_up")
FALL_BACK: Final = Script("fall_back")
REOPEN: Final = Script("reopen")
END_JOB: Final = Script("end_job")
SWEEP: Final = Script("sweep")
TIDY: Final = Script("tidy")
PRUNE: Final = Script("prune")
UNLIST: Final = Script("unlist")
REPORT: Final = Script("report")
POST: Final = Script("post")
READ_BOARD: Final = Script("read_board")
RESERVE: Final = Script("reserve")
BOOK: Final = Script("book")
FREE: Final = Script("free")
REWIND: Final = Script("rewind")
PARK: Final = Script("park")
ADOPT: Final = Script("adopt")
OUTCOME: Final = Script("outcome")
HAND_OVER: Final = Script("hand_over")
SEED: Final = Script("seed")
GO_ON: Final = Script("go_on")
PAUSE: Final = Script("pause")
SESSION_WRITE: Final = Script("session_write")
SESSION_READ: Final = Script("session_read")
SESSION_DELETE: Final = Script("session_delete")
ANNOUNCE: Final = Script("announce")
ALIVE: Final = Script("alive")
COUNT_CALLS: Final = Script("count_calls")
CALLS_WINDOW: Final = Script("calls_window")
LEAD: Final = Script("lead")
WARM: Final = Script("warm")
READ: Final = Script("read")
READ_STEP: Final = Script("read_step")
RECALL: Final = Script("recall")
AWAITED: Final = Script("awaited")
SURVEY: Final = Script("survey")
TOTALS: Final = Script("totals")
QUEUES: Final = Script("queues")
RECHECK: Final = Script("recheck")
LIMIT_BOOK: Final = Script("limit_book")
LIMIT_CORRECT: Final = Script("limit_correct")
LIMIT_TRIP: Final = Script("limit_trip")
TOOL_RATE: Final = Script("tool_rate")
HOLD_DAY: Final = Script("hold_day")
SETTLE_DAY: Final = Script("settle_day")
DUE_HOLDS: Final = Script("due_holds")
SPENT_DAY: Final = Script("spent_day")
PAGE: Final = Script("page")
LISTED: Final = Script("listed")
ENTER: Final = Script("enter")
HOOK_KEEP: Final = Script("hook_keep")
HOOK_ARM: Final = Script("hook_arm")
HOOK_TAKE: Final = Script("hook_take")
HOOK_SETTLE: Final = Script("hook_settle")
