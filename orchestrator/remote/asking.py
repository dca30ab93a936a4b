"""What a request for a job says, checked here first, so that what is wrong is said in the same words at every door."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final, Unpack, cast

from pydantic import BaseModel, JsonValue

from orchestrator.remote.connection import Connection
from orchestrator.request import JobOptions, job_spec, length_of
from tasks.errors import BadTable
from tasks.ids import new_job_id
from tasks.models import DEFAULT_TIMEOUT
from tasks.tenancy import DEFAULT_TENANT

AS_THEY_ARE: Final = ("model", "budget_usd", "priority", "max_in_flight", "max_steps", "replan", "review")


class FileRow(BaseModel):
    """As much as is used of an uploaded file."""

    id: str
    name: str = ""


def fresh_key() -> str:
    """An idempotency key that nobody has: with it a request whose answer was lost is sent again, and done once."""
    return f"once-{token_hex(16)}"


async def asked_for(api: Connection, task: str, options: JobOptions) -> dict[str, JsonValue]:
    """The body of a request; data files are uploaded before.

    Raises:
        ContractError: an argument is wrong.
        ApiUnavailable: no answer.
    """
    spec = job_spec(new_job_id(0), task, **options)
    body: dict[str, JsonValue] = {"task": task, "knowledge": list(spec.knowledge)}
    said = spec.model_dump(mode="json")
    given: Mapping[str, JsonValue] = cast("Mapping[str, JsonValue]", options)
    body |= {name: given[name] for name in AS_THEY_ARE if given.get(name) is not None}
    body |= {"plan": said["plan"]} if spec.plan is not None else {}
    body |= {"budget": said["limits"]} if spec.limits is not None else {}
    body["timeout_s"] = length_of(options.get("timeout", DEFAULT_TIMEOUT)) / timedelta(seconds=1)
    if spec.tenant != DEFAULT_TENANT:  # that of the key, otherwise
        body["tenant"] = spec.tenant
    if spec.data:
        body["files"] = list(await upload(api, [Path(one.path) for one in spec.data], spec.tenant))
    return body


async def upload(api: Connection, paths: Sequence[Path], tenant: str = DEFAULT_TENANT) -> list[str]:
    """Put data files where the fleet's workers find them; their ids, in the same order.

    Args:
        tenant: For operators, on whose behalf.

    Raises:
        BadTable: one cannot be read.
        PayloadTooLarge: they are larger than the API takes.
        ApiUnavailable: no answer.
    """
    with ExitStack() as opened:
        try:
            files = [("files", (path.name, opened.enter_context(path.open("rb")))) for path in paths]
        except OSError as error:
            raise BadTable(f"{error.filename}: {error.strerror}") from error
        query = {"tenant": tenant} if tenant != DEFAULT_TENANT else None
        reply = await api.ask("POST", "files", query=query, uploads=files)
    return [one.id for one in reply.read(list[FileRow])]


def job_options(**options: Unpack[JobOptions]) -> JobOptions:
    """Options, as one thing."""
    return options
