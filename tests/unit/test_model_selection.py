"""Which model answers, and how a wrong name fails before any call."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.errors import BadSetting, UnknownModel
from tasks.settings import read_settings
from workers.llm.catalog import make_model
from workers.llm.claude import ClaudeModel
from workers.llm.settings import ModelSettings
from workers.testing import forbid_model_calls


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "TROUPE_MODEL", "TROUPE_PRICING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TROUPE_CONFIG", os.devnull)


def test_without_a_key_the_offline_model_is_chosen() -> None:
    assert ModelSettings().chosen_model == "offline"


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_with_a_key_claude_is_chosen(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "sk-ant-secret")
    settings = ModelSettings()
    assert settings.chosen_model == "claude-sonnet-5-5"
    assert "secret" not in repr(settings)


def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    assert ModelSettings().chosen_model == "offline"


def test_the_variable_wins_over_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    monkeypatch.setenv("TROUPE_MODEL", "claude-opus-5-5")
    assert ModelSettings().chosen_model == "claude-opus-5-5"


def test_a_bad_limit_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_MAX_TOKENS", "0")
    with pytest.raises(BadSetting, match="TROUPE_MAX_TOKENS"):
        read_settings(ModelSettings)


def test_the_offline_model_is_made_by_name_and_by_default() -> None:
    assert make_model("offline", ModelSettings()).name == "offline"
    assert make_model(None, ModelSettings()).name == "offline"


@pytest.mark.parametrize(
    "name", ["claude-sonnet-5-5", "claude-haiku-4-5-20251001", "bedrock/anthropic.claude-opus-5-5"]
)
def test_claude_is_made_by_name_without_a_client(name: str) -> None:
    model = make_model(name, ModelSettings())
    assert isinstance(model, ClaudeModel)
    assert model.name == name


@pytest.mark.parametrize("name", ["claude-foo", "gpt-6", "bedrock/nova", "Offline", "claude-"])
def test_an_unknown_name_is_refused_on_one_line_with_what_there_is(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        make_model(name, ModelSettings())
    message = str(caught.value)
    assert repr(name) in message
    assert "offline, " in message
    assert "claude-sonnet-5-5" in message
    assert "\n" not in message


def test_a_model_of_the_users_own_price_file_is_allowed(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text("[models.house-model]\ninput = 1\noutput = 1\n")
    assert make_model("house-model", ModelSettings(pricing=prices)).name == "house-model"


def test_a_retiring_model_is_still_served_and_the_day_logged_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Where nothing configures logs, as in `troupe run --json`, it must not get between what is on stdout."""
    code = (
        "from workers.llm.catalog import make_model; from workers.llm.settings import ModelSettings;"
        "print([make_model('claude-sonnet-4-5', ModelSettings()).name for _ in range(2)])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    said = capfd.readouterr()
    assert said.out == "['claude-sonnet-4-5', 'claude-sonnet-4-5']\n"
    assert said.err == "model_retires model=claude-sonnet-4-5 on=2026-11-30 instead=claude-sonnet-5-5\n"


def test_the_guard_holds_inside_and_is_lifted_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_ALLOW_MODEL_REQUESTS", "true")
    with forbid_model_calls():
        assert not ModelSettings().allow_model_requests
    assert ModelSettings().allow_model_requests
    monkeypatch.delenv("TROUPE_ALLOW_MODEL_REQUESTS")
    with forbid_model_calls():
        assert not ModelSettings().allow_model_requests
    assert ModelSettings().allow_model_requests


def test_choosing_the_offline_model_loads_no_sdk() -> None:
    code = (
        "import sys; from workers.llm.catalog import make_model; from workers.llm.settings import ModelSettings;"
        "make_model('offline', ModelSettings()); assert 'anthropic' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
