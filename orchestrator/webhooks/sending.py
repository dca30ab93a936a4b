"""One delivery: what is sent, and what its outcome means."""

import time
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from orchestrator.webhooks.signature import secret_of_job, signature
from tasks.errors import ContractError
from tasks.outbound.client import GuardedClient
from tasks.refusals import AddressRefused, ReplyRefused, Unreachable
from tasks.store.hooks import Hook

GONE: Final = 410
"""The status with which a receiver says that it wants no more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A hook whose turn it is."""

    hook: Hook
    fleet: SecretStr
    within_s: float

    def headers(self, timestamp: int) -> dict[str, str]:
        """What is sent beside the body. `webhook-id` is the same in every try."""
        secret = self.hook.secret or secret_of_job(self.fleet, self.hook.job)
        message = self.hook.about or ""
        return {
            "content-type": "application/json",
            "webhook-id": message,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, message, timestamp, self.hook.body),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try."""

    told: bool
    final: bool = False
    """Another try would not do better."""
    reason: str = ""


async def send(client: GuardedClient, delivery: Delivery) -> Outcome:
    """Try once. Never raises for what the receiver does."""
    hook = delivery.hook
    try:
        headers = delivery.headers(int(time.time()))
        status = await client.post(hook.url, hook.body, headers, within_s=delivery.within_s)
    except (Unreachable, ReplyRefused) as fault:
        return Outcome(told=False, reason=str(fault))
    except (AddressRefused, ContractError) as fault:
        return Outcome(told=False, final=True, reason=str(fault))
    if 200 <= status < 300:
        return Outcome(told=True)
    return Outcome(told=False, final=status == GONE, reason=f"the receiver answers with status {status}")
