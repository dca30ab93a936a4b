"""Time travel: a job again from one of its steps, its failed part again, two jobs side by side."""

from orchestrator.travel.difference import JobDiff, diff

__all__ = ["JobDiff", "diff"]
