"""A word about models that their provider switches off on a known day."""

from functools import cache

from tasks.library_log import LibraryLog
from workers.llm.pricing import ModelFacts

log = LibraryLog("worker")  # commands look at models too, and their stdout belongs to answers


def warn_of_retirement(model: str, facts: ModelFacts) -> None:
    """Say when a model retires, where that is known; once in each process."""
    if facts.retires is not None:
        _warn(model, facts.retires.isoformat(), facts.successor)


@cache
def _warn(model: str, day: str, successor: str | None) -> None:
    log.warning("model_retires", model=model, on=day, instead=successor)
