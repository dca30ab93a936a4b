"""From a model's name to the model."""

from tasks.errors import UnknownModel
from tasks.store.limits import LimitStore
from workers.llm.base import Model
from workers.llm.limited import LimitedModel
from workers.llm.names import PREFIXES
from workers.llm.pricing import Pricing
from workers.llm.rate_headers import look
from workers.llm.retirement import warn_of_retirement
from workers.llm.settings import OFFLINE, ModelSettings


def make_model(name: str | None, settings: ModelSettings, limits: LimitStore | None = None) -> Model:
    """The model of that name, or the one that the settings choose. Connects to nothing.

    Args:
        limits: Where the fleet keeps the rate limits of its keys; without it, nothing is limited and tried again.

    Raises:
        UnknownModel: there is no such model; the message lists those there are, on one line.
        BadSetting: the price table that TROUPE_PRICING names cannot be read.
    """
    name = name or settings.chosen_model
    if name == OFFLINE:
        from workers.llm.offline import OfflineModel

        return OfflineModel()
    pricing = Pricing.read(settings.pricing)
    if not name.startswith(("claude-", *PREFIXES)) and name not in pricing.models:
        raise UnknownModel(
            f"no model {name!r}; there are: {OFFLINE}, {', '.join(pricing.models)} (also after {' '.join(PREFIXES)})"
        )
    facts = pricing.facts(name)
    warn_of_retirement(name, facts)
    from workers.llm.claude import ClaudeModel

    model = ClaudeModel(name, settings, pricing=pricing, middleware=[look])
    return model if limits is None else LimitedModel(model, limits, settings)
