"""The users of deploy/redis: what each role may do with each key, and what it may not."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tasks.errors import BadSetting
from tasks.settings import StoreSettings
from tasks.store import JobStore, Store, keys
from tasks.store.keys import Keys
from tests.support.builders import WORKER, a_job, a_planning_step
from tests.support.moves import Moves
from tests.support.users import FOLDER, ROLES, USERS, Guarded, guarded, passwords, start_sh

JOB = "j0123456789abcdefgh3"
PLACES = {
    "<p>": "troupe",
    "{N}": "{3}",
    "<id>": JOB,
    "<job>": JOB,
    "<queue>": "search",
    "<seconds>": "300",
    "<number>": "17",
    "<minute>": "17",
    "<sha256>": "0" * 64,
    "<counter>": "worker-1",
    "<digest>": "0" * 16,
    "<account>": "0" * 16,
    "<class>": "sonnet",
    "<name>": "quote",
    "<tenant>": "acme",
    "<day>": "17",
}
MOVERS = ("producer", "api", "orchestrator", "worker")
SECRETS = ("keys", "tenants", "requests:acme", "spent:acme:17", "holds", "audit", "audit:acme")
"""Keys of the fleet that are the API's alone."""


def table() -> list[str]:
    """One key for each name in the table of tasks/store/keys.py."""
    found: list[str] = []
    for row in re.findall(r"^\| (`.*?) \|", keys.__doc__ or "", re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", row):
            text = name
            if text.startswith("…"):
                text = (
                    re.sub(r"[^:]+$", "", found[-1]) + text[2:]
                    if not re.search("of (it|these)", row)
                    else found[-1] + text[1:]
                )
            for place, value in PLACES.items():
                text = text.replace(place, value)
            found.append(text)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("users")) as made:
        yield made


@pytest.fixture(scope="module")
def admin(server: Guarded) -> Iterator[Any]:
    with server.client() as client:
        yield client


def may(admin: Any, user: str, *command: str) -> bool:
    return admin.execute_command("ACL", "DRYRUN", user, *command) == "OK"


def readers(admin: Any, key: str) -> set[str]:
    return {role for role in ROLES if may(admin, role, "EXISTS", key)}


def writers(admin: Any, key: str) -> set[str]:
    return {role for role in ROLES if may(admin, role, "DEL", key) or may(admin, role, "PEXPIRE", key, "1")}


def test_the_table_of_keys_is_read() -> None:
    found = table()
    assert len(found) > 40
    assert [name for name in found if "<" in name or "…" in name] == []
    assert {f"troupe:{{3}}:job:{JOB}:results", "troupe:{fleet}:tools", "troupe:{fleet}:keys"} <= set(found)


@pytest.mark.parametrize("key", table())
def test_every_key_can_be_read_and_written_by_a_role(admin: Any, key: str) -> None:
    """A new key needs a line in deploy/redis/users.acl: who reads it, who writes it."""
    assert readers(admin, key)
    assert writers(admin, key)


@pytest.mark.parametrize("name", SECRETS)
def test_what_the_doors_keep_is_the_apis_alone(admin: Any, name: str) -> None:
    key = f"troupe:{{fleet}}:{name}"
    assert (readers(admin, key), writers(admin, key)) == ({"api"}, {"api"})


def test_only_who_may_submit_writes_into_the_index(admin: Any) -> None:
    index = Keys("troupe").index(3)
    assert {role for role in ROLES if may(admin, role, "ZADD", index, "1", JOB)} == {"producer", "api", "orchestrator"}
    assert may(admin, "worker", "ZSCORE", index, JOB)


def test_a_worker_can_prolong_an_idempotency_key_and_not_say_whose_it_is(admin: Any) -> None:
    key = Keys("troupe").idempotency(3, "order-17")
    assert may(admin, "worker", "PEXPIRE", key, "1000")
    assert not may(admin, "worker", "SET", key, JOB)
    assert not may(admin, "worker", "RENAME", key, f"{key}0")


@pytest.mark.parametrize("part", ["results", "big", "events", "trace", "board", "journal", "specs", "posts"])
@pytest.mark.parametrize("user", ["flower", "metrics"])
def test_nothing_that_anybody_wrote_is_readable_by_those_who_only_watch(admin: Any, user: str, part: str) -> None:
    assert not may(admin, user, "HGETALL", f"troupe:{{3}}:job:{JOB}:{part}")
    assert not may(admin, user, "XRANGE", f"troupe:{{3}}:job:{JOB}:{part}", "-", "+")


def test_flower_reads_no_conversation_and_writes_nothing_of_the_store(admin: Any) -> None:
    assert not may(admin, "flower", "HGETALL", f"troupe:{{3}}:job:{JOB}")
    assert [key for key in table() if "flower" in writers(admin, key)] == []
    assert [key for key in table() if "flower" in readers(admin, key)] == [f"troupe:{{3}}:job:{JOB}:steps"]


def test_a_doctor_changes_nothing_and_reads_no_result(admin: Any) -> None:
    assert [key for key in table() if "doctor" in writers(admin, key)] == []
    assert not may(admin, "doctor", "HGETALL", f"troupe:{{3}}:job:{JOB}:results")
    assert not may(admin, "doctor", "SET", "anything", "1")


@pytest.mark.parametrize("user", ["producer", "api", "doctor", "metrics"])
def test_the_broker_is_out_of_reach_of_those_who_have_no_message_to_send(admin: Any, user: str) -> None:
    assert not may(admin, user, "LPUSH", "search", "{}")
    assert not may(admin, user, "LRANGE", "search", "0", "1")


def test_flower_sees_how_long_queues_are_and_puts_nothing_into_them(admin: Any) -> None:
    assert may(admin, "flower", "LLEN", "search")
    assert not may(admin, "flower", "LPUSH", "search", "{}")
    assert not may(admin, "flower", "DEL", "search")


