"""What litellm raises, over real HTTP, is known for what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from loopback_llm import Answer, LoopbackLLM, failure

from hf_soup.forecasting.failures import CallFailed, FailureKind
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.provider import Request, complete

KEY = "sk-abcdefgh12345678abcd"


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as running:
        yield running


def failed(api_base: str, timeout_s: float = 20.0, model: str = "openai/m", **parameters: object) -> CallFailed:
    member = Member("m", model, api_base=api_base, timeout_s=timeout_s)
    with pytest.raises(CallFailed) as caught:
        asyncio.run(complete(Request(member, [{"role": "user", "content": "Will it?"}], parameters)))
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind", "may_have_cost"),
    [
        (failure(400), FailureKind.BAD_REQUEST, False),
        (failure(401), FailureKind.KEY, False),
        (failure(402), FailureKind.QUOTA, False),
        (failure(403), FailureKind.KEY, False),
        (failure(404), FailureKind.MODEL, False),
        (failure(408), FailureKind.TIMEOUT, True),
        (failure(413), FailureKind.CONTEXT_WINDOW, False),
        (failure(422), FailureKind.BAD_REQUEST, False),
        (failure(429), FailureKind.RATE_LIMIT, False),
        (failure(429, "You exceeded your quota", "insufficient_quota"), FailureKind.QUOTA, False),
        (failure(500), FailureKind.SERVER, False),
        (failure(502), FailureKind.SERVER, False),
        (failure(503), FailureKind.SERVER, False),
        (failure(504), FailureKind.TIMEOUT, True),
        (failure(529), FailureKind.SERVER, False),
        (
            failure(400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
            FailureKind.CONTEXT_WINDOW,
            False,
        ),
        (failure(400, "Rejected by our safety system", "content_policy_violation"), FailureKind.CONTENT_POLICY, False),
        (Answer(cut=True), FailureKind.CONNECTION, True),
        (Answer(raw=b"<html>busy</html>"), FailureKind.MALFORMED, True),
        (Answer(raw=b'{"choices": []}'), FailureKind.MALFORMED, True),
    ],
    ids=lambda value: str(value.status) + (value.code or "") if isinstance(value, Answer) else str(value),
)
def test_kinds(server: LoopbackLLM, answer: Answer, kind: FailureKind, may_have_cost: bool) -> None:
    server.script = lambda received: answer
    error = failed(server.api_base)
    assert (error.kind, error.may_have_cost) == (kind, may_have_cost)


def test_a_rejected_parameter_is_named(server: LoopbackLLM) -> None:
    server.script = lambda received: failure(400, "'temperature' does not support 0.3 with this model.")
    error = failed(server.api_base, temperature=0.3, max_tokens=10)
    assert (error.kind, error.parameter) == (FailureKind.PARAMETER, "temperature")


def test_a_server_that_is_not_there_costs_nothing() -> None:
    error = failed("http://127.0.0.1:9/v1")
    assert (error.kind, error.may_have_cost) == (FailureKind.CONNECTION, False)


def test_no_answer_in_time(server: LoopbackLLM) -> None:
    server.script = lambda received: Answer(hang=True)
    error = failed(server.api_base, timeout_s=0.2)
    assert (error.kind, error.may_have_cost) == (FailureKind.TIMEOUT, True)


def test_keys_do_not_reach_the_message(server: LoopbackLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SERVER_KEY", "an-unusual-secret-of-mine")
    server.script = lambda received: failure(401, f"Incorrect API key: {KEY} or {received.headers['authorization']}")
    member = Member("m", "openai/m", api_base=server.api_base, api_key_env="SOME_SERVER_KEY")
    with pytest.raises(CallFailed) as caught:
        asyncio.run(complete(Request(member, [{"role": "user", "content": "x"}])))
    assert "unusual" not in caught.value.message
    assert "abcdefgh" not in caught.value.message
    assert "[hidden]" in caught.value.message


def test_neither_does_a_providers_own_key(server: LoopbackLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """That litellm finds by itself."""
    monkeypatch.setenv("OPENAI_API_KEY", "of-no-usual-form-either")
    monkeypatch.setenv("OPENAI_BASE_URL", server.api_base)
    monkeypatch.setenv("OPENAI_API_BASE", server.api_base)
    server.script = lambda received: failure(401, f"Incorrect: {received.headers['authorization'].split()[-1]}.")
    with pytest.raises(CallFailed) as caught:
        asyncio.run(complete(Request(Member("m", "openai/m"), [{"role": "user", "content": "x"}])))
    assert "Incorrect: [hidden]" in caught.value.message


def test_what_stops_a_member_is_not_asked_again() -> None:
    assert {kind for kind in FailureKind if kind.stops_member} == {
        FailureKind.KEY,
        FailureKind.QUOTA,
        FailureKind.MODEL,
    }
    assert not any(kind.is_transient and kind.stops_member for kind in FailureKind)
