"""Settings of the models: which one answers, how long a call may take, and where prices come from."""

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from tasks.settings import RoomSettings
from workers.llm.rates import RateTable

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
    session_tokens: int = Field(default=4_000, ge=100, le=500_000)
    """What agents are shown of a session's earlier messages, in tokens (estimated): the newest whole, older ones
    shortened."""
    prompt_cache: bool = True
    """Whether prompts are kept in the provider's cache, and steps that begin alike wait for the first of them."""
    prompt_cache_ttl: Literal["5m", "1h"] = "5m"
    """How long what steps share is kept there after its last use. An hour costs 2 times the input price to write, five
    minutes 1.25 times; what only one conversation needs is always kept for five minutes."""
    prompt_cache_wait_s: float = Field(default=20.0, ge=0, le=600)
    """Longest wait for a call with the same beginning to have its answer begun; 0: none waits."""
    patience_s: float = Field(default=10.0, ge=0, le=600)
    """How long a call waits in place, for its turn under the rate limits and between tries. For a longer wait the step
    gives its slot back and is put off."""
    rate_limits: str = ""
    """The key's rate limits a minute, where they are known beforehand: `requests=50,input_tokens=30000`, also
    `output_tokens`; of single models behind `;` as `claude-opus-5-5:requests=20`. What the provider's headers say wins.
    Unset: the first calls find out."""
    pricing: Path | None = None
    """TROUPE_PRICING: a TOML file like `workers/llm/pricing.toml`; its models win over the built-in ones."""
    allow_model_requests: bool = True
    """False: no call leaves this machine; a model at a loopback address is still asked. For tests and CI."""
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_API_KEY")
    """Only its presence counts here."""
    anthropic_auth_token: SecretStr | None = Field(default=None, validation_alias="ANTHROPIC_AUTH_TOKEN")
    """Only its presence counts here."""

    @field_validator("rate_limits")
    @classmethod
    def _are_rate_limits(cls, value: str) -> str:
        RateTable.parse(value)
        return value

    @property
    def rates(self) -> RateTable:
        """The rate limits that are known beforehand."""
        return RateTable.parse(self.rate_limits)

    @property
    def cache(self) -> Literal["5m", "1h"] | None:
        """How long prompts are kept in the provider's cache; None: not at all."""
        return self.prompt_cache_ttl if self.prompt_cache else None

    @property
    def chosen_model(self) -> str:
        """The model that runs when nobody names another."""
        if self.model is not None:
            return self.model
        has_key = self.anthropic_api_key is not None or self.anthropic_auth_token is not None
        return DEFAULT_CLAUDE if has_key else OFFLINE
