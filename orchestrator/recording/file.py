"""The file of a recording: JSON Lines, written whole or not at all, and read within bounds, whoever wrote it."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from orchestrator.recording.lines import FORMAT, LINE, Line
from tasks.errors import BadRecording, IncompatibleVersion

MIB: Final = 1024 * 1024
MAX_LINE_BYTES: Final = 16 * MIB
"""Four times what any payload may have."""
MAX_FILE_BYTES: Final = 512 * MIB
MAX_LINES: Final = 200_000
MAX_FAULTS: Final = 3
MAX_RELEASE_CHARS: Final = 40


class _Beginning(BaseModel):
    """As much of the first line as every format has."""

    line: str
    format: int
    release: str = "?"


def read_lines(path: Path) -> Iterator[tuple[int, Line]]:
    """The lines of a recording with their numbers, from 1.

    Raises:
        BadRecording: it cannot be read, is cut, too large, or no recording.
        IncompatibleVersion: it is of a later format.
    """
    try:
        with path.open("rb") as file:
            size = 0
            for number in range(1, MAX_LINES + 2):
                raw = file.readline(MAX_LINE_BYTES + 1)
                size += len(raw)
                if not raw and number > 1:
                    return
                if number == 1:
                    _check_beginning(path, raw)
                _check_size(path, number, len(raw), size)
                if not raw.endswith(b"\n"):
                    raise BadRecording(f"{path} is cut: its line {number} has no end")
                yield number, _line(path, number, raw)
    except OSError as error:
        raise BadRecording(f"{path} cannot be read: {error.strerror or error}") from error


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """Write a recording beside its place, and put it there whole. For the user's eyes only.

    Raises:
        BadRecording: it cannot be written, or is too large to be read again; what was there before still is.
    """
    size, draft = 0, None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:100]}-", delete=False) as file:
            draft = Path(file.name)
            for number, line in enumerate(lines, start=1):
                raw = line.model_dump_json(exclude_defaults=False).encode() + b"\n"
                size += len(raw)
                _check_size(path, number, len(raw), size)
                file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException as error:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BadRecording(f"{path} cannot be written: {error.strerror or error}") from error
        raise


def check_place(path: Path) -> None:
    """See that a recording can be put there, before there is one.

    Raises:
        BadRecording: it cannot.
    """
    if path.is_dir():
        raise BadRecording(f"{path} is a folder; name a file")
    if not path.parent.is_dir():
        raise BadRecording(f"{path} cannot be written: there is no folder {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadRecording(f"{path} cannot be written: the folder {str(path.parent)!r} is not yours to write in")


def _check_beginning(path: Path, raw: bytes) -> None:
    try:
        beginning = _Beginning.model_validate_json(raw[:MAX_LINE_BYTES])
    except ValidationError as error:
        raise BadRecording(f"{path} is no recording: its first line does not say so") from error
    if beginning.line != "recording" or beginning.format < 1:
        raise BadRecording(f"{path} is no recording: its first line does not say so")
    if beginning.format > FORMAT:
        raise IncompatibleVersion(
            f"{path} is a recording of format {beginning.format}, of release {beginning.release[:MAX_RELEASE_CHARS]!r};"
            f" this release reads format {FORMAT}"
        )


def _check_size(path: Path, number: int, line: int, size: int) -> None:
    if line > MAX_LINE_BYTES:
        raise BadRecording(f"{path}: line {number} has more than {MAX_LINE_BYTES // MIB} MiB")
    if size > MAX_FILE_BYTES:
        raise BadRecording(f"{path}: a recording has at most {MAX_FILE_BYTES // MIB} MiB")
    if number > MAX_LINES:
        raise BadRecording(f"{path}: a recording has at most {MAX_LINES:,} lines")


def _line(path: Path, number: int, raw: bytes) -> Line:
    try:
        return LINE.validate_json(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in faults[:MAX_FAULTS])
        raise BadRecording(f"{path}: line {number} is not as recordings have it: {said}") from error
