"""A request is sent again after what passes, changed once where a parameter is rejected, and every attempt has its price."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from loopback_llm import Answer, LoopbackLLM, failure

from hf_soup.forecasting.attempts import NotSent, Outcome, ask, worst_cost
from hf_soup.forecasting.budget import Budget, BudgetSpent
from hf_soup.forecasting.failures import FailureKind
from hf_soup.forecasting.member import Member
from hf_soup.forecasting.prices import Price
from hf_soup.forecasting.provider import Request, parameters_of

PRICE = Price(input=10, output=100)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as running:
        yield running


def send(
    server: LoopbackLLM, *answers: Answer, member: dict[str, Any] | None = None, **options: Any
) -> tuple[Outcome, list[float]]:
    """Sends one request to a server that gives these answers, the last one for ever. Returns the waits too."""
    start = len(server.received)
    server.script = lambda received: answers[min(received.number - start, len(answers)) - 1]
    settings = {"max_tokens": 100, "timeout_s": 20.0, **(member or {})}
    model = Member("m", "openai/m", api_base=server.api_base, **settings)
    request = Request(model, [{"role": "user", "content": "Will it?"}], parameters_of(model))
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def run() -> Outcome:
        budget = options.pop("budget", None) or Budget()
        return await ask(request, budget, PRICE, sleep=wait, chance=lambda: 1.0, **options)

    return asyncio.run(run()), waits


@pytest.mark.parametrize(
    "fault",
    [
        failure(429),
        failure(500),
        failure(503),
        Answer(raw=b'{"choices": [{"mess'),
        Answer(raw=b'{"object": "chat.completion", "choices": []}'),
        Answer(cut=True),
    ],
    ids=["429", "500", "503", "malformed", "no choices", "cut"],
)
def test_what_passes_is_asked_again(server: LoopbackLLM, fault: Answer) -> None:
    outcome, waits = send(server, fault, fault, Answer("Probability: 7%"))
    assert outcome.reply is not None
    assert outcome.reply.text == "Probability: 7%"
    assert (outcome.error, outcome.attempts) == (None, 3)
    assert waits == [1.0, 2.0]


def test_retries_end(server: LoopbackLLM) -> None:
    outcome, waits = send(server, failure(503, "overloaded"), retries=3)
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.http_status) == (FailureKind.SERVER, 503)
    assert (outcome.attempts, waits, outcome.cost) == (4, [1.0, 2.0, 4.0], 0)


def test_retry_after_is_honoured(server: LoopbackLLM) -> None:
    _, waits = send(server, failure(429, retry_after="17"), failure(503, retry_after="0"), Answer())
    assert waits == [17.0, 2.0]


def test_a_provider_that_asks_for_hours_is_not_waited_for(server: LoopbackLLM) -> None:
    outcome, waits = send(server, failure(429, retry_after="7200"))
    assert (outcome.attempts, waits) == (1, [])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, None),
        (404, None),
        (402, None),
        (429, "insufficient_quota"),
        (400, "content_policy_violation"),
        (413, None),
    ],
)
def test_what_does_not_pass_is_asked_once(server: LoopbackLLM, status: int, code: str | None) -> None:
    outcome, _ = send(server, failure(status, code=code))
    assert (outcome.attempts, outcome.reply, outcome.cost) == (1, None, 0)


def test_a_rejected_parameter_is_left_out_once_and_recorded(server: LoopbackLLM) -> None:
    unsupported = failure(400, "Unsupported parameter: 'temperature'.", "unsupported_parameter")
    outcome, waits = send(server, unsupported, Answer(), member={"temperature": 0.3})
    assert outcome.reply is not None
    assert (outcome.effective, outcome.attempts, waits) == ({"max_tokens": 100}, 2, [])
    assert "temperature" not in server.received[-1].body
    outcome, _ = send(server, unsupported, member={"temperature": 0.3})
    assert outcome.error is not None
    assert (outcome.attempts, outcome.error.kind) == (2, FailureKind.BAD_REQUEST)


def test_the_limit_of_an_answer_is_renamed_and_never_left_out(server: LoopbackLLM) -> None:
    outcome, _ = send(server, failure(400, "'max_tokens' is not supported; use 'max_completion_tokens'."), Answer())
    assert outcome.effective == {"max_completion_tokens": 100}
    assert server.received[-1].body["max_completion_tokens"] == 100


def test_a_model_that_only_streams_is_streamed(server: LoopbackLLM) -> None:
    outcome, _ = send(server, failure(400, "This model must be called with stream=true."), Answer("Probability: 9%"))
    assert outcome.reply is not None
    assert (outcome.reply.text, outcome.reply.finish_reason) == ("Probability: 9%", "stop")
    assert outcome.effective["stream"] is True


def test_lost_answers_cost_their_worst_case(server: LoopbackLLM) -> None:
    model = Member("m", "openai/m", max_tokens=100)
    worst = worst_cost(Request(model, [{"role": "user", "content": "Will it?"}]), PRICE)
    assert worst is not None
    known = PRICE.of(100, 50)
    outcome, _ = send(server, Answer(cut=True), Answer(raw=b"<html>"), failure(500), Answer())
    assert outcome.cost == pytest.approx(2 * worst + known)
    outcome, _ = send(server, Answer(usage=None))
    assert outcome.cost == pytest.approx(worst)


def test_a_hanging_server_is_left_after_the_timeout(server: LoopbackLLM) -> None:
    outcome, _ = send(server, Answer(hang=True), retries=0, member={"timeout_s": 0.2})
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.may_have_cost) == (FailureKind.TIMEOUT, True)


def test_every_attempt_is_announced_before_it_is_sent_and_fits_the_budget(server: LoopbackLLM) -> None:
    announced: list[int] = []
    worst = PRICE.of(20, 100)
    outcome, _ = send(
        server,
        Answer(cut=True),
        budget=Budget(cap=2.5 * worst),
        on_send=lambda dollars: announced.append(len(server.received)),
    )
    assert outcome.attempts == len(announced) == 2
    assert announced[1] - announced[0] == 1
    with pytest.raises(BudgetSpent):
        send(server, Answer(), budget=Budget(cap=0.5 * worst))


def test_nothing_is_sent_again_once_patience_has_ended(server: LoopbackLLM) -> None:
    outcome, _ = send(server, failure(503), patient=lambda: False)
    assert outcome.attempts == 1
    before = len(server.received)

    def closed() -> Any:
        raise NotSent("interrupted")

    with pytest.raises(NotSent):
        send(server, Answer(), gate=closed)
    assert len(server.received) == before


def test_an_answer_of_megabytes_is_bounded(server: LoopbackLLM) -> None:
    outcome, _ = send(server, Answer("word " * 1_000_000 + "\n\nProbability: 12%"))
    assert outcome.reply is not None
    assert outcome.reply.text is not None
    assert outcome.reply.truncated
    assert len(outcome.reply.text) < 201_000
    assert outcome.reply.text.endswith("Probability: 12%")
