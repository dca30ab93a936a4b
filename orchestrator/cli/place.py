"""The client of a command."""

from orchestrator.blocking import Troupe


def connect() -> Troupe:
    """A client for the fleet to talk to."""
    return Troupe()
