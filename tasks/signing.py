"""Signatures of what people decide: whoever may write to the store cannot decide for them.

All processes of a fleet share one secret: TROUPE_SECRET, or a file in TROUPE_HOME that the first one makes.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import Field, JsonValue, SecretStr

from tasks.errors import BadSetting
from tasks.settings import RoomSettings


class SigningSettings(RoomSettings):
    """What decisions of people are signed with. Equal in every process of a fleet."""

    secret: SecretStr | None = None
    """At least 16 characters; unset: what stands in the file `secret` of TROUPE_HOME, which the first process makes.
    Set it where workers and those who approve are on several machines."""
    home: Path = Field(default_factory=lambda: Path.home() / ".troupe")
    """Where the file is."""

    def read(self) -> SecretStr:
        """The fleet's secret.

        Raises:
            BadSetting: it is too short, or the file can neither be read nor made.
        """
        return read_secret(self.secret, self.home.expanduser().absolute())


class Place(NamedTuple):
    """Where something is asked: what is signed for one place is worth nothing at another."""

    job: str
    step: str
    key: str


FILE: Final = "secret"
SIGNATURE: Final = "signature"
LEAST_CHARS: Final = 16


def digest(value: JsonValue) -> str:
    """Fingerprint of arguments, whatever the order of their fields."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sign(secret: SecretStr, *parts: str) -> str:
    """HMAC-SHA256 over the parts, none of which can run into the next."""
    text = json.dumps(parts, ensure_ascii=True)
    return hmac.new(secret.get_secret_value().encode(), text.encode(), hashlib.sha256).hexdigest()


def is_signed(secret: SecretStr, signature: object, *parts: str) -> bool:
    """Whether the signature is that of the parts."""
    return isinstance(signature, str) and hmac.compare_digest(signature.encode(), sign(secret, *parts).encode())


def as_asked(secret: SecretStr, place: Place, asked: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a step asks, signed by its worker: people see what it wants to do, and nothing else."""
    return {**asked, SIGNATURE: sign(secret, "asked", *place, digest(dict(asked)))}


def is_asked(secret: SecretStr, place: Place, asked: Mapping[str, JsonValue]) -> bool:
    """Whether a step of this fleet asks this, at this place."""
    bare = {name: value for name, value in asked.items() if name != SIGNATURE}
    return is_signed(secret, asked.get(SIGNATURE), "asked", *place, digest(bare))


def as_decided(
    secret: SecretStr, place: Place, asked: Mapping[str, JsonValue], outcome: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """What was decided about it, signed: it holds for what was asked and shown, whole, and for nothing else."""
    return {**outcome, SIGNATURE: sign(secret, "decided", *place, digest(dict(asked)), digest(dict(outcome)))}


def is_decided(
    secret: SecretStr, place: Place, asked: Mapping[str, JsonValue], outcome: Mapping[str, JsonValue]
) -> bool:
    """Whether somebody with the fleet's secret decided this, about this."""
    bare = {name: value for name, value in outcome.items() if name != SIGNATURE}
    return is_signed(secret, outcome.get(SIGNATURE), "decided", *place, digest(dict(asked)), digest(bare))


def read_secret(given: SecretStr | None, home: Path) -> SecretStr:
    """The fleet's secret: the given one, else that of the home folder, which is made when there is none.

    Raises:
        BadSetting: it is too short, or the file can neither be read nor made.
    """
    if given is None:
        given = SecretStr(_of_file(home / FILE))
    if len(given.get_secret_value()) < LEAST_CHARS:
        raise BadSetting(f"TROUPE_SECRET must have at least {LEAST_CHARS} characters")
    return given


def _of_file(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Whole or not at all: another process may read it at any time.
            scratch = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
            try:
                os.link(scratch, path)
            finally:
                scratch.unlink()
        except FileExistsError:
            pass
        return path.read_text().strip()
    except OSError as error:
        raise BadSetting(f"the secret of this fleet cannot be kept in {path}: {error}; set TROUPE_SECRET") from error
