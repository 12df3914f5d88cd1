"""Keys and headers are taken out of texts, and of everything that is written."""

from __future__ import annotations

import pytest

from hf_soup.forecasting.scrub import HIDDEN, scrub, scrub_all, secrets_of_environment


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefgh12345678",
        "sk-proj-Ab12_cdEF-gh34ijKLmn56",
        "sk-ant-api03-abcDEF123456-xyz_987654",
        "hf_abcdefghijklmnopqrstuv",
        "gsk_abcdefghijklmnop1234",
        "xai-abcdefghijklmnop1234",
        "AIzaSyA1234567890abcdefghij",
        "sk-abcdefghijklmnopqrst",
        "ghp_abcdefghijklmnopqrst1234",
        "sk-svcacct-with-small-parts-and-a-9-in-it",
    ],
)
def test_what_looks_like_a_key_is_hidden(secret: str) -> None:
    assert secret[6:] not in scrub(f"Incorrect API key provided: {secret}. Find yours.")
    assert secret[6:] not in scrub(f'{{"key": "{secret}"}}')


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def.ghi",
        "authorization: Basic dXNlcjpwYXNz",
        "{'x-api-key': 'short12'}",
        '"api_key": "whatever"',
        "sent with bearer abcdefgh12345",
    ],
)
def test_values_of_headers_are_hidden(text: str) -> None:
    scrubbed = scrub(text)
    assert HIDDEN in scrubbed
    for secret in ("abc.def", "dXNl", "short12", "whatever", "abcdefgh12345"):
        assert secret not in scrubbed


def test_values_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "no-usual-form")
    monkeypatch.setenv("SHORT_TOKEN", "abc")
    secrets = secrets_of_environment()
    assert "no-usual-form" in secrets
    assert "abc" not in secrets
    assert scrub("it is no-usual-form", secrets) == f"it is {HIDDEN}"


def test_prose_stays() -> None:
    prose = "The risk-adjusted key figure: 62.5%. Will sk-learn 2.0 be out? Token prices; author: nobody."
    assert scrub(prose) == prose


@pytest.mark.parametrize(
    "text",
    [
        "hf-internal-testing-tiny-random-model",
        "hf-internal-testing/tiny-random-LlamaForCausalLM",
        "xai-org/grok-1",
        "hf_transfer_is_deprecated_since_2025",
        "sk-learn-contrib-something-else",
        "Will the emergency use authorization: be granted?",
        "Will bearer instruments and bearer securities be abolished?",
    ],
)
def test_names_and_words_that_begin_like_keys_stay(text: str) -> None:
    assert scrub(f"What becomes of {text} this year") == f"What becomes of {text} this year"


def test_tables_and_lists_are_scrubbed() -> None:
    given = {"messages": [{"content": "sk-abcdefgh12345678"}], "n": 1, "api_key": "plain", "max_tokens": 5}
    assert scrub_all(given) == {"messages": [{"content": HIDDEN}], "n": 1, "api_key": HIDDEN, "max_tokens": 5}


def test_scrubbing_twice_changes_nothing() -> None:
    once = scrub("Authorization: Bearer abcdefghijk; api_key=xyz sk-abcdefgh12345678")
    assert scrub(once) == once
