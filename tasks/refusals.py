"""Errors of the doors: who may not come in, not yet, or not there. Part of the tree in `tasks.errors`.

ContractError
├── Unauthenticated · NotAllowed · UnknownKey · UnknownFile
├── AddressRefused
└── ReplyRefused              its code says why
TransientError
├── Unreachable · ApiUnavailable
├── RateLimited               carries retry_after
└── DailyBudgetSpent          carries retry_after
"""

from datetime import timedelta

from tasks.errors import ContractError, TransientError


class Unauthenticated(ContractError):
    """No key, or one that is not valid: unknown, expired or revoked."""

    code = "unauthenticated"


class NotAllowed(ContractError):
    """The key is valid, and may not do this."""

    code = "not_allowed"


class UnknownKey(ContractError):
    """There is no API key with this id."""

    code = "unknown_key"


class UnknownFile(ContractError):
    """There is no uploaded file with this id."""

    code = "unknown_file"


class AddressRefused(ContractError):
    """An address that may not be called: private, loopback, link-local, or not http(s)."""

    code = "address_refused"


class ReplyRefused(ContractError):
    """What a called address answers is not taken; the code says why.

    Codes: `too_large`, `unsupported_type`, `too_many_redirects`, `bad_reply`.
    """

    code = "bad_reply"

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unreachable(TransientError):
    """An address that may be called did not answer, not in time, or broke off."""

    code = "unreachable"


class ApiUnavailable(TransientError):
    """The HTTP API gave no answer in time, refused the connection, broke off, or failed."""

    code = "api_unavailable"


class RateLimited(TransientError):
    """The tenant has sent as many requests as it may in a minute."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DailyBudgetSpent(TransientError):
    """What the tenant may spend in a day is spent, or held by its open jobs."""

    code = "daily_budget_spent"

    def __init__(self, message: str, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after
