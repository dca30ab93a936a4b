"""Signatures of webhooks, in the form of Standard Webhooks (https://www.standardwebhooks.com): made, and checked."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, cast

from pydantic import JsonValue, SecretStr

from tasks.errors import ContractError, NotGenuine
from tasks.signing import sign

PREFIX: Final = "whsec_"
"""Begins a secret whose rest is base64; any other secret is taken as it is."""
VERSION: Final = "v1"
TOLERANCE: Final = timedelta(minutes=5)
"""How far the clocks of sender and receiver may differ; older messages are somebody's recording."""


def secret_of_job(fleet: SecretStr, job: str) -> SecretStr:
    """The secret of a job whose webhook brought none.

    It is `whsec_` and the base64 of the HMAC-SHA256, under TROUPE_SECRET, of `["webhook", "<job id>"]` in JSON.
    """
    return SecretStr(PREFIX + base64.b64encode(bytes.fromhex(sign(fleet, "webhook", job))).decode())


def signature(secret: SecretStr, message: str, timestamp: int, body: bytes) -> str:
    """What `webhook-signature` says.

    Raises:
        ContractError: the secret begins with `whsec_`, and its rest is no base64.
    """
    signed = b".".join((message.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"


def verify(
    headers: Mapping[str, str], body: bytes, secret: str | SecretStr, *, now: datetime | None = None
) -> dict[str, JsonValue]:
    """Check a webhook that was received, and return what it says. Messages may come twice: `webhook-id` tells.

    Args:
        headers: Of the request; case does not matter.
        body: Of the request, byte for byte.
        now: The time; the clock's unless given.

    Raises:
        NotGenuine: it was not signed with this secret, was changed, or was sent more than five minutes ago.
        ContractError: the secret begins with `whsec_`, and its rest is no base64.
    """
    given = {name.lower(): value for name, value in headers.items()}
    message, sent = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not sent.isascii() or not sent.isdigit() or len(sent) > 12:
        raise NotGenuine("the webhook has no timestamp")
    clock = (datetime.now().astimezone() if now is None else now).timestamp()
    if abs(clock - int(sent)) > TOLERANCE.total_seconds():
        raise NotGenuine("the webhook was sent at another time")
    held = secret if isinstance(secret, SecretStr) else SecretStr(secret)
    right = signature(held, message, int(sent), body).encode()
    signatures = given.get("webhook-signature", "").encode("utf-8", "replace").split()
    if not any(hmac.compare_digest(one, right) for one in signatures[:10]):
        raise NotGenuine("the webhook is not signed with this secret, or was changed")
    return cast("dict[str, JsonValue]", json.loads(body))


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ContractError("a webhook's secret that begins with whsec_ must go on in base64") from exc
