"""`troupe kb`, of the workers' side: about this machine, or the fleet behind an API where one is named."""

from functools import partial
from typing import Final

import typer

from orchestrator.cli.bases import RemoteBases
from orchestrator.cli.place import api_settings
from workers.cli.kb import kb

__all__: Final = ["kb"]


@kb.callback()
def _there(context: typer.Context) -> None:
    if (settings := api_settings()) is not None:
        context.obj = partial(RemoteBases, settings)
