"""Secrets do not reach what people see."""

import contextvars
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import JsonValue, SecretStr

from tasks.logs import NOISY, LogSettings, configure_logs
from tasks.redaction import (
    MASK,
    MAX_DEPTH,
    MAX_KNOWN,
    Secrets,
    excerpt,
    hide_here,
    is_secret_name,
    redact,
    redact_event,
    redact_text,
    secrets_in,
)

WORD = st.text("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789", min_size=24, max_size=40)
UPPER = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=16, max_size=16)


def shaped(form: str) -> st.SearchStrategy[tuple[str, str]]:
    """A text with a secret in it, and the secret."""
    strategy = UPPER if form.startswith(("AKIA", "ASIA")) else WORD
    return strategy.map(lambda word: (form.replace("@@", word), word))


SECRETS = st.one_of(
    *(
        shaped(form)
        for form in (
            "sk-ant-api03-@@",
            "sk-proj-@@",
            "AKIA@@",
            "ASIA@@",
            "ghp_@@",
            "github_pat_@@",
            "glpat-@@",
            "trp_0123456789_@@",
            "key=trp_0123456789_@@-_",
            "xoxb-@@",
            "AIza@@",
            "sk_live_@@",
            "hf_@@",
            "eyJhbGciOiJI.@@.c2ln",
            "eyJhbGciOiJI.eyJzdWIi.@@",
            "Authorization: Bearer @@",
            "Authorization: Basic @@==",
            "authorization=@@",
            '"Authorization": "token @@"',
            "bearer @@",
            "password=@@",
            "password: '@@ two words'",
            '{"db_password": "@@ \\" x"}',
            '{\\"api_key\\": \\"@@\\"}',
            "CLIENT_SECRET = @@",
            "https://x.example/?access_token=@@&page=2",
            "redis://:@@@host:6379/0",
            "postgres://user:@@!$@host/db",
            "Cookie: session=@@; theme=@@",
            "-----BEGIN RSA PRIVATE KEY-----\n@@\n@@\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\n@@",
        )
    )
)


@given(st.text(" .,\n(äöü", max_size=20), SECRETS, st.text(" .,\n)", max_size=20))
def test_a_secret_in_a_text_is_masked(before: str, secret: tuple[str, str], after: str) -> None:
    text, hidden = secret
    shown = redact_text(f"{before} {text} {after}")
    assert hidden not in shown
    assert MASK in shown
    assert shown.startswith(before)


@given(SECRETS)
def test_redacting_twice_changes_nothing_more(secret: tuple[str, str]) -> None:
    once = redact_text(secret[0])
    assert redact_text(once) == once


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdefgh", max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, SECRETS, st.sampled_from(["list", "dict", "key", "deep"]))
def test_a_secret_anywhere_in_data_is_masked_and_the_rest_is_kept(
    value: JsonValue, secret: tuple[str, str], where: str
) -> None:
    text, hidden = secret
    assume(hidden not in json.dumps(value))
    around: dict[str, JsonValue] = {
        "list": [value, text],
        "dict": {"a": value, "b": text},
        "key": {text: value},
        "deep": {"a": [{"b": [text]}], "c": value},
    }
    assert hidden not in json.dumps(redact(around[where]))


@given(WORD, st.sampled_from(["password", "api_key", "X-Api-Key", "dbPassword", "clientSecret", "Authorization"]))
def test_a_field_that_is_named_like_a_secret_is_masked_whole(value: str, name: str) -> None:
    values: list[JsonValue] = [value, [value], {"a": value}, 12345678]
    for hidden in values:
        assert redact({"a": {name: hidden}}) == {"a": {name: MASK}}


@given(WORD)
def test_named_fields_are_masked_and_found_again_elsewhere(value: str) -> None:
    data: JsonValue = {"card": value, "note": f"paid with {value}", "list": [{"card": {"number": value}}]}
    secrets = secrets_in(data, {"card"})
    assert secrets == {value}
    assert value not in json.dumps(redact(data, {"card"}, secrets))
    assert redact_text(f"about {value}", secrets) == f"about {MASK}"