@pytest.mark.parametrize("user", ROLES)
@pytest.mark.parametrize(
    "command", ["CONFIG SET dir /tmp", "FLUSHALL", "KEYS *", "ACL LIST", "SHUTDOWN", "MONITOR", "CLIENT LIST", "SCAN 0"]
)
def test_no_role_may_touch_the_server(admin: Any, user: str, command: str) -> None:
    assert not may(admin, user, *command.split())


def test_nobody_comes_in_without_a_password(server: Guarded, admin: Any) -> None:
    assert admin.acl_users() == sorted([*USERS, "default"])
    assert admin.acl_getuser("default")["enabled"] is False
    assert all("nopass" not in admin.acl_getuser(user)["flags"] for user in USERS)


def test_commands_of_every_script_are_allowed_to_those_who_run_scripts(admin: Any) -> None:
    used: set[str] = set()
    for path in (FOLDER.parents[1] / "tasks/store/lua").glob("*.lua"):
        for name, word in re.findall(r"redis\.p?call\('([A-Z]+)'(?:, '([A-Z]+)')?", path.read_text()):
            used.add(f"{name}|{word}" if name in {"XGROUP", "XINFO", "MEMORY"} else name)
    granted = {user: set(admin.acl_getuser(user)["commands"]) for user in MOVERS}
    wanted = {f"+{one.lower()}" for one in used - {"XGROUP|DELCONSUMER", "XINFO|CONSUMERS"}}
    assert [(user, wanted - granted[user]) for user in MOVERS if wanted - granted[user]] == []
    assert {"+xgroup|delconsumer", "+xinfo|consumers"} <= granted["orchestrator"] & granted["api"]


def settings(server: Guarded, user: str) -> StoreSettings:
    return StoreSettings(redis_url=SecretStr(server.url(user)), partitions=4)


async def test_a_worker_cannot_submit_and_leaves_nothing_of_its_try(server: Guarded, admin: Any) -> None:
    store = Store(settings(server, "worker"))
    spec, before = a_job(), admin.xlen(store.keys.control(0))
    with pytest.raises(BadSetting, match="refuses us"):
        await JobStore(store).submit(spec, a_planning_step())
    await store.close()
    assert admin.exists(store.keys.job(spec.id)) == 0
    assert admin.xlen(store.keys.control(0)) == before


async def test_what_a_worker_writes_by_hand_is_no_job(server: Guarded, admin: Any) -> None:
    """All of a job that a worker can write, and an entry that has it dispatched."""
    producer, worker = Store(settings(server, "producer")), Store(settings(server, "worker"))
    orchestrator = Store(settings(server, "orchestrator"))
    honest = Moves(producer)
    model = await honest.submitted()
    forged = a_job().id
    for key in sorted(admin.scan_iter(match=f"{producer.keys.job(model)}*")):
        admin.copy(key, key.replace(model, forged))
    deciding, doing = Moves(orchestrator), Moves(worker)
    ref = (await honest_refs(deciding, model))[0]
    assert await deciding.jobs.dispatch(0, [ref._replace(job=forged)]) == [None]
    assert await deciding.jobs.dispatch(0, [ref]) != [None]
    steps = f"{producer.keys.job(forged)}:steps"
    with server.client("worker") as hostile:
        hostile.hset(steps, mapping={"s:plan": "dispatched", "a:plan": "1", "q:plan": "1"})
    assert await doing.attempts.claim(ref._replace(job=forged), WORKER) is None
    assert await doing.attempts.claim(ref, WORKER) is not None
    for store in (producer, worker, orchestrator):
        await store.close()


async def honest_refs(deciding: Moves, job: str) -> list[Any]:
    await deciding.outbox.open(0)
    return [entry.ref for entry in await deciding.entries() if entry.ref.job == job]


def test_a_missing_short_or_repeated_password_is_refused() -> None:
    given = passwords()
    for wrong in ({"REDIS_PASSWORD_WORKER": ""}, {"REDIS_PASSWORD_WORKER": "short"}):
        done = start_sh("--print", **{**given, **wrong})
        assert (done.returncode, "REDIS_PASSWORD_WORKER: set it" in done.stderr) == (2, True)
    done = start_sh("--print", **{**given, "REDIS_PASSWORD_WORKER": given["REDIS_PASSWORD_API"]})
    assert (done.returncode, "another user has the same" in done.stderr) == (2, True)


def test_the_file_holds_hashes_and_no_password() -> None:
    done = start_sh("--print", **passwords())
    assert done.returncode == 0
    assert not any(one in done.stdout for one in passwords().values())
    assert len(re.findall(r"#[0-9a-f]{64} ", done.stdout)) == len(USERS)
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["default", *USERS]


def test_prefix_and_queues_are_put_in_and_checked() -> None:
    done = start_sh("--print", **passwords(), TROUPE_PREFIX="other", REDIS_QUEUES="finance napper")
    assert "troupe:" not in done.stdout
    assert all(f"~{queue} ~{queue}??[0-9] ~{queue}@*" in done.stdout for queue in ("search", "finance", "napper"))
    for wrong in ({"TROUPE_PREFIX": "a*b"}, {"REDIS_QUEUES": "*"}, {"REDIS_QUEUES": "troupe:x"}):
        assert start_sh("--print", **passwords(), **wrong).returncode == 2


def test_a_word_that_nobody_has_explained_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "users.acl"
    template.write_text("user worker on #$worker $nonsense\n")
    done = start_sh("--print", **passwords(), ACL_TEMPLATE=str(template))
    assert (done.returncode, "what is $nonsense?" in done.stderr) == (2, True)
