"""Settings: arguments, then environment, then file; bad ones are named before anything starts."""

import inspect
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.settings import OrchestratorSettings
from tasks.errors import BadSetting
from tasks.settings import StoreSettings, broker_beside, hide_password, read_settings
from workers.settings import WorkerSettings


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TROUPE_CONFIG", raising=False)
    for name in ("REDIS_URL", "BROKER_URL", "LEASE_S", "HEARTBEAT_S"):
        monkeypatch.delenv(f"TROUPE_{name}", raising=False)


def test_arguments_go_before_the_environment_and_that_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("troupe.toml").write_text('prefix = "file"\nlease_s = 33\nsweep_s = 9\n')
    monkeypatch.setenv("TROUPE_LEASE_S", "44")
    monkeypatch.setenv("TROUPE_SWEEP_S", "8")
    settings = read_settings(StoreSettings, sweep_s=7)
    assert (settings.prefix, settings.lease_s, settings.sweep_s) == ("file", 44, 7)


@pytest.mark.parametrize("name", ["own.toml", "deep/own.toml"])
def test_another_file_can_be_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text('prefix = "own"')
    monkeypatch.setenv("TROUPE_CONFIG", name)
    assert read_settings(StoreSettings).prefix == "own"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("troupe.toml").write_text('prefix = "file"')
    monkeypatch.setenv("TROUPE_CONFIG", "")
    monkeypatch.setenv("TROUPE_LEASE_S", "")
    settings = read_settings(StoreSettings)
    assert (settings.prefix, settings.lease_s) == ("file", 15.0)


@pytest.mark.parametrize("content", [b"prefix = ", b"\xff\xfe", b"[a\n"])
def test_a_file_that_cannot_be_read_is_said_so(content: bytes) -> None:
    Path("troupe.toml").write_bytes(content)
    with pytest.raises(BadSetting, match="the settings file cannot be read"):
        read_settings(StoreSettings)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("LEASE_S", "soon", "TROUPE_LEASE_S: Input should be a valid number"),
        ("PARTITIONS", "33", "TROUPE_PARTITIONS: Input should be less than or equal to 32"),
        ("PREFIX", "Two Words", "TROUPE_PREFIX: String should match"),
        ("LEASE_S", "2.9", r"lease_s \(2.9\) must be at least three times heartbeat_s \(1.0\)"),
        ("PRESENCE_S", "1.5", r"presence_s \(1.5\) must be at least twice heartbeat_s"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TROUPE_{variable}", value)
    with pytest.raises(BadSetting, match=words):
        read_settings(StoreSettings)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(BadSetting, match=r"TROUPE_MAX_STEPS: .*; TROUPE_MAX_DEPTH: "):
        read_settings(OrchestratorSettings, max_steps=0, max_depth=0)


def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_REDIS_URL", "redis://u:geheim@host")
    settings = read_settings(StoreSettings)
    assert "geheim" not in repr(settings)
    monkeypatch.setenv("TROUPE_LEASE_S", "1")
    with pytest.raises(BadSetting) as caught:
        read_settings(StoreSettings)
    assert "geheim" not in str(caught.value)


def test_modules_of_own_agents_are_listed() -> None:
    assert WorkerSettings(agents=" a, b.c ,,").agent_modules == ("a", "b.c")
    assert WorkerSettings(agents="").agent_modules == ()


@pytest.mark.parametrize(
    ("store", "broker"),
    [
        ("redis://localhost", "redis://localhost/1"),
        ("redis://localhost:6379/0", "redis://localhost:6379/1"),
        ("rediss://u:p%40w@host:1/7?ssl_cert_reqs=none", "rediss://u:p%40w@host:1/8?ssl_cert_reqs=none"),
        ("redis://host/?db=3", "redis://host/4"),
        ("redis://[::1]:6379/2", "redis://[::1]:6379/3"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=1"),
        ("unix:///run/redis.sock?db=4", "redis+socket:///run/redis.sock?virtual_host=5"),
        ("unix://u:pw@/run/redis.sock?db=0", "redis+socket://u:pw@/run/redis.sock?virtual_host=1"),
    ],
)
def test_the_broker_is_the_database_after_the_stores(store: str, broker: str) -> None:
    assert broker_beside(store) == broker
    assert StoreSettings(redis_url=SecretStr(store)).broker == broker


@pytest.mark.parametrize("url", ["redis://h/x", "redis://h/?db=x", "unix:///s?db=x", "redis://h/-1", "unix:///s?db=-2"])
def test_a_database_that_is_no_number_is_refused(url: str) -> None:
    with pytest.raises(BadSetting, match=r"TROUPE_REDIS_URL: .* is not a database number"):
        broker_beside(url)


def test_what_is_no_url_is_refused_without_its_password() -> None:
    with pytest.raises(BadSetting, match="is not a URL") as caught:
        broker_beside("redis://u:geheim@[::1")
    assert "geheim" not in str(caught.value)


def test_a_broker_of_its_own_is_taken_as_it_is() -> None:
    assert StoreSettings(broker_url=SecretStr("amqp://u:p@h//")).broker == "amqp://u:p@h//"


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:geheim@host:1/0?a=b", "redis://:***@host:1/0?a=b"),
        ("redis://u:geheim@[::1]:63/0", "redis://u:***@[::1]:63/0"),
        ("redis://u:ge@heim@host/0", "redis://u:***@host/0"),
        ("redis://u:geheim@host:port/0", "redis://u:***@host:port/0"),
        ("redis://u:geheim@[::1", "redis://u:***@[::1"),
        ("redis://u:ge/heim@host", "redis://u:***@host"),
        ("unix://u:geheim@/run/x.sock?db=1", "unix://u:***@/run/x.sock?db=1"),
        ("redis://host/0?password=geheim&x=1", "redis://host/0?password=***&x=1"),
        ("redis://user@host/0", "redis://user@host/0"),
        ("", ""),
    ],
)
def test_a_password_is_hidden_also_in_a_url_that_is_malformed(url: str, hidden: str) -> None:
    assert hide_password(url) == hidden


@pytest.mark.parametrize("kind", [StoreSettings, OrchestratorSettings, WorkerSettings])
def test_every_setting_says_what_it_is(kind: type[StoreSettings]) -> None:
    source = inspect.getsource(sys.modules[kind.__module__])
    for name in kind.model_fields:
        line = source.index(f"\n    {name}: ")
        assert source[line:].split("\n", 3)[2].lstrip().startswith('"""'), name
