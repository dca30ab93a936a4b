"""The offline model: no key, no network, no language model. Plans, searches, computes and summarises by rules."""

from workers.llm.offline.model import OfflineModel

__all__ = ["OfflineModel"]
