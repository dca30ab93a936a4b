"""Recordings: the exchanges of a job with models and tools, in a file, to be replayed without either."""

from orchestrator.recording.recording import Recording

__all__ = ["Recording"]
