"""Signatures of webhooks: the published example of Standard Webhooks holds, and nothing else passes."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from orchestrator.webhooks.settings import LONGEST_PAUSE, WebhookSettings
from orchestrator.webhooks.signature import secret_of_job, signature, verify
from tasks.errors import ContractError, NotGenuine

SECRET = SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
BODY = b'{"test": 2432232314}'
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SENT = 1614265330
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
HEADERS = {"Webhook-Id": MESSAGE, "Webhook-Timestamp": str(SENT), "Webhook-Signature": SIGNATURE}
NOW = datetime.fromtimestamp(SENT, UTC)


def test_the_example_of_the_standard_is_met() -> None:
    assert signature(SECRET, MESSAGE, SENT, BODY) == SIGNATURE
    assert verify(HEADERS, BODY, SECRET, now=NOW) == {"test": 2432232314}


def test_one_right_signature_of_several_is_enough() -> None:
    several = {**HEADERS, "Webhook-Signature": f"v1,bm90aGluZw== {SIGNATURE} v2,abc"}
    assert verify(several, BODY, SECRET.get_secret_value(), now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"Webhook-Id": "msg_other"},
        {"Webhook-Timestamp": str(SENT + 1)},
        {"Webhook-Timestamp": "now"},
        {"Webhook-Timestamp": "9" * 400},
        {"Webhook-Timestamp": ""},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": SIGNATURE.replace("v1,", "v2,")},
        {"Webhook-Signature": SIGNATURE[:-4]},
        {"Webhook-Signature": "v1,ü"},
    ],
)
def test_whatever_is_changed_is_not_genuine(changed: dict[str, str]) -> None:
    with pytest.raises(NotGenuine):
        verify({**HEADERS, **changed}, BODY, SECRET, now=NOW)


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_message_of_another_time_is_somebodys_recording(late: timedelta) -> None:
    with pytest.raises(NotGenuine, match="another time"):
        verify(HEADERS, BODY, SECRET, now=NOW + late)


def test_a_secret_without_the_prefix_is_taken_as_it_is() -> None:
    plain = SecretStr("sixteen letters!")
    headers = {**HEADERS, "Webhook-Signature": signature(plain, MESSAGE, SENT, BODY)}
    assert verify(headers, BODY, plain, now=NOW)
    with pytest.raises(ContractError, match="base64"):
        signature(SecretStr("whsec_?"), MESSAGE, SENT, BODY)


def test_each_job_has_a_secret_of_its_own() -> None:
    fleet = SecretStr("the secret of this fleet")
    assert secret_of_job(fleet, "a") != secret_of_job(fleet, "b")
    assert secret_of_job(fleet, "a") != secret_of_job(SecretStr("another secret, also long"), "a")


def test_pauses_grow_and_stay_below_the_longest() -> None:
    settings = WebhookSettings()
    pauses = [settings.pause(tries, 1.0) for tries in range(40)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (timedelta(seconds=10), LONGEST_PAUSE)
    assert settings.pause(3, 0.0) == settings.pause(3, 1.0) / 2
    assert sum(pauses[:20], timedelta(0)) < timedelta(days=1) < sum(pauses[:30], timedelta(0))
