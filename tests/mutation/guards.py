"""The guards: where each stands, what it is without it, and the tests that should miss it."""

from typing import Final, NamedTuple


class Guard(NamedTuple):
    """One guard and its removal."""

    name: str
    """What it keeps from happening, in short."""
    file: str
    text: str
    """Found once in the file."""
    without: str
    tests: tuple[str, ...]


LUA: Final = "tasks/store/lua/"
MOVES: Final = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        *("moves_legal", "moves_attempts", "moves_graph", "moves_submit", "admission", "fallbacks", "limits", "dead"),
        *("damaged_records", "model_conformance"),
    )
)
ACTING: Final = tuple(
    f"tests/integration/test_{name}.py" for name in ("orchestrator_acting", "orchestrator", "fallbacks", "limits")
)
DOING: Final = (
    "tests/unit/test_leases.py",
    "tests/unit/test_handlers.py",
    "tests/unit/test_runner.py",
    "tests/unit/test_worker_process.py",
    "tests/integration/test_worker_runner.py",
)


SESSIONS: Final = ("tests/integration/test_session_store.py", "tests/integration/test_session_turns.py")


def _session(name: str, script: str, text: str, without: str = "") -> Guard:
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, SESSIONS)


def _board(name: str, script: str, text: str, without: str = "") -> Guard:
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, ("tests/integration/test_board.py",))


def _held(name: str, script: str, text: str, without: str = "") -> Guard:
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, ("tests/integration/test_step_by_step.py",))


WAITING: Final = tuple(
    f"tests/integration/test_{name}.py" for name in ("parking", "pausing", "delegated_steps", "hand_offs")
)


def _waiting(name: str, script: str, text: str, without: str = "") -> Guard:
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, WAITING)


def _seen(name: str, script: str, text: str, without: str = "") -> Guard:
    tests = ("tests/integration/test_calls.py", "tests/integration/test_figures.py")
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, tests)


def _lua(name: str, script: str, text: str, without: str = "") -> Guard:
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, MOVES)


def _again(name: str, script: str, text: str, without: str = "") -> Guard:
    return Guard(f"{script}: {name}", f"{LUA}{script}.lua", text, without, ("tests/integration/test_replanning.py",))


def _door(name: str, file: str, text: str, without: str, tests: str) -> Guard:
    return Guard(name, file, text, without, (f"tests/integration/test_{tests}.py",))


def _forking(name: str, file: str, text: str, without: str = "") -> Guard:
    return Guard(name, file, text, without, ("tests/integration/test_forking.py",))


def _acting(name: str, file: str, text: str, without: str) -> Guard:
    return Guard(name, file, text, without, ACTING)


def _doing(name: str, file: str, text: str, without: str) -> Guard:
    return Guard(name, file, text, without, DOING)


CLAIM: Final = "local stale = not may(ARGV[3], facts[1]) or facts[2] ~= attempt"
MAY_AND_ATTEMPT: Final = "may(ARGV[3], facts[1]) and facts[2] == attempt"
NEITHER: Final = "not may(ARGV[3], facts[1]) or facts[2] ~= attempt"
GIVE_UP: Final = "not may(ARGV[3], facts[1]) or (facts[2] or '0') ~= attempt"
REOPENS: Final = "not may(ARGV[3], facts[1]) or (facts[2] or '0') ~= ARGV[at + 1]"
NEXT: Final = "may(ARGV[3], facts[1]) and tonumber(facts[2] or '0') + 1 == tonumber(attempt)"
AGAIN: Final = "may(ARGV[4], facts[1]) and facts[2] == attempt"
ENDED: Final = "if status ~= 'pending' and status ~= 'in_progress' then return status end"
EXTENDS: Final = "if (facts[1] ~= 'pending' and facts[1] ~= 'in_progress') or facts[2] ~= ARGV[4] then return 0 end"
ACT: Final = "orchestrator/scheduling/acting.py"
RUN: Final = "workers/runner.py"
LEASE: Final = "workers/lease.py"

