"""Prices against figures worked out by hand from the provider's price list."""

from pathlib import Path

import pytest

from tasks.errors import BadSetting, UnknownModel
from workers.llm.names import ModelName, Platform
from workers.llm.pricing import Pricing

PRICING = Pricing.read()


@pytest.mark.parametrize(
    ("model", "million_in", "million_out", "million_read", "million_5m", "million_1h"),
    [
        ("claude-fable-5-2", 8_000_000, 40_000_000, 200_000, 10_000_000, 16_000_000),
        ("claude-fable-5-1", 10_000_000, 50_000_000, 250_000, 12_500_000, 20_000_000),
        ("claude-fable-5", 10_000_000, 50_000_000, 1_000_000, 12_500_000, 20_000_000),
        ("claude-opus-5-5", 4_000_000, 20_000_000, 200_000, 5_000_000, 8_000_000),
        ("claude-sonnet-5-5", 2_000_000, 10_000_000, 100_000, 2_500_000, 4_000_000),
        ("claude-haiku-5-5", 500_000, 500_000, 50_000, 625_000, 1_000_000),
        ("claude-opus-5", 5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000),
        ("claude-sonnet-5", 2_000_000, 10_000_000, 200_000, 2_500_000, 4_000_000),
        ("claude-opus-4-8", 5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000),
        ("claude-opus-4-7", 5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000),
        ("claude-opus-4-6", 5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000),
        ("claude-opus-4-5", 5_000_000, 25_000_000, 500_000, 6_250_000, 10_000_000),
        ("claude-sonnet-4-6", 3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000),
        ("claude-sonnet-4-5", 3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000),
        ("claude-haiku-4-5", 1_000_000, 5_000_000, 100_000, 1_250_000, 2_000_000),
    ],
)
def test_a_million_tokens_cost_what_the_list_says(
    model: str, million_in: int, million_out: int, million_read: int, million_5m: int, million_1h: int
) -> None:
    million = 1_000_000
    assert PRICING.cost_microusd(model, input_tokens=million, output_tokens=0) == million_in
    assert PRICING.cost_microusd(model, input_tokens=0, output_tokens=million) == million_out
    assert PRICING.cost_microusd(model, input_tokens=0, output_tokens=0, cache_read_tokens=million) == million_read
    assert PRICING.cost_microusd(model, input_tokens=0, output_tokens=0, cache_write_5m_tokens=million) == million_5m
    assert PRICING.cost_microusd(model, input_tokens=0, output_tokens=0, cache_write_1h_tokens=million) == million_1h


def test_every_model_of_the_table_has_a_golden_price() -> None:
    assert len(PRICING.models) == 15


def test_haiku_is_cheap_up_to_a_hundred_thousand_prompt_tokens() -> None:
    assert PRICING.cost_microusd("claude-haiku-5-5", input_tokens=100_000, output_tokens=1_000) == 10_500


def test_one_more_prompt_token_raises_the_price_of_every_token() -> None:
    assert PRICING.cost_microusd("claude-haiku-5-5", input_tokens=100_001, output_tokens=1_000) == 52_501


def test_cached_tokens_count_towards_the_size_of_the_prompt() -> None:
    cost = PRICING.cost_microusd("claude-haiku-5-5", input_tokens=1, output_tokens=1_000, cache_read_tokens=100_000)
    assert cost == 7_501  # 1 × 0.5 + 100,000 × 0.05 + 1,000 × 2.5, rounded up


def test_a_fraction_of_a_microdollar_is_rounded_up_once() -> None:
    assert PRICING.cost_microusd("claude-haiku-5-5", input_tokens=1, output_tokens=0) == 1
    assert PRICING.cost_microusd("claude-haiku-5-5", input_tokens=11, output_tokens=1) == 2


def test_nothing_used_costs_nothing() -> None:
    assert PRICING.cost_microusd("claude-opus-5", input_tokens=0, output_tokens=0) == 0


def test_batches_cost_half() -> None:
    cost = PRICING.cost_microusd("claude-sonnet-5-5", input_tokens=1_000, output_tokens=100, batch=True)
    assert cost == 1_500


@pytest.mark.parametrize(
    "model",
    [
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "bedrock/anthropic.claude-haiku-4-5",
        "vertex/claude-haiku-4-5@20251001",
        "foundry/claude-haiku-4-5",
    ],
)
def test_dated_and_cloud_ids_have_the_price_of_their_family(model: str) -> None:
    assert PRICING.facts(model) == PRICING.facts("claude-haiku-4-5")


@pytest.mark.parametrize(
    "model", ["claude-foo", "claude-haiku-4-5-2025", "gpt-6", "", "us.anthropic.claude-haiku-4-5", "claude-mythos-5"]
)
def test_a_model_without_a_price_is_refused_and_the_setting_named(model: str) -> None:
    with pytest.raises(UnknownModel, match="TROUPE_PRICING"):
        PRICING.cost_microusd(model, input_tokens=1, output_tokens=1)


def test_limits_and_end_of_life_stand_beside_the_price() -> None:
    facts = PRICING.facts("claude-sonnet-4-5-20250929")
    assert (facts.context, facts.max_output, str(facts.retires)) == (200_000, 64_000, "2026-11-30")
    assert PRICING.facts("claude-sonnet-5-5").max_output == 128_000
    assert PRICING.as_of.year >= 2026


def test_an_override_adds_and_replaces_models(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text("[models.my-deployment]\ninput = 1.5\noutput = 3\n[models.claude-opus-5]\ninput = 1\noutput = 2\n")
    pricing = Pricing.read(file)
    assert pricing.cost_microusd("foundry/my-deployment", input_tokens=3, output_tokens=1) == 8
    assert pricing.cost_microusd("claude-opus-5", input_tokens=1, output_tokens=1) == 3
    assert "claude-sonnet-5-5" in pricing.models


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models = 3", "cannot be used"),
        ("[models.x]\ninput = -1\noutput = 1", "models.x.input"),
        ("[models.x]\noutput = 1", "models.x.input: Field required"),
        ("not toml at all", "cannot be used"),
    ],
)
def test_a_bad_override_is_refused_by_name(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(BadSetting, match=f"TROUPE_PRICING.*{fault}"):
        Pricing.read(file)


def test_a_missing_override_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"none\.toml"):
        Pricing.read(tmp_path / "none.toml")


def test_names_fall_apart_into_platform_and_id() -> None:
    assert ModelName.parse("claude-opus-5") == (Platform.ANTHROPIC, "claude-opus-5")
    assert ModelName.parse("vertex/claude-opus-5@20260724") == (Platform.VERTEX, "claude-opus-5@20260724")
    assert ModelName.parse("anthropic/claude-opus-5") == (Platform.ANTHROPIC, "anthropic/claude-opus-5")
    assert ModelName.parse("other/claude-opus-5").family == "other/claude-opus-5"
