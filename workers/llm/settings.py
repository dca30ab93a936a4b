"""Settings of the models: which one answers, how long a call may take, and where prices come from."""

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from tasks.settings import RoomSettings

DEFAULT_CLAUDE: Final = "claude-sonnet-5-5"
OFFLINE: Final = "offline"


class ModelSettings(RoomSettings):
    """What a worker needs to know of models. The SDK itself reads the key and the base URL; here they are only seen."""

    model_config = SettingsConfigDict(validate_by_name=True, validate_by_alias=True)

    model: str | None = Field(default=None, min_length=1)
    """TROUPE_MODEL. Unset: `claude-sonnet-5-5` when there is a key, else `offline`."""
    model_timeout_s: float = Field(default=600.0, gt=0, le=3600)
    """Longest wait for an answer, or between two pieces of a streamed one. The SDK's own default is 600 s."""
    max_tokens: int = Field(default=8192, ge=1, le=128_000)
    """Longest answer of one call, thinking included; capped by what the model can."""
    pricing: Path | None = None
    """TROUPE_PRICING: a TOML file like `workers/llm/pricing.toml`; its models win over the built-in ones."""
    allow_model_requests: bool = True
    """False: no call leaves this machine; a model at a loopback address is still asked. For tests and CI."""
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    """Only its presence counts here."""
    anthropic_auth_token: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_AUTH_TOKEN")
    """Only its presence counts here."""

    @property
    def chosen_model(self) -> str:
        """The model that runs when nobody names another."""
        if self.model is not None:
            return self.model
        has_key = self.anthropic_api_key is not None or self.anthropic_auth_token is not None
        return DEFAULT_CLAUDE if has_key else OFFLINE
