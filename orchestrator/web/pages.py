"""The page's files: read once, named after their content, and told to run nothing that is not theirs."""

import hashlib
import mimetypes
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

INDEX: Final = "index.html"
SLOT: Final = "{version}"
"""Stands in index.html where the version of all files belongs."""
POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No script, style, picture or request but of and to this origin; nothing inline; no text is ever made into markup."""
KEPT: Final = "public, max-age=31536000, immutable"
"""For files under a name that changes with any of them."""
ASKED_AGAIN: Final = "no-cache"


class Static:
    """The files by their names, in memory: no path of a request is ever looked up on the disk."""

    def __init__(self) -> None:
        folder = files("orchestrator.web").joinpath("static")
        found = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
        digest = hashlib.sha256()
        for name in sorted(found):
            digest.update(name.encode() + b"\0" + found[name] + b"\0")
        self.version = digest.hexdigest()[:12]
        found[INDEX] = found[INDEX].replace(SLOT.encode(), self.version.encode())
        self.files = found
        self.tags = {name: f'"{hashlib.sha256(content).hexdigest()[:20]}"' for name, content in found.items()}

    async def index(self, request: Request) -> Response:
        """The page. Asked for anew each time, so that a new release is seen at once."""
        return self._answer(request, INDEX, ASKED_AGAIN)

    async def file(self, request: Request) -> Response:
        """One file. Under another release's version it is given too, but not kept: replicas may be of two releases."""
        name = str(request.path_params["name"])
        if name not in self.files or name == INDEX:
            raise HTTPException(404)
        return self._answer(request, name, KEPT if request.path_params["version"] == self.version else ASKED_AGAIN)

    def _answer(self, request: Request, name: str, control: str) -> Response:
        tag = self.tags[name]
        headers = {"ETag": tag, "Cache-Control": control, "Content-Security-Policy": POLICY}
        if tag in {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=headers)
        return Response(self.files[name], headers=headers, media_type=mimetypes.guess_type(name)[0])


def mount(app: FastAPI) -> None:
    """Serve the page at `/`, and its files under `/web/`. They hold no secret, so nobody needs a key to read them."""
    static = Static()
    app.add_route("/", static.index, include_in_schema=False)
    app.add_route("/web/{version}/{name}", static.file, include_in_schema=False)
