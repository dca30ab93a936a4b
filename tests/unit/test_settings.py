"""Settings: arguments, then environment, then file; bad ones are named before anything starts."""

import inspect
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from orchestrator.settings import OrchestratorSettings
from tasks.errors import BadSetting
from tasks.settings import StoreSettings, read_settings
from tests.unit.pages import configuration_page
from workers.rooms import ROOMS, check_settings
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


@pytest.mark.parametrize("name", ["nosuch.toml", "."])
def test_a_file_that_is_named_and_not_there_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_CONFIG", name)
    with pytest.raises(BadSetting, match=f"TROUPE_CONFIG: there is no file '{name}'"):
        read_settings(StoreSettings)


def test_periods_that_fit_exactly_are_not_refused_by_rounding() -> None:
    assert 3 * 0.1 > 0.3
    settings = read_settings(StoreSettings, lease_s=0.3, heartbeat_s=0.1, presence_s=0.2)
    assert settings.lease_s == 0.3


def test_a_worker_reads_the_settings_of_all_its_rooms() -> None:
    ours = {
        kind
        for kind in configuration_page().settings_classes()
        if kind.__module__.split(".")[0] in {"tasks", "workers"}
    }
    assert set(ROOMS) == ours


def test_a_wrong_setting_of_any_room_is_found_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    check_settings()
    monkeypatch.setenv("TROUPE_TABLE_THREADS", "many")
    with pytest.raises(BadSetting, match="TROUPE_TABLE_THREADS: "):
        check_settings()


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
        ("LEASE_S", "1.4", r"lease_s \(1.4\) must be at least three times heartbeat_s \(0.5\)"),
        ("PRESENCE_S", "0.9", r"presence_s \(0.9\) must be at least twice heartbeat_s"),
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


def test_a_cluster_is_no_broker_and_a_producer_needs_none() -> None:
    settings = StoreSettings(redis_url=SecretStr("redis+cluster://h"))
    with pytest.raises(BadSetting, match="TROUPE_BROKER_URL: a Redis Cluster is a store and no broker"):
        _ = settings.broker
    assert StoreSettings(redis_url=SecretStr("redis+cluster://h"), broker_url=SecretStr("amqp://h")).broker


@pytest.mark.parametrize("scheme", ["nonsense", "http", "redis+cluster", "rediss+cluster", ""])
def test_a_broker_of_a_kind_that_celery_does_not_know_is_refused_at_start(scheme: str) -> None:
    with pytest.raises(BadSetting, match=r"TROUPE_BROKER_URL: .*is no broker") as caught:
        read_settings(StoreSettings, broker_url=SecretStr(f"{scheme}://u:geheim@h"))
    assert "geheim" not in str(caught.value)


def test_certificates_are_asked_for_unless_told_otherwise() -> None:
    assert StoreSettings().tls == {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    files = StoreSettings(redis_ca_file=Path("/ca"), redis_cert_file=Path("/c"), redis_key_file=Path("/k")).tls
    assert (files["ssl_ca_certs"], files["ssl_certfile"], files["ssl_keyfile"]) == ("/ca", "/c", "/k")
    assert StoreSettings(redis_insecure=True).tls == {"ssl_cert_reqs": "none", "ssl_check_hostname": False}


def test_a_broker_of_its_own_is_taken_as_it_is() -> None:
    assert StoreSettings(broker_url=SecretStr("amqp://u:p@h//")).broker == "amqp://u:p@h//"


@pytest.mark.parametrize("kind", [StoreSettings, OrchestratorSettings, WorkerSettings])
def test_every_setting_says_what_it_is(kind: type[StoreSettings]) -> None:
    source = inspect.getsource(sys.modules[kind.__module__])
    for name in kind.model_fields:
        line = source.index(f"\n    {name}: ")
        assert source[line:].split("\n", 3)[2].lstrip().startswith('"""'), name