GUARDS: Final = (
    # The scripts' checks of status and attempt
    _lua("the status is checked", "dispatch", NEXT, NEXT.partition(" and ")[2]),
    _lua("the attempt is the next one", "dispatch", NEXT, NEXT.partition(" and ")[0]),
    _lua("published again only while dispatched", "dispatch", AGAIN, AGAIN.partition(" and ")[2]),
    _lua("published again only as the same attempt", "dispatch", AGAIN, AGAIN.partition(" and ")[0]),
    _lua("an entry that is read twice is published again", "dispatch", AGAIN, "false"),
    _lua("the status is checked", "claim", CLAIM, "local stale = facts[2] ~= attempt"),
    _lua("the attempt is checked", "claim", CLAIM, "local stale = not may(ARGV[3], facts[1])"),
    _lua("only steps of submitted jobs are dispatched", "dispatch", " or not is_accepted(job)"),
    _lua("only steps of submitted jobs are claimed", "claim", " or not is_accepted(job)"),
    _lua("a repeated claim is known by its token", "claim", " and facts[4] == ARGV[9]"),
    _lua("a repeated claim is answered", "claim", "local again = facts[1] == 'running'", "local again = false"),
    _lua("the status is checked", "heartbeat", MAY_AND_ATTEMPT, "facts[2] == attempt"),
    _lua("the attempt is checked", "heartbeat", MAY_AND_ATTEMPT, "may(ARGV[3], facts[1])"),
    _lua("the status is checked", "report", NEITHER, "facts[2] ~= attempt"),
    _lua("the attempt is checked", "report", NEITHER, "not may(ARGV[3], facts[1])"),
    _lua("the job is there", "settle", "if not facts[1] then return 'gone' end"),
    _lua("the attempt is checked", "settle", "if facts[2] ~= attempt then return 'superseded' end"),
    _lua("the status is checked", "settle", "if not may(ARGV[3], facts[1]) then return facts[1] end"),
    _lua("the status is checked", "postpone", NEITHER, "facts[2] ~= attempt"),
    _lua("the attempt is checked", "postpone", NEITHER, "not may(ARGV[3], facts[1])"),
    _lua("decided once", "postpone", "if redis.call('ZSCORE', timers, job.id .. ':' .. step) then return 0 end"),
    _lua("the status is checked", "give_up", GIVE_UP, "(facts[2] or '0') ~= attempt"),
    _lua("the attempt is checked", "give_up", GIVE_UP, "not may(ARGV[3], facts[1])"),
    _lua("a final job stays", "end_job", ENDED),
    _lua("the job is not final", "extend", EXTENDS, "if facts[2] ~= ARGV[4] then return 0 end"),
    _lua(
        "the revision is checked",
        "extend",
        EXTENDS,
        "if facts[1] ~= 'pending' and facts[1] ~= 'in_progress' then return 0 end",
    ),
    _lua("the job is not there yet", "submit", "if redis.call('EXISTS', job.key) == 1 then", "if false then"),
    _lua(
        "a key whose job is gone is free",
        "submit",
        "if split and redis.call('EXISTS', base .. string.sub(first, 1, split - 1)) == 1 then",
        "if split then",
    ),
    _lua("the fleet is full", "admission", "then return 'jobs' end", "then end"),
    _lua("the tenant is full", "admission", "then return 'tenant' end", "then end"),
    _lua("a retry opens no job too many", "reopen", "if full then return 'full ' .. full end\n"),
    _lua("children are not retried alone", "reopen", "if parts then return 'child ' .. names[1] end"),
    _lua("the status is checked", "fall_back", GIVE_UP, "(facts[2] or '0') ~= attempt"),
    _lua("the attempt is checked", "fall_back", GIVE_UP, "not may(ARGV[3], facts[1])"),
    _lua("nobody takes over when the time is over", "fall_back", "then return 3 end", "then end"),
    _lua("the old line is left", "fall_back", "if facts[1] == 'ready' then leave_line(job, step) end\n"),
    _lua("the old slot is given back", "fall_back", "release(job, step)\n"),
    _lua("what is on its way to the old agent is stale", "fall_back", "fresh(job, step)\n"),
    _lua("the line is left", "give_up", "if facts[1] == 'ready' then leave_line(job, step) end\n"),
    _lua("the dead are listed", "give_up", "redis.call('ZADD', base .. 'dead', ms(now), job.id .. ':' .. step)\n"),
    _lua("the status is checked", "reopen", REOPENS, "(facts[2] or '0') ~= ARGV[at + 1]"),
    _lua("the attempt is checked", "reopen", REOPENS, "not may(ARGV[3], facts[1])"),
    _lua(
        "what was found is answered from",
        "give_up",
        "redis.call('HINCRBY', job.key, 'won', 1)",
        "local _",
    ),
    _lua("what a retried step found counts no more", "reopen", "if leaves_something(job, step) then won = won - 1 end"),
    _lua("a cancelled job stays", "reopen", "if of_job[1] == 'cancelled' then return 'cancelled' end\n"),
    _lua(
        "an answer that is being written stays",
        "reopen",
        "and facts[1] ~= 'blocked' then return 'closing' end",
        "and false then return '' end",
    ),
    _lua(
        "the answer waits for what is retried",
        "reopen",
        "elseif rest == 0 then return 'alone'",
        "elseif false then return ''",
    ),
    _lua(
        "what is on its way about a retried step is stale",
        "reopen",
        "if was[step] ~= 'skipped' then fresh(job, step) end\n",
    ),
    _lua(
        "a reopened job has a deadline, and is kept",
        "reopen",
        "  live_until(job, now + tonumber(ARGV[6]), tonumber(of_job[5]), KEYS[3] ~= job.key and KEYS[3] or nil)\n",
    ),
    _lua("a retry that comes too late is not made", "postpone", "if shown + delay >= ends then return 2 end\n"),
    _lua("no retry after the end", "postpone", "if shown >= ends then return 3 end\n"),
    # What the scripts do with timers
    _lua(
        "a wait that is too long is told of",
        "sweep",
        "if not ends or tonumber(ends) > now then return false end",
        "if true then return false end",
    ),
    _lua(
        "a wait is told of until somebody acts",
        "sweep",
        "overdue(job, step, facts[1], facts[2]) then\n      redis.call('ZADD', timers, ms(now + tonumber(ARGV[7])), ",
        "overdue(job, step, facts[1], facts[2]) then\n      redis.call('ZREM', timers, ",
    ),
    _lua(
        "a dispatched step's limit is its timer",
        "dispatch",
        "earliest(now + tonumber(ARGV[5]), facts[3], facts[4])",
        "now + tonumber(ARGV[5])",
    ),
    _lua(
        "a final job has no deadline any more",
        "sweep",
        "if status == 'pending' or status == 'in_progress' then",
        "if true then",
    ),
    _lua("a job's timer goes", "sweep", "    redis.call('ZREM', timers, member)\n    fail(", "    fail("),
    _lua("a damaged record stops no timer of others", "sweep", "pcall(act, member)", "true, act(member)"),
    _lua("a damaged record ends its job", "sweep", "pcall(fail, job, ARGV[12])", "false"),
    _lua(
        "a damaged record is not met again",
        "sweep",
        "  redis.call('ZREM', timers, member)\n  local ended",
        "  local ended",
    ),
    _lua("what cannot end is kept in mind", "sweep", "  if not ended then damage(member) end\n"),
    _lua(
        "a damaged job stops nobody behind it in a line",
        "admission",
        "pcall(grant_one, job, queue, line, tonumber(first[2]))",
        "true, grant_one(job, queue, line, tonumber(first[2]))",
    ),
    _lua(
        "a timer without a use goes", "sweep", "    else\n      redis.call('ZREM', timers, member)\n    end", "    end"
    ),
    _lua(
        "a step's message is looked for again and again",
        "sweep",
        "redis.call('ZADD', timers, ms(earliest(now + tonumber(ARGV[7]), ends[1], ends[2])), member)",
    ),
    _lua("a bounded number of timers", "sweep", ", 'LIMIT', 0, ARGV[6]"),
    _lua(
        "a retry has no timer",
        "admission",
        "  else redis.call('ZREM', timers, job.id .. ':' .. step) end\n",
        "  end\n",
    ),
    _lua(
        "an ended step has no timer",
        "steps",
        "  redis.call('HINCRBY', job.key, 'done', 1)\n  redis.call('ZREM', timers, job.id .. ':' .. step)",
        "  redis.call('HINCRBY', job.key, 'done', 1)",
    ),
    _lua(
        "an ended attempt has no timer",
        "steps",
        "'n:' .. step, 1) end\n  redis.call('ZREM', timers, job.id .. ':' .. step)",
        "'n:' .. step, 1) end",
    ),
    _lua("an ended job has no timer", "steps", "  redis.call('ZREM', timers, job.id)\n"),
    # What the end of a step does to others
    _lua("only a blocked step becomes ready", "steps", "now_is[1] == 'blocked' and runs", "runs"),
    _lua("only a blocked step is skipped", "steps", "now_is[1] == 'blocked' and skips", "skips"),
    _lua(
        "an ended step is not cancelled",
        "steps",
        "if is_open(redis.call('HGET', job.steps, 's:' .. step)) then",
        "if true then",
    ),
    # When a step begins, and when the answer waits for another plan
    _lua("a quorum is what was asked for", "steps", "tonumber(quorum or '1') or 1", "1"),
    _lua("late, one success is enough", "steps", "join == 'quorum' and not late and", "join == 'quorum' and"),
    _lua("late, it does not wait for the rest", "steps", "join == 'quorum' or late\n", "join == 'quorum'\n"),
    _lua(
        "nothing is skipped before all have ended",
        "steps",
        "return runs, rest == 0 and not runs",
        "return runs, not runs",
    ),
    _lua(
        "an optional step is done without",
        "steps",
        "local excused = ok or redis.call('HGET', job.steps, 'O:' .. step) == '1'",
        "local excused = ok",
    ),
    _lua(
        "a retry knows what is optional",
        "reopen",
        "elseif redis.call('HGET', job.steps, 'O:' .. before) ~= '1' then bad",
        "else bad",
    ),
    _forking(
        "submit: what is taken over is there",
        f"{LUA}submit.lua",
        "if redis.call('HEXISTS', source.results, 'r:' .. ARGV[at]) == 0 then",
        "if false then",
    ),
    _forking("submit: what is taken over counts as found", f"{LUA}submit.lua", "'won', taken)", "'won', 0)"),
    _forking(
        "submit: large results are taken over whole",
        f"{LUA}submit.lua",
        "    keep_apart(job, 'r:' .. name, redis.call('HGET', source.big, 'r:' .. name) or '')\n",
    ),
    _forking(
        "extend: one reused result is enough for any", f"{LUA}extend.lua", "if free or early then", "if free then"
    ),
    _forking(
        "a fork's request is what was asked and not how far the job had come",
        "tasks/store/jobs.py",
        'if reused is None else {"id", "traceparent", "plan"}',
        "",
    ),
    _forking(
        "nobody has to be alive for what is reused",
        "orchestrator/planning/check.py",
        "if step.id not in there]",
        "]",
    ),
    _forking("what is reused is not written anew", "orchestrator/planning/check.py", "if name in there:", "if False:"),
    _again("the answer waits for the other plan", "steps", "and runs and not waits then", "and runs then"),
    _again("a job without results waits for the other plan", "steps", "and skips and not waits then", "and skips then"),
    _again("optional steps are no reason", "steps", "not (wish == 'short' and bad)", "wish ~= 'short'"),
    _again(
        "it is planned again once",
        "extend",
        "redis.call('HDEL', job.key, 'plan', 'replan')",
        "redis.call('HDEL', job.key, 'plan')",
    ),
    _again(
        "an answer that is being written stays",
        "extend",
        "'s:' .. ARGV[at]) ~= 'blocked' then return 0",
        "'s:' .. ARGV[at]) == '' then return 0",
    ),
    _again("what is tried by hand is waited for", "extend", "  relink(ARGV[at], ARGV[at + 3])\n"),
    _again(
        "what only decides is no finding",
        "settle",
        "if redis.call('HEXISTS', job.steps, 'N:' .. step) == 0 then redis.call('HINCRBY', job.key, 'won', 1) end",
        "redis.call('HINCRBY', job.key, 'won', 1)",
    ),
    # What the scripts do with slots of queues
    _lua(
        "an ended step gives its slot back",
        "steps",
        "lose_calls(job, step)\n  release(job, step)\n  part_family",
        "lose_calls(job, step)\n  part_family",
    ),
    _lua(
        "an ended attempt gives its slot back",
        "steps",
        "  release(job, step)\n  end_attempt(",
        "  end_attempt(",
    ),
    _lua(
        "a slot is given back once", "admission", "if redis.call('HDEL', job.steps, 'g:' .. step) == 0 then return end"
    ),
    _lua(
        "only a ready step takes a slot",
        "admission",
        "if is[1] == 'ready' and not is[2] then",
        "if not is[2] then",
    ),
    _lua("a free slot is given on", "admission", "if redis.call('EXISTS', waits) == 1 then grant_all() end"),
    _lua("an ended job leaves the line", "steps", "  leave_lines(job)\n"),
    # The orchestrator
    _acting(
        "dispatch entries are deleted after their publish",
        ACT,
        "        try:\n            await self._publish(partition, entries)\n",
        "        await self.outbox.done(partition, entries)\n"
        "        try:\n            await self._publish(partition, entries)\n",
    ),
    _acting(
        "entries are deleted after they were acted on",
        ACT,
        "                if not await self._handled(entry):\n",
        "                await self.outbox.done(partition, [entry])\n"
        "                if not await self._handled(entry):\n",
    ),
    _acting("entries are deleted at all", ACT, "        await self.outbox.done(partition, [entry])\n", ""),
    _acting(
        "a plan is checked once",
        ACT,
        "if record.final or record.revision != (1 if entry.ref.step == REPAIR_STEP else 0):",
        "if record.final:",
    ),
    _acting("only lost messages are published again", ACT, "elif depth == 0 or overtaken:", "else:"),
    _acting("messages behind waiting ones are found", ACT, "elif depth == 0 or overtaken:", "elif depth == 0:"),
    _acting(
        "claimed attempts are not published again",
        ACT,
        "if record is None or record.status is not StepStatus.DISPATCHED or record.attempt != entry.ref.attempt:",
        "if record is None:",
    ),
    _acting(
        "a late word of a wait ends no later one",
        ACT,
        "if record is None or record.status.value != status or record.attempt != entry.ref.attempt:",
        "if record is None:",
    ),
    _acting("a retry without time is no retry", ACT, "if made in {Made.TOO_LATE, Made.OVER}:", "if False:"),
    _acting("a step that has a fallback is not given up", ACT, "        if heir is not None:\n", "        if False:\n"),
    _acting(
        "one defective entry stops no neighbours", ACT, "            if len(entries) > 1:\n", "            if False:\n"
    ),
    _acting(
        "entries of dead readers are taken over",
        "orchestrator/process.py",
        "                    if left:\n",
        "                    if False:\n",
    ),
    _acting(
        "entries of living readers are left to them",
        "tasks/store/outbox.py",
        "min_idle_time=idle_ms",
        "min_idle_time=0",
    ),
    _acting("lost streams are opened again", "tasks/store/outbox.py", "        await self.open(partition)\n\n", "\n"),
    Guard(
        "a step that kills its workers is stopped",
        "orchestrator/scheduling/decide.py",
        "if losses >= policy.max_losses:",
        "if False:",
        ("tests/unit/test_decide.py", *ACTING),
    ),
    Guard(
        "handing back counts for nothing",
        "orchestrator/scheduling/decide.py",
        "if failure.code == HANDED_BACK:",
        "if False:",
        ("tests/unit/test_decide.py", *ACTING),
    ),
    _lua("a repeated report writes nothing", "report", "if facts[3] == ARGV[7] then return 1 end\n"),
    Guard(
        "prune: what has not ended as wanted stays",
        f"{LUA}prune.lua",
        "may(ARGV[4], facts[1]) and ",
        "",
        ("tests/integration/test_pruning.py",),
    ),
    Guard(
        "prune: a key that has gone to another job stays",
        f"{LUA}prelude.lua",
        "return first and string.sub(first, 1, #job.id + 1) == job.id .. ' '",
        "return first",
        ("tests/integration/test_pruning.py",),
    ),
    _door(
        "a race takes no more than the day has",
        "tasks/store/lua/hold_day.lua",
        "total + amount > tonumber(ARGV[5])",
        "total > tonumber(ARGV[5])",
        "spending",
    ),
    _door("a job is held once", "tasks/store/lua/hold_day.lua", "if held then", "if false then", "spending"),
    _door(
        "what was settled is not held again",
        "tasks/store/lua/hold_day.lua",
        "tonumber(ARGV[4]) - settled",
        "tonumber(ARGV[4])",
        "spending",
    ),
    _door(
        "an end that is told late lets no hold of the next try go",
        "tasks/store/lua/settle_day.lua",
        "or since <= tonumber(ARGV[5])",
        "or true",
        "spending",
    ),
    _door(
        "an end is booked once",
        "tasks/store/lua/settle_day.lua",
        "tonumber(ARGV[4]) - settled",
        "tonumber(ARGV[4])",
        "spending",
    ),
    _door(
        "another day than that of the hold bears no cost",
        "tasks/store/lua/settle_day.lua",
        "if not held and more > 0 then",
        "if more > 0 then",
        "spending",
    ),
    _door(
        "what ended is looked at no more",
        "tasks/store/lua/day.lua",
        "redis.call('ZREM', KEYS[2], member)",
        "",
        "settling",
    ),
    _door(
        "holds are looked at by one process",
        "tasks/store/lua/due_holds.lua",
        "for _, member in ipairs(found) do redis.call('ZADD', KEYS[1], 'XX', string.format('%.0f', now), member) end",
        "",
        "spending",
    ),
    _door(
        "late answers are waited for",
        "orchestrator/tenants/settling.py",
        "[end for end in ends if end.again]",
        "ends",
        "settling",
    ),
    _door(
        "a reopened job is not settled",
        "orchestrator/tenants/settling.py",
        "        if found.ended is None:\n            return False",
        "        if False:\n            return False",
        "settling",
    ),
    _door(
        "a revoked key is refused", "tasks/store/access.py", "if record.revoked_at is not None:", "if False:", "access"
    ),
    _door("an expired key is refused", "tasks/store/access.py", "record.expires_at <= now:", "False:", "access"),
    _door(
        "a wrong secret is refused",
        "tasks/store/access.py",
        "if record is None or not same:",
        "if record is None:",
        "access",
    ),
    _door(
        "keys that were all revoked open no door",
        "tasks/store/access.py",
        "            if count:\n",
        "            if False:\n",
        "access",
    ),
    _door(
        "a tenant revokes its own keys only",
        "tasks/store/access.py",
        "if record is None or tenant not in {None, record.tenant}:",
        "if record is None:",
        "access",
    ),
    _door(
        "what is forgotten leaves its tenant's list",
        "tasks/store/lua/prune.lua",
        "unlist_job(job, facts[5])",
        "unlist_job(job)",
        "listing",
    ),
    _door(
        "a retried job is listed for its tenant",
        "tasks/store/lua/reopen.lua",
        "list_job(job, of_job[4] or '',",
        "list_job(job, '',",
        "listing",
    ),
    _door(
        "a tenant's list shows its own jobs",
        "tasks/store/listing.py",
        "and tenant in {None, row[TENANT] or DEFAULT_TENANT}",
        "",
        "listing",
    ),
    Guard(
        "unlist: jobs that are there stay listed",
        f"{LUA}unlist.lua",
        "== 1 then kept",
        "== 2 then kept",
        ("tests/integration/test_pruning.py",),
    ),
    Guard(
        "entries of a later release stay for it",
        ACT,
        "            leave(entry, error)\n            return False\n",
        "            leave(entry, error)\n",
        ("tests/integration/test_later_releases.py",),
    ),
    Guard(
        "steps of a later release stay for it",
        ACT,
        "                    leave(entries[0], error)\n                    return\n",
        "                    leave(entries[0], error)\n",
        ("tests/integration/test_later_releases.py",),
    ),
    Guard(
        "a payload that unpacks to more than it says is refused",
        "tasks/store/payload.py",
        ", size + 1)",
        ")",
        ("tests/unit/test_payload.py",),
    ),
    Guard(
        "settle: what is kept apart has the job's end",
        f"{LUA}prelude.lua",
        "redis.call('PEXPIREAT', job.big, redis.call('HGET', job.key, 'expires'))",
        "",
        ("tests/integration/test_payloads.py",),
    ),
    _acting("readers with unfinished entries keep their names", f"{LUA}tidy.lua", "facts['pending'] == 0 and ", ""),
    Guard(
        "a busy worker takes the next message at once",
        "workers/pool.py",
        "        future.add_done_callback(_turn)",
        "        del future",
        ("tests/acceptance/test_busy_worker.py",),
    ),
    # What steps say to each other
    _board("the attempt is checked", "post", "if facts[2] ~= attempt then return { 'superseded' } end\n"),
    _board("the status is checked", "post", "if not may(ARGV[3], facts[1]) then return { facts[1] } end\n"),
    _board("a message is posted once", "post", "if known then return { '', known } end\n"),
    _board(
        "a step posts within bounds", "post", "if not may_note(job, step, ARGV[14]) then return { 'too_many' } end\n"
    ),
    _board("old messages go", "post", "shorten(job, ARGV[12], ARGV[13])\n"),
    _board("who waits for a message goes on", "post", "tell_waiting(job, step, ARGV[9])\n"),
    _board("the attempt is checked", "read_board", "if facts[2] ~= attempt then return { 'superseded' } end\n"),
    _board("the status is checked", "read_board", "if not may(ARGV[3], facts[1]) then return { facts[1] } end\n"),
    _board("a read that is repeated is the same", "read_board", "before or redis", "redis"),
    _board("a step reads within bounds", "read_board", "and not may_note(job, step, ARGV[13])", "and false"),
    _board(
        "what was said just before is not waited for",
        "board",
        '      set_outcome(job, step, key, \'{"kind":"message"}\')\n      return\n',
    ),
    _board(
        "messages end with their job", "prelude", ",\n           job.board, job.posts, job.trace }", ", job.trace }"
    ),
    # What is seen: calls of jobs, counts of the fleet, lists of queues
    _seen("a call that is booked twice is kept once", "book", "if scopes then note_call", "if true then note_call"),
    _seen(
        "a call that came to nothing is kept once",
        "free",
        "elseif close_call(job, ARGV[4], ARGV[5], ARGV[6]) and record then",
        "elseif (close_call(job, ARGV[4], ARGV[5], ARGV[6]) or true) and record then",
    ),
    _seen("kept calls end with their job", "accounts", "  keep_alive(job, job.trace)\n"),
    _seen("kept calls end with their retention", "prelude", ", job.trace }", " }"),
    _seen("what is held for tools is no call", "accounts", "  if string.sub(call, 1, 1) == 'm' then", "  if true then"),
    _seen("a span is no event", "report", "  if ARGV[at] == 'span' then", "  if false then"),
    _seen("an answer that comes late is no longer missed", "accounts", "    count('n', 'late', 1)\n"),
    _seen(
        "a step that gives its slot back leaves its list",
        "admission",
        "  hide(queue, job.id .. ':' .. step)\n  uncount('F:'",
        "  uncount('F:'",
    ),
    _seen(
        "steps of a job that stands leave their lists",
        "admission",
        "      for _, step in ipairs(steps) do hide(queue, job.id .. ':' .. step) end\n",
    ),
    _seen(
        "a window begins with what was counted before",
        "figures",
        "  if was == ms(page) then return end",
        "  do return end",
    ),
    _seen("a stretch's beginning ends by itself", "figures", "      redis.call('EXPIRE', name, stretch[2])\n"),
    _seen("names that are too many are one", "figures", " > most then", " > 1e9 then"),
    _seen("tenants leave room for agents", "figures", "and TENANTS_MAX or", "and FIELDS_MAX or"),
    _seen("a list is put right", "recheck", "if facts[1] ~= status or facts[2] ~= queue then", "if false then"),
    # Sessions, and jobs that go on step by step
    _session(
        "an old state is not saved",
        "session_write",
        "if version ~= '' and (redis.call('HGET', session.key, 'version') or '0') ~= version then "
        "return standing('stale') end\n",
    ),
    _session("a write is made once", "session_write", "    if done then return cjson.decode(done) end\n"),
    _session(
        "a session is begun once", "session_write", "if there and mode == 'new' then return standing('there') end\n"
    ),
    _session(
        "what is gone is not changed",
        "session_write",
        "if not there and mode == 'old' then return standing('gone') end\n",
    ),
    _session("any change makes a saved state old", "sessions", "'version', 1)\n  for", "'version', 0)\n  for"),
    _session("a session lives on while it is used", "sessions", "PEXPIREAT', key, ms(ends)", "PERSIST', key"),
    _session(
        "a session lives as long as its jobs",
        "sessions",
        "math.max(now + tonumber(facts[1]), tonumber(facts[2] or '0'))",
        "now + tonumber(facts[1])",
    ),
    _session(
        "one job of a session runs at a time",
        "submit",
        "if begins then to_ready(job, step) else",
        "to_ready(job, step) if false then",
    ),
    _session(
        "a given plan waits for its turn",
        "submit",
        "if begins then tell('plan_proposed'",
        "if true then tell('plan_proposed'",
    ),
    _session("the next one has its turn", "sessions", "    next_turn(session)\n  else redis", "  else redis"),
    _session(
        "one that has ended has no turn",
        "sessions",
        "while id and not goes_on(id) do id = table.remove(line, 1) end",
        "",
    ),
    _session(
        "one that ended unseen holds up nobody",
        "sessions",
        "if running and not goes_on(running) then return next_turn(session) end\n",
    ),
    _session(
        "one that waits leaves the line",
        "sessions",
        "if id ~= without then line[#line + 1] = id end",
        "line[#line + 1] = id",
    ),
    _session(
        "what is taken back is not said", "sessions", "if of_job[3] then unsay(session, of_job[2])\n  elseif", "if"
    ),
    _session("a job has one answer", "sessions", "  if of_job[2] then unsay(session, of_job[2]) end\n"),
    _session("what has no answer is told of", "sessions", "  elseif status ~= 'completed' then", "  elseif false then"),
    _session("a reopened job has its turn", "steps", "  reopen_turn(job, deadline)\n"),
    _session("a full fleet interrupts nobody", "submit", "if full then return { id, -1, full } end\n", ""),
    _session("a line has its bound", "submit", "#line_of(session) >= tonumber(ARGV[30])", "false"),
    _session(
        "open jobs of a forgotten session end",
        "session_delete",
        "for _, job in ipairs(jobs) do finish_job(job, 'cancelled', ARGV[4]) end\n",
    ),
    _held("no more steps begin than may", "admission", "  if is_held(job, step) then return end\n"),
    _held(
        "what was begun is not held",
        "admission",
        "if facts[1] ~= 'work' or facts[2] or facts[4] then return false end",
        "if facts[1] ~= 'work' or facts[4] then return false end",
    ),
    _held(
        "the answer is not held",
        "admission",
        "if facts[1] ~= 'work' or facts[2] or facts[4] then return false end",
        "if facts[2] or facts[4] then return false end",
    ),
    _held(
        "children of a step are not held",
        "admission",
        "if facts[1] ~= 'work' or facts[2] or facts[4] then return false end",
        "if facts[1] ~= 'work' or facts[2] then return false end",
    ),
    _held(
        "what is held is held once",
        "admission",
        "  if not facts[3] then\n    local held",
        "  if true then\n    local held",
    ),
    _held(
        "a job that stood has its time anew",
        "go_on",
        "math.max(now + tonumber(ARGV[5]), tonumber(facts[5]))",
        "tonumber(facts[5])",
    ),
    _held(
        "a job that has ended does not go on",
        "go_on",
        "if facts[1] ~= 'pending' and facts[1] ~= 'in_progress' then return facts[1] end\n",
    ),
    # Parked steps, their children, and pauses
    _waiting("the attempt is checked", "park", "if facts[2] ~= attempt then return 'superseded' end\n"),
    _waiting("the status is checked", "park", "if not may(ARGV[3], facts[1]) then return facts[1] end\n"),
    _waiting(
        "what is waited for is asked for once",
        "park",
        "== 1 then\n    if ARGV[at + 3]",
        ">= 0 then\n    if ARGV[at + 3]",
    ),
    _waiting(
        "what was waited for before is not forgotten",
        "park",
        "for key in keys_waited_for(job, step) do all[#all + 1], known[key] = key, true end\n",
    ),
    _waiting("a parked step holds no slot", "park", "release(job, step)\n"),
    _waiting("what has come already is not waited for", "park", "if open == 0 then wake(job, step) end\n"),
    _waiting("what a parked attempt consumed counts", "park", "if ARGV[9] ~= '' then spend", "if false then spend"),
    _waiting("it is for children of a parked step", "adopt", "facts[1] ~= 'parked' or not wait[1]", "not wait[1]"),
    _waiting("children are written once", "adopt", " or wait[2] or wait[3] then", " or wait[2] then"),
    _waiting("a refused wait has no children", "adopt", " or wait[2] or wait[3] then", " or wait[3] then"),
    _waiting(
        "a name is given once", "adopt", "'HEXISTS', job.specs, ARGV[at]) == 1", "'HEXISTS', job.specs, ARGV[at]) == 2"
    ),
    _waiting(
        "a job has no more steps than it may",
        "adopt",
        "> tonumber(ARGV[7]) then return 2 end",
        "> 1e9 then return 2 end",
    ),
    _waiting(
        "children have no more time than their parent",
        "adopt",
        "  if facts[2] then redis.call",
        "  if false then redis.call",
    ),
    _waiting(
        "a child's own time is within its parent's",
        "admission",
        "earliest(now + tonumber(total), redis.call('HGET', job.steps, 'Z:' .. step))",
        "now + tonumber(total)",
    ),
    _waiting(
        "what a child consumes is its parents' too",
        "accounts",
        "for _, one in ipairs(cjson.decode(spec)['budgets'] or {}) do",
        "for _, one in ipairs({}) do",
    ),
    _waiting(
        "only what is waited for has an outcome",
        "outcome",
        "if redis.call('HEXISTS', job.waits, wait_field('w', ARGV[4], ARGV[5])) == 0 then return -1 end\n",
    ),
    _waiting(
        "an ended step has no outcome",
        "outcome",
        "if not is_open(redis.call('HGET', job.steps, 's:' .. ARGV[4])) then return -1 end\n",
    ),
    _waiting(
        "a conversation is handed over once", "hand_over", " or not wait[1] or wait[2] then", " or not wait[1] then"
    ),
    _waiting(
        "only a parked step is handed over",
        "hand_over",
        "if redis.call('HGET', job.steps, 's:' .. step) ~= 'parked' or",
        "if",
    ),
    _waiting(
        "the first outcome counts",
        "waits",
        "if redis.call('HSETNX', job.waits, wait_field('o', step, key), outcome) == 0 then return false end",
        "redis.call('HSET', job.waits, wait_field('o', step, key), outcome)",
    ),
    _waiting(
        "all that is waited for must have come",
        "waits",
        "~= 'parked' or open_waits(job, step) > 0 then return end",
        "~= 'parked' then return end",
    ),
    _waiting(
        "only a parked step wakes",
        "waits",
        "if redis.call('HGET', job.steps, 's:' .. step) ~= 'parked' or open_waits",
        "if open_waits",
    ),
    _waiting(
        "a parent waits for all its children",
        "waits",
        "wait_field('n', of, key), -1) == 0 then",
        "wait_field('n', of, key), -1) >= 0 then",
    ),
    _waiting(
        "children of an ended step end",
        "waits",
        "      if is_open(redis.call('HGET', job.steps, 's:' .. child)) then",
        "      if false then",
    ),
    _waiting(
        "an ended child is not cancelled",
        "waits",
        "      if is_open(redis.call('HGET', job.steps, 's:' .. child)) then",
        "      if true then",
    ),
    _waiting(
        "nobody is asked for an ended step",
        "waits",
        "  for key in keys_waited_for(job, step) do\n"
        "    redis.call('ZREM', asked, job.id .. ':' .. step .. ' ' .. key)\n    for child",
        "  for key in keys_waited_for(job, step) do\n    for child",
    ),
    _waiting(
        "what begins anew asks anew",
        "waits",
        "    redis.call('HDEL', job.waits, wait_field('w', step, key), "
        "wait_field('o', step, key), wait_field('x', step, key),\n"
        "      wait_field('c', step, key), wait_field('n', step, key))\n",
    ),
    _waiting("old children of a retried step stay ended", "reopen", "if facts[7] then --", "if false then --"),
    _waiting(
        "a job that is final, or paused before, stays",
        "pause",
        "if (facts[1] ~= 'pending' and facts[1] ~= 'in_progress') or facts[6] then return facts[1] end\n",
    ),
    _waiting(
        "what is on its way to a worker is stale",
        "pause",
        "redis.call('HINCRBY', job.steps, 'u:' .. step, 1)",
        "local _ = nil",
    ),
    _waiting("a stopped step holds no slot", "pause", "    release(job, step)\n"),
    _waiting("what waits in a line is held", "pause", "leave_lines(job)\n"),
    _waiting("the time that was left is kept", "pause", "'left', ms(left))", "'left', '0')"),
    _waiting(
        "clocks of waiting steps stand still", "pause", "  elseif is_open(of_step[1]) then", "  elseif false then"
    ),
    _waiting(
        "nothing of a paused job is dispatched",
        "dispatch",
        "if is_paused(job) or",
        "if",
    ),
    _waiting(
        "nothing of a paused job takes a slot", "admission", "if is_paused(job) then return", "if false then return"
    ),
    _waiting(
        "a retry in a pause has the time that was left", "postpone", "local shown = now_of(job)", "local shown = now"
    ),
    _waiting(
        "a job that is not paused is not resumed",
        "go_on",
        "if ARGV[4] == '0' and not facts[7] then return facts[1] end\n",
    ),
    _waiting(
        "what was held goes on",
        "go_on",
        "    if of_step[1] == 'ready' and not of_step[2] then to_ready(job, step) end\n",
    ),
    _waiting(
        "what was not waited for any more has no timer",
        "go_on",
        "if was == of_step[1] then redis.call",
        "if true then redis.call",
    ),
    _waiting("a time that stood goes on", "go_on", "ms(tonumber(ends) + stood)", "ends"),
    _waiting(
        "what is asked expires so much later",
        "go_on",
        "    if of_step[1] == 'parked' then put_off(job, step, stood) end\n",
    ),
    # The worker
    _doing(
        "a message without a claim is dropped",
        RUN,
        "            if claim is None:\n                log",
        "            if False:\n                log",
    ),
    _doing(
        "a repeated claim has one token",
        RUN,
        "                claim = await patiently(lambda: self.attempts.claim(ref, self.worker, token)",
        "                claim = await patiently(lambda: self.attempts.claim(ref, self.worker)",
    ),
    _doing(
        "a stopping worker begins nothing",
        "workers/process.py",
        "        if self.stopping:\n            return self.loop",
        "        if False:\n            return self.loop",
    ),
    _doing(
        "agents cannot use the codes of lost workers",
        "workers/outcomes.py",
        "if isinstance(error, TroupeError) and error.code in RESERVED:",
        "if False:",
    ),
    Guard(
        "a replay's journal stays whole",
        f"{LUA}accounts.lua",
        "  if redis.call('HEXISTS', job.key, 'replay') == 1 then return end\n",
        "",
        ("tests/integration/test_seeded_journals.py",),
    ),
    Guard(
        "seed: the job is not there yet",
        f"{LUA}seed.lua",
        "if redis.call('EXISTS', job.key) == 1 then return 0 end\n",
        "",
        ("tests/integration/test_seeded_journals.py",),
    ),
    Guard(
        "a silent agent is ended",
        "workers/idle.py",
        "                limit.reschedule(loop.time())\n",
        "                pass\n",
        ("tests/unit/test_idle.py",),
    ),
    Guard(
        "a model's answer is no silence",
        "workers/idle.py",
        "if context.unseen > 0:",
        "if False:",
        ("tests/unit/test_idle.py",),
    ),
    _doing("a result is not stopped half-way", RUN, "        held.stopped = SETTLING\n", ""),
    _doing("a lost lease stops the work", LEASE, "            held.task.cancel()\n", ""),
    _doing("the first reason counts", LEASE, "held is not None and held.stopped is None:", "held is not None:"),
    _doing(
        "heartbeats go on after an error",
        LEASE,
        "            except Exception:",
        "            except ZeroDivisionError:",
    ),
    _doing(
        "unreadable messages are dropped",
        "workers/handlers.py",
        "except ValidationError as",
        "except ZeroDivisionError as",
    ),
    _doing(
        "a settle is tried again",
        "workers/patience.py",
        "            if loop.time() + pause > end:\n",
        "            if True:\n",
    ),
    Guard(
        "scripts are sent anew to a server that lost them",
        "tasks/store/scripts.py",
        "except NoScriptError:",
        "except ZeroDivisionError:",
        ("tests/integration/test_moves_submit.py",),
    ),
)
