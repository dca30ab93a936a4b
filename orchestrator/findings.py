"""What a doctor says: findings, each with what to do."""

from enum import StrEnum

from tasks.wire import Wire


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Works, with a risk."""
    PROBLEM = "problem"
    """Jobs will not run, or may be lost."""


class Finding(Wire):
    """One thing that was looked at."""

    check: str
    verdict: Verdict
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, verdict=Verdict.OK, message=message)


def warning(check: str, message: str, advice: str) -> Finding:
    """A risk."""
    return Finding(check=check, verdict=Verdict.WARNING, message=message, advice=advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """Jobs will not run, or may be lost."""
    return Finding(check=check, verdict=Verdict.PROBLEM, message=message, advice=advice)