ORDINARY = [
    "The password policy is strict; tokens: 512, input_tokens=12.",
    "see https://example.com:8080/path@2x and mail a@b.example",
    "skip-this sk-1 the key is under the mat",
    "basic understanding of bearer bonds",
    "2026-11-20T10:00:00Z job_id=jabc step=search",
    "redis://localhost:6379/0",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


@given(st.dictionaries(st.sampled_from(["tokens", "keyword", "monkey", "author", "max_tokens"]), st.integers()))
def test_ordinary_fields_stay_as_they_are(value: dict[str, JsonValue]) -> None:
    assert redact(value) == value


def test_nothing_and_truth_under_a_secret_name_stay_visible() -> None:
    assert redact({"password": None, "token": "", "secret": True}) == {"password": None, "token": "", "secret": True}


def test_short_values_are_not_looked_for_elsewhere() -> None:
    assert secrets_in({"card": "1", "other": "12345"}, {"card"}) == frozenset()


def test_what_is_too_deep_is_left_out() -> None:
    deep: JsonValue = "sk-ant-api03-abcdefgh"
    for _ in range(MAX_DEPTH + 3):
        deep = {"a": deep}
    assert "abcdefgh" not in json.dumps(redact(deep))
    assert secrets_in({"card": deep}, {"card"}) == frozenset()


@pytest.mark.parametrize("name", ["password", "API-Key", "accessToken", "Set-Cookie", "AWS_SECRET_ACCESS_KEY"])
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "eyJ" * 20_000, "a-" * 25_000, "x://" * 12_000, "token " * 9_000, '"' * 50_000, "A:" * 9_000]
)
def test_no_text_takes_long(text: str) -> None:
    begun = time.perf_counter()
    redact_text(text)
    assert time.perf_counter() - begun < 5  # a quadratic pattern would take minutes


class Odd:
    """Shows a key when it is printed."""

    def __repr__(self) -> str:
        return "Odd(key='sk-ant-api03-abcdefghij')"


def test_objects_are_shown_without_the_secrets_of_their_text() -> None:
    event = redact_event(None, "info", {"event": "x", "odd": Odd(), "plain": SecretStr("abc"), "many": ({"a": Odd()},)})
    assert "abcdefghij" not in repr(event)
    assert event["plain"] == SecretStr("abc")


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in NOISY}
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, one in levels.items():
        logging.getLogger(name).setLevel(one)
    structlog.reset_defaults()


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "text"])
def test_no_log_line_carries_a_secret(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogSettings.model_validate({"log_format": form}))
    secret = "sk-ant-api03-verysecretindeed"

    def fail(password: str) -> None:
        raise ValueError(f"cannot log in with {password}")

    try:
        fail(secret)
    except ValueError:
        structlog.get_logger("a").exception("tool_raised", headers={"x-api-key": secret}, text=f"got {secret}")
        logging.getLogger("library").exception("failed with %s", secret)
    err = capsys.readouterr().err
    assert "verysecretindeed" not in err
    assert err.count("ValueError: cannot log in with") == 2


@pytest.fixture
def nothing_known() -> Iterator[Secrets]:
    """A place of the test's own, in which nothing is known to be secret yet."""
    secrets = Secrets()
    hide_here(secrets)
    yield secrets
    hide_here(Secrets())


def test_what_is_known_here_is_masked_also_in_threads_with_this_context(nothing_known: Secrets) -> None:
    nothing_known.add({"whimbrel"})
    assert redact_text("a whimbrel") == f"a {MASK}"
    elsewhere = contextvars.copy_context()
    nothing_known.add({"curlew"})
    assert elsewhere.run(redact_text, "a curlew and a whimbrel") == f"a {MASK} and a {MASK}"
    assert redact({"bird": "curlew"}) == {"bird": MASK}


def test_what_is_known_is_bounded(nothing_known: Secrets) -> None:
    for at in range(MAX_KNOWN + 50):
        nothing_known.add({f"word-{at:05}"})
    assert len(nothing_known.texts) == MAX_KNOWN


def test_an_excerpt_is_masked_before_it_is_cut() -> None:
    text = "x" * 90 + " password=kestrelkestrel" + " more" * 100
    cut = excerpt(text, 105)
    assert cut == ("x" * 90 + " password=" + MASK + " more")[:105]
    assert len(excerpt("y" * 1_000_000, 200)) == 200
