"""The client of a command."""

from orchestrator.blocking import Troupe
from orchestrator.remote.settings import RemoteSettings, is_remote
from tasks.errors import ContractError
from tasks.settings import read_settings


def connect() -> Troupe:
    """A client for the fleet to talk to."""
    return Troupe()


def check_here(what: str) -> None:
    """See that the fleet to talk to is not one behind an API: its workers do not search what is on this machine.

    Raises:
        ContractError: it is.
    """
    url = read_settings(RemoteSettings).api_url
    if is_remote(url):
        raise ContractError(
            f"{what} is about knowledge bases of this machine, and TROUPE_API_URL names a fleet elsewhere: "
            f"send documents to {url}/v1/knowledge/NAME/documents, and search them with --kb NAME"
        )
