"""`troupe keys` on the command line."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.cli import call
from tasks.access import Audited, Scope
from tasks.ids import new_job_id
from tasks.refusals import Unauthenticated
from tasks.settings import StoreSettings
from tasks.store import Store
from tasks.store.access import KEY_TEXT, AccessStore
from tasks.store.audit import AuditLog
from tasks.store.spending import SpendingStore


@pytest.fixture
def command(store_settings: StoreSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `troupe keys …`: exit code, stdout, stderr."""
    monkeypatch.setenv("TROUPE_REDIS_URL", store_settings.redis_url.get_secret_value())
    monkeypatch.setenv("TROUPE_PREFIX", store_settings.prefix)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(call, ["keys", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


async def test_a_key_is_printed_once_alone_on_stdout_and_lets_in(command: Any, store: Store) -> None:
    code, out, err = await command(
        *("create", "--tenant", "acme", "--scope", "read", "--scope", "submit", "--name", "builds", "--expires", "90d")
    )
    text = out.removesuffix("\n")
    assert code == 0
    assert KEY_TEXT.fullmatch(text)
    assert text not in err
    key = (await AccessStore(store).enter(text)).key
    assert key is not None
    assert (key.tenant, key.name, key.scopes) == ("acme", "builds", (Scope.SUBMIT, Scope.READ))
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days == 90
    assert f"key {key.id} of tenant acme: submit, read; good until {key.expires_at:%Y-%m-%d}" in err


async def test_a_key_is_had_as_json_and_the_list_has_no_text_of_it(command: Any) -> None:
    made = json.loads((await command("create", "--operator", "--scope", "admin", "--json"))[1])
    assert KEY_TEXT.fullmatch(made["text"])
    assert made["key"]["tenant"] == "*"
    for words in (("list",), ("list", "--json"), ("list", "--tenant", "*"), ("audit",), ("audit", "--json")):
        code, out, err = await command(*words)
        assert code == 0
        assert made["key"]["id"] in out
        assert made["text"].rpartition("_")[2] not in out + err
    assert json.loads((await command("list", "--tenant", "other", "--json"))[1]) == []


async def test_a_revoked_key_lets_nobody_in_and_stays_listed(command: Any, store: Store) -> None:
    key, text = await AccessStore(store).create("acme", [Scope.READ])
    assert (await command("revoke", key.id))[:2] == (0, f"key {key.id} of tenant acme revoked\n")
    with pytest.raises(Unauthenticated):
        await AccessStore(store).enter(text)
    assert "revoked " in (await command("list"))[1]


async def test_limits_are_changed_one_by_one_shown_and_taken_away(command: Any, store: Store) -> None:
    assert await command("limits", "--tenant", "acme") == (0, "acme: no limits\n", "")
    await command("limits", "--tenant", "acme", "--requests-per-minute", "60", "--open-jobs", "5")
    code, out, _ = await command("limits", "--tenant", "acme", "--daily-usd", "2.5")
    assert (code, out) == (
        0,
        "acme: 60 requests a minute, 5 open jobs, $2.5 a day; $0.0 of today spent or held\n",
    )
    limits = await AccessStore(store).limits("acme")
    await SpendingStore(store).hold("acme", new_job_id(0), 500_000, limits)
    assert json.loads((await command("limits", "--json"))[1]) == [
        {"tenant": "acme", "requests_per_minute": 60, "open_jobs": 5, "daily_usd": 2.5, "spent_today_usd": 0.5}
    ]
    assert (await command("limits", "--tenant", "acme", "--none", "--open-jobs", "1"))[1] == "acme: 1 open jobs\n"
    assert (await command("limits", "--tenant", "acme", "--none"))[1] == "acme: no limits\n"


async def test_what_was_done_is_listed_newest_first(command: Any) -> None:
    await command("create", "--tenant", "acme", "--scope", "read")
    await command("limits", "--tenant", "other", "--open-jobs", "1")
    lines = json.loads((await command("audit", "--json"))[1])
    assert [(line["action"], line["tenant"], line["address"]) for line in lines] == [
        ("tenant.limits", "other", "terminal"),
        ("key.create", "acme", "terminal"),
    ]
    assert [line["tenant"] for line in json.loads((await command("audit", "--tenant", "acme", "--json"))[1])] == [
        "acme"
    ]
    assert len(json.loads((await command("audit", "--limit", "1", "--json"))[1])) == 1


async def test_what_others_wrote_steers_no_terminal(command: Any, store: Store) -> None:
    line = Audited(
        at=datetime.now(UTC),
        key=None,
        tenant=None,
        action="\x1b[2J",
        object="[red]x",
        outcome="ok",
        address="\x1b]0;x\a",
    )
    await AuditLog(store).write(line)
    _, out, _ = await command("audit")
    assert "\x1b" not in out
    assert "[red]x" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "--tenant", "acme"), "--scope"),
        (("create", "--scope", "read"), "--tenant NAME, or --operator"),
        (("create", "--scope", "read", "--tenant", "a", "--operator"), "--tenant NAME, or --operator"),
        (("create", "--scope", "fly", "--tenant", "a"), "fly"),
        (("create", "--scope", "read", "--tenant", "A b"), "no tenant's name"),
        (("create", "--scope", "read", "--tenant", "*"), "no tenant's name"),
        (("create", "--scope", "read", "--tenant", "a", "--expires", "soon"), "is no age"),
        (("create", "--scope", "read", "--tenant", "a", "--expires", "0d"), "more than nothing"),
        (("create", "--scope", "read", "--tenant", "a", "--expires", "99999d"), "3660 days"),
        (("create", "--scope", "read", "--tenant", "a", "--name", "x" * 101), "at most 100"),
        (("revoke", "nope"), "there is no key 'nope'"),
        (("revoke",), "KEY"),
        (("list", "--tenant", "A"), "no tenant's name"),
        (("limits", "--open-jobs", "1"), "whose limits"),
        (("limits", "--none"), "whose limits"),
        (("limits", "--tenant", "a", "--open-jobs", "0"), "open-jobs"),
        (("limits", "--tenant", "a", "--daily-usd", "-1"), "daily-usd"),
        (("limits", "--tenant", "a", "--daily-usd", "nan"), "daily-usd"),
        (("limits", "--tenant", "a", "--requests-per-minute", "many"), "valid integer"),
        (("audit", "--limit", "0"), "limit"),
    ],
)
async def test_bad_input_is_named_and_changes_nothing(
    words: tuple[str, ...], said: str, command: Any, store: Store
) -> None:
    code, out, err = await command(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert await AccessStore(store).list() == []
    assert await AccessStore(store).tenants() == {}


async def test_the_log_keeps_its_newest_lines_and_is_read_to_its_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.store.audit.KEPT", 300)
    monkeypatch.setattr("tasks.store.audit.PAGE", 7)
    log, at = AuditLog(store), datetime.now(UTC)
    for number in range(500):
        tenant = "rare" if number == 400 else "acme"
        await log.write(
            Audited(at=at, key="k", tenant=tenant, action="a", object=str(number), outcome="ok", address="::1")
        )
    assert [line.object for line in await log.read(3)] == ["499", "498", "497"]
    assert [line.object for line in await log.read(3, "rare")] == ["400"]
    assert 300 <= len(await log.read(1000)) < 500
