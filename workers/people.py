"""How running steps ask people, and how they know that what came back is what people have decided."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from pydantic import JsonValue, SecretStr

from tasks.models import Claim
from tasks.signing import Place, as_asked, digest, is_asked, is_decided, sign
from tasks.store.waits import Wait, WaitKind, Wanted

log = structlog.get_logger("worker")

EXPIRED: Final = "expired"
FORGED: Final = "forged"
"""Kind of an outcome that nobody with the fleet's secret has given, or of a question that was changed in the store."""


@dataclass(frozen=True, slots=True)
class People:
    """What a fleet asks people with."""

    secret: SecretStr
    expires: timedelta | None = None
    """How long a decision is waited for where nothing else is said; None: as long as the step may take."""

    def wanted(
        self, claim: Claim, key: str, kind: WaitKind, asked: Mapping[str, JsonValue], expires: timedelta | None
    ) -> Wanted:
        """The wait for a decision; what is asked is signed."""
        data = as_asked(self.secret, _place(claim, key), {"agent": claim.step.agent, **asked})
        return Wanted(key, kind, json.dumps(data, ensure_ascii=False), expires or self.expires)

    def fingerprint(self, value: JsonValue) -> str:
        """Of arguments, secrets among them: whoever reads the store cannot guess them from it."""
        return sign(self.secret, "arguments", digest(value))

    def decision(
        self, claim: Claim, wait: Wait, asked: Mapping[str, JsonValue], same: Collection[str]
    ) -> Mapping[str, JsonValue]:
        """What was decided: `{"kind": …}`; of the kind `forged` when it is not genuine.

        Args:
            asked: What would be asked now.
            same: Fields of it that must be what they were when it was asked.
        """
        outcome, place = wait.outcome or {}, _place(claim, wait.key)
        if outcome.get("kind") == EXPIRED:
            return outcome
        data = wait.data if isinstance(wait.data, dict) else {}
        if (
            not is_asked(self.secret, place, data)
            or any(data.get(name) != asked.get(name) for name in same)
            or not is_decided(self.secret, place, data, outcome)
        ):
            log.warning("decision_not_genuine", key=wait.key)
            return {"kind": FORGED}
        return outcome


def _place(claim: Claim, key: str) -> Place:
    return Place(claim.job.id, claim.step.id, key)
