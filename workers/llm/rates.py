"""Rate limits that are known before the provider tells them: TROUPE_RATE_LIMITS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from tasks.store.limits import Rates

UNITS: Final = ("requests", "input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class RateTable:
    """Limits of all models, and of classes of models that have their own."""

    general: Rates = field(default_factory=Rates)
    by_class: Mapping[str, Rates] = field(default_factory=dict[str, Rates])

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `requests=50,input_tokens=30000;claude-opus-5-5:requests=20`.

        Raises:
            ValueError: it has not that form.
        """
        general, by_class = Rates(), dict[str, Rates]()
        for part in filter(None, (part.strip() for part in text.split(";"))):
            name, colon, limits = part.rpartition(":")
            if colon:
                by_class[name.strip()] = _rates(limits)
            else:
                general = _rates(part)
        return cls(general, by_class)

    def of(self, model_class: str) -> Rates:
        """What is known of a class of models."""
        return self.by_class.get(model_class, self.general)


def _rates(text: str) -> Rates:
    found: dict[str, int] = {}
    for pair in text.split(","):
        name, _, number = (word.strip() for word in pair.partition("="))
        if name not in UNITS or not number.isdecimal() or int(number) < 1:
            raise ValueError(f"{pair.strip()!r} is no limit: write {'=…, '.join(UNITS)}=… with numbers a minute")
        found[name] = int(number)
    return Rates(**found)
