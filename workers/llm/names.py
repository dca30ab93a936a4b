"""Model names: `claude-sonnet-5-5`, or `platform/id` for Claude on a cloud: `bedrock/anthropic.claude-sonnet-5-5`."""

import re
from enum import StrEnum
from typing import Final, NamedTuple


class Platform(StrEnum):
    """Who serves a Claude model."""

    ANTHROPIC = "anthropic"
    """The Claude API; names carry no prefix."""
    BEDROCK = "bedrock"
    """AWS; credentials as boto3 finds them."""
    VERTEX = "vertex"
    """Google Cloud; credentials as google-auth finds them."""
    FOUNDRY = "foundry"
    """Microsoft Foundry; the id is the deployment's name."""


PREFIXES: Final = tuple(f"{platform}/" for platform in Platform if platform is not Platform.ANTHROPIC)

_DATED = re.compile(r"(claude-[a-z0-9-]+?)(?:-\d{8})?")
"""The Claude API dates its ids as `claude-haiku-4-5-20251001`."""
_ON_CLOUD = re.compile(r"(?:(?:[a-z]{2,6}\.)?anthropic\.)?(claude-[a-z0-9-]+?)(?:[-@]\d{8})?(?:-v\d+(?::\d+)?)?")
"""Clouds add region and version: `us.anthropic.claude-haiku-4-5-20251001-v1:0`, `claude-haiku-4-5@20251001`."""


class ModelName(NamedTuple):
    """A model's name, taken apart."""

    platform: Platform
    id: str
    """As the platform knows it."""

    @classmethod
    def parse(cls, name: str) -> "ModelName":
        """Split off the platform; a name without a known prefix belongs to the Claude API."""
        prefix, slash, rest = name.partition("/")
        if slash and f"{prefix}/" in PREFIXES:
            return cls(Platform(prefix), rest)
        return cls(Platform.ANTHROPIC, name)

    @property
    def family(self) -> str:
        """The id without date, region and version, as prices are listed; the id itself when it has no such form."""
        pattern = _DATED if self.platform is Platform.ANTHROPIC else _ON_CLOUD
        match = pattern.fullmatch(self.id)
        return match[1] if match else self.id
