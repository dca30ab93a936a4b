"""The error table: each answer has one meaning, the page shows it, and the errors carry it."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.errors import (
    BadSetting,
    ContractError,
    ModelNonsense,
    ModelTruncated,
    ModelUnavailable,
    SpendLimitReached,
    StoreUnavailable,
    TroupeError,
    UnknownModel,
)
from tests.unit.pages import ROOT
from workers.llm.error_table import TABLE, Cause, Kind, Row, look_up, until_next_month
from workers.llm.failures import from_provider, kind_of

MODEL = "claude-sonnet-5-5"


def line(row: Row) -> str:
    cells = [row.status or "any", row.type or "any", row.code or "–", row.kind, row.note]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def test_the_page_shows_the_table() -> None:
    page = (ROOT / "docs" / "model-errors.md").read_text().splitlines()
    first = next(at for at, text in enumerate(page) if text.startswith("| status |")) + 2
    assert page[first : first + len(TABLE)] == [line(row) for row in TABLE]
    assert not page[first + len(TABLE)]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.status}-{row.code or row.type}")
def test_every_line_is_found_by_its_own_answer(row: Row) -> None:
    message = "prompt is too long" if row.cause is Cause.TOO_LARGE else "credit balance is too low"
    assert look_up(row.status or 400, row.type, row.code, message if row.says else "said") is row


STATUSES = [400, 401, 402, 403, 404, 408, 409, 413, 429, 500, 503, 504, 529]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", [None, "new_error_2027"])
def test_an_unknown_type_or_code_is_that_of_its_status(status: int, kind: str | None) -> None:
    row = look_up(status, kind, "new_code_2027")
    assert (row.status, row.code, row.says) == (status, None, None)


@pytest.mark.parametrize(("status", "kind"), [(418, Kind.CONTRACT), (599, Kind.TRANSIENT), (422, Kind.CONTRACT)])
def test_other_statuses_are_that_of_their_hundred(status: int, kind: Kind) -> None:
    assert look_up(status).kind is kind


NOVEMBER = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "code", "message", "error", "kind"),
    [
        (400, None, "said", ContractError, Kind.CONTRACT),
        (400, None, "prompt is too long: 210000 tokens > 200000 maximum", ModelTruncated, Kind.WORK_FAILED),
        (400, None, "Your credit balance is too low to access the API", SpendLimitReached, Kind.CIRCUIT_OPEN),
        (401, None, "said", BadSetting, Kind.CONTRACT),
        (402, None, "said", SpendLimitReached, Kind.CIRCUIT_OPEN),
        (403, None, "said", UnknownModel, Kind.CONTRACT),
        (403, "organization_on_hold", "said", SpendLimitReached, Kind.CIRCUIT_OPEN),
        (413, None, "said", ModelTruncated, Kind.WORK_FAILED),
        (429, None, "said", ModelUnavailable, Kind.TRANSIENT),
        (429, "enforced_spend_limit_reached", "said", SpendLimitReached, Kind.CIRCUIT_OPEN),
        (500, "cmek_key_unreachable", "said", ModelUnavailable, Kind.TRANSIENT),
        (529, None, "said", ModelUnavailable, Kind.TRANSIENT),
    ],
)
def test_each_answer_becomes_an_error_of_its_kind(
    status: int, code: str | None, message: str, error: type[TroupeError], kind: Kind
) -> None:
    made = from_provider(status, message, model=MODEL, error_code=code, now=NOVEMBER)
    assert type(made) is error
    assert kind_of(made) is kind


def test_a_known_wait_is_a_kind_of_its_own() -> None:
    made = from_provider(429, "slow down", model=MODEL, retry_after=timedelta(hours=1))
    assert kind_of(made) is Kind.WAIT_UNTIL


def test_other_errors_have_a_kind_too() -> None:
    assert kind_of(StoreUnavailable("away")) is Kind.TRANSIENT
    assert kind_of(ModelNonsense("what")) is Kind.WORK_FAILED


def test_a_spend_limit_says_when_it_resets_and_lacking_credit_does_not() -> None:
    spent = from_provider(429, "x", model=MODEL, error_code="enforced_spend_limit_reached", now=NOVEMBER)
    assert isinstance(spent, SpendLimitReached)
    assert spent.resets_in == timedelta(days=9, hours=12)
    owing = from_provider(402, "x", model=MODEL, now=NOVEMBER)
    assert isinstance(owing, SpendLimitReached)
    assert owing.resets_in is None


@pytest.mark.parametrize(
    ("now", "wait"),
    [
        (datetime(2026, 12, 31, 23, tzinfo=UTC), timedelta(hours=1)),
        (datetime(2028, 2, 28, tzinfo=UTC), timedelta(days=2)),
        (datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=30)),
    ],
)
def test_months_end_in_utc(now: datetime, wait: timedelta) -> None:
    assert until_next_month(now) == wait


def test_no_message_carries_a_secret() -> None:
    made = from_provider(400, "Authorization: Bearer abcdefghijklmnopqrst and sk-ant-api03-qwertz", model=MODEL)
    assert "qwertz" not in str(made)
    assert "klmnop" not in str(made)
