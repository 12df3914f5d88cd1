"""The Python interface: sync, async, in a notebook; what it costs beforehand; what is missing; which forecasts are none."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback_llm import Answer, LoopbackLLM, Received

from hf_soup import Crowd
from hf_soup.errors import InputError
from hf_soup.forecasting import Forecasts, Member, Price, running
from hf_soup.forecasting.estimate import USUAL_OUTPUT_TOKENS
from hf_soup.forecasting.member import DEFAULT_MAX_TOKENS

QUESTIONS = [{"id": f"q{number}", "question": f"Will event number {number} happen?"} for number in range(3)]
REFUSAL = Answer("I cannot provide a forecast for this question.")


@pytest.fixture(scope="module")
def shared() -> Iterator[LoopbackLLM]:
    with LoopbackLLM() as running_server:
        yield running_server


@pytest.fixture
def server(shared: LoopbackLLM) -> LoopbackLLM:
    shared.received.clear()
    shared.script = lambda received: Answer()
    return shared


@pytest.fixture
def crowd(server: LoopbackLLM) -> Crowd:
    return Crowd(["openai/a:2", "openai/b"], api_base=server.api_base, allow_unpriced=True)


def test_importing_the_room_imports_nothing_heavy() -> None:
    """And neither does what the package and the command line import for it."""
    code = (
        "import sys, hf_soup.cli.main, hf_soup.forecasting, hf_soup.forecasting.running; hf_soup.Crowd; hf_soup.forecasting.Forecasts; "
        "print([name for name in ('litellm', 'torch', 'pandas', 'transformers', 'openai') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_ask_returns_a_table(crowd: Crowd, tmp_path: Path) -> None:
    run = crowd.ask(QUESTIONS, out=tmp_path / "run")
    assert isinstance(run, Forecasts)
    assert [row["probability"] for row in run.to_rows()] == [0.6] * 9
    assert run.table().splitlines() == [
        "question   openai/a   openai/b",
        *(f"q{number}        60.0% (2)  60.0% (1)" for number in range(3)),
    ]
    assert run.cost is None


def test_async_and_notebooks(crowd: Crowd, tmp_path: Path) -> None:
    async def cell() -> tuple[Forecasts, Forecasts]:
        return await crowd.ask_async(QUESTIONS, out=tmp_path / "one"), crowd.ask(QUESTIONS, out=tmp_path / "two")

    one, two = asyncio.run(cell())
    assert one.answered == two.answered == 9


def test_ctrl_c_keeps_what_arrives_and_raises(
    server: LoopbackLLM, crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal comes with the fifth request. What is out then still arrives; nothing new is sent."""
    monkeypatch.setattr(running, "GRACE_S", 20.0)

    def script(received: Received) -> Answer:
        if received.number == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return Answer(latency_s=0.05)

    server.script = script
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        crowd.ask(QUESTIONS, out=tmp_path / "run", concurrency=1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    run = Forecasts.from_run(tmp_path / "run")
    assert run.answered == len(server.received)
    assert 5 <= run.answered < 9
    assert {row.reason for row in run.rows if row.probability is None} == {"interrupted"}
    server.script = lambda received: Answer()
    assert crowd.ask(QUESTIONS, out=tmp_path / "run").answered == 9
    assert len(server.received) == 9


def test_what_it_would_cost_is_known_without_a_call_or_a_key(
    server: LoopbackLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    members = [Member("a", "openai/a", 3, max_tokens=1_000), Member("b", "openai/b", max_tokens=500)]
    estimate = Crowd(members, prices={"a": Price(1, 10), "b": {"input": 2, "output": 20}}).plan(QUESTIONS)
    first, second = estimate.members
    assert (first.calls, second.calls, estimate.calls) == (9, 3, 12)
    assert (first.max_output_tokens, second.max_output_tokens) == (9_000, 1_500)
    assert first.cost_at_most == pytest.approx(first.input_tokens / 1e6 + 0.09)
    assert first.cost_usual == pytest.approx(first.input_tokens / 1e6 + 9 * USUAL_OUTPUT_TOKENS / 1e5)
    assert estimate.cost_at_most == pytest.approx((first.cost_at_most or 0) + (second.cost_at_most or 0))
    assert [problem.split(":")[0] for problem in estimate.problems] == ["a", "b"]
    assert not server.received
    unpriced = Crowd("openai/nobody-knows").plan(QUESTIONS)
    assert unpriced.cost_at_most is None
    assert "unknown" in str(unpriced)


def test_a_limit_of_a_member_stays_also_where_it_is_the_usual_one() -> None:
    members = [Member("said", "openai/a", max_tokens=DEFAULT_MAX_TOKENS), Member("not", "openai/a")]
    usual = Crowd(members, allow_unpriced=True).plan(QUESTIONS)
    assert [member.max_output_tokens for member in usual.members] == [3 * DEFAULT_MAX_TOKENS] * 2
    given = Crowd(members, allow_unpriced=True, max_tokens=50).plan(QUESTIONS)
    assert [member.max_output_tokens for member in given.members] == [3 * DEFAULT_MAX_TOKENS, 150]


def test_the_second_turn_is_in_the_estimate() -> None:
    questions = [{**question, "crowd": 0.3} for question in QUESTIONS]
    one = Crowd("openai/gpt-4o", prompt="interval").plan(questions)
    two = Crowd("openai/gpt-4o", prompt="update").plan(questions)
    assert (one.calls, two.calls) == (3, 6)
    assert (two.cost_at_most or 0) > 2 * (one.cost_at_most or 0) > 0


def test_what_a_run_has_already_is_not_in_the_estimate(server: LoopbackLLM, crowd: Crowd, tmp_path: Path) -> None:
    server.script = lambda received: REFUSAL if received.model == "b" else Answer()
    assert crowd.plan(QUESTIONS, out=tmp_path / "run").calls == 9
    assert not (tmp_path / "run").exists()
    crowd.ask(QUESTIONS[:2], out=tmp_path / "run")
    server.received.clear()
    estimate = crowd.plan(QUESTIONS, out=tmp_path / "run")
    assert ([member.calls for member in estimate.members], estimate.settled) == ([2, 1], 6)
    refill = crowd.plan(QUESTIONS, out=tmp_path / "run", refill=True)
    assert [member.calls for member in refill.members] == [2, 3]
    assert not server.received


def test_missing_rates_and_the_quorum(server: LoopbackLLM, crowd: Crowd, tmp_path: Path) -> None:
    server.script = lambda received: REFUSAL if received.model == "a" and "number 1 " in received.text else Answer()
    run = crowd.ask(QUESTIONS, out=tmp_path / "run")
    of_a, of_b = run.missing()
    assert (of_a.rows, of_a.answered, of_a.rate, of_a.by_status) == (6, 4, pytest.approx(1 / 3), {"refused": 2})
    assert (of_b.rate, of_b.by_status) == (0, {})
    assert run.below_quorum() == ["q1"]
    assert (run.below_quorum(0.33), run.below_quorum(1.0)) == ([], ["q1"])
    assert "q1        2 refused  60.0% (1)" in run.table()


def test_back_tests_are_named_in_every_report(server: LoopbackLLM, tmp_path: Path) -> None:
    from datetime import date

    questions = [
        {"id": "new", "question": "Will it?", "open_date": "2026-06-01"},
        {"id": "old", "question": "Will it?", "open_date": "2024-06-01"},
    ]
    members = [
        Member("dated", "openai/a", api_base=server.api_base, knowledge_cutoff=date(2025, 1, 1)),
        Member("undated", "openai/b", api_base=server.api_base),
    ]
    run = Crowd(members, allow_unpriced=True).ask(questions, out=tmp_path / "run")
    assert [(each.member, each.question_id) for each in run.back_tests] == [
        ("dated", "old"),
        ("undated", "new"),
        ("undated", "old"),
    ]
    assert Forecasts.from_run(tmp_path / "run").back_tests == run.back_tests
    sentences = run.back_test_sentences()
    assert sentences[0].startswith("dated: 1 answer is a back-test and no forecast")
    assert sentences[1].endswith(": new, old.")
    assert Crowd(members).plan(questions).back_tests == tuple(sentences)


def test_a_run_of_other_questions_is_not_gone_on_with(crowd: Crowd, server: LoopbackLLM, tmp_path: Path) -> None:
    crowd.ask(QUESTIONS, out=tmp_path / "run")
    server.received.clear()
    with pytest.raises(InputError, match="a run of other questions"):
        crowd.ask([{"id": "other", "question": "Will it?"}], out=tmp_path / "run")
    assert not server.received


def test_unknown_options_are_refused(crowd: Crowd, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="max_price"):
        crowd.ask(QUESTIONS, out=tmp_path / "run", max_price=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="out"):
        crowd.ask(QUESTIONS)  # type: ignore[call-arg]
