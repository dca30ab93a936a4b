"""`troupe kb`, of the workers' side, where it makes sense."""

from typing import Final

from orchestrator.cli.place import check_here
from workers.cli.kb import kb

__all__: Final = ["kb"]


@kb.callback()
def _here() -> None:
    check_here("troupe kb")
