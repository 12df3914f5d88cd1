"""The bias report of runs that were asked over HTTP: negated and reworded prompts, and what they cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from loopback_llm import Answer, LoopbackLLM, Received

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.forecasting import Crowd, Forecasts
from hf_soup.scoring.read_rewordings import costs_of_run, read_negated

PRICES = {"openai/a": {"input": 10, "output": 100}, "openai/b": {"input": 10, "output": 100}}
# 100 tokens in and 50 out, as the server says.
ANSWER_COSTS = 0.006
QUESTIONS = [
    {"id": f"q{number}", "question": f"Will event number {number} happen?", "resolution": number % 2}
    for number in range(6)
]
NO = "How probable is it that the following question resolves NO"


def yes_sayer(received: Received) -> Answer:
    """Says 60 % to every question and 50 % to its opposite; `b` adds up to one, and refuses to answer a negated question."""
    negated = NO in received.text
    if received.model == "b" and negated and "event number 3 " in received.text:
        return Answer("I cannot provide a forecast for this question.")
    percent = {("a", False): 60, ("a", True): 50, ("b", False): 60, ("b", True): 40}[received.model, negated]
    return Answer(f"Reasons.\n\nProbability: {percent}.00%")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Forecasts]:
    """Of the prompts `plain`, `negated`, `base_rate`, and of one in which both members were asked in both ways."""
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    with LoopbackLLM(yes_sayer) as server:
        for prompt in ("plain", "negated", "base_rate"):
            crowd = Crowd(["openai/a:2", "openai/b"], prompt=prompt, api_base=server.api_base, prices=PRICES)
            found[prompt] = crowd.ask(QUESTIONS, out=folder / prompt)
        members = folder / "members.yaml"
        members.write_text(
            "- {model: openai/a}\n"
            "- {model: openai/b}\n"
            "- {model: openai/a, name: a-no, prompt: negated}\n"
            "- {model: openai/b, name: b-no, prompt: negated}\n"
        )
        both = Crowd(members, prompt="plain", api_base=server.api_base, allow_unpriced=True)
        found["both"] = both.ask(QUESTIONS, out=folder / "both")
    return found


def test_a_run_that_asked_for_no_is_not_turned_twice(runs: dict[str, Forecasts]) -> None:
    report = runs["plain"].bias(negated=runs["negated"], paraphrases=[runs["base_rate"].path])
    a, b, _ = report.acquiescence
    assert (a.name, a.mean, a.mean_of_negated) == ("openai/a", pytest.approx(0.6), pytest.approx(0.5))
    assert (a.lean.value, a.lean.n) == (pytest.approx(0.1), 6)
    assert (b.lean.value, b.lean.n) == (pytest.approx(0), 5)
    assert [each.shift.value for each in report.paraphrases] == pytest.approx([0, 0, 0])


def test_the_report_of_a_run_shows_acquiescence(runs: dict[str, Forecasts], tmp_path: Path) -> None:
    report = runs["plain"].report(
        tmp_path / "report.html", negated=runs["negated"], paraphrases=[runs["base_rate"].path]
    )
    assert report.findings.bias.acquiescence[0].lean.value == pytest.approx(0.1)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Acquiescence, from pairs of a question and its opposite" in page
    assert "Other wordings of the same question" in page
    assert str(report).splitlines()[-1] == str(tmp_path / "report.html")


def test_what_a_run_cost_stands_beside_what_it_gained(runs: dict[str, Forecasts]) -> None:
    report = runs["plain"].bias()
    a, b = report.cost_per_brier_point.by_member
    assert (a.dollars, b.dollars) == pytest.approx((12 * ANSWER_COSTS, 6 * ANSWER_COSTS))
    assert (a.per_question, b.per_question) == pytest.approx((2 * ANSWER_COSTS, ANSWER_COSTS))
    assert report.cost_per_brier_point.by_number[0].per_question == pytest.approx(ANSWER_COSTS)
    assert set(costs_of_run(runs["both"].path).values()) == {None}
    unpriced = runs["both"].bias()
    assert len(unpriced.cost_per_brier_point.unknown) == 4
    assert "is not known" in unpriced.table()


def test_members_of_one_run_are_paired_by_their_model(
    runs: dict[str, Forecasts], capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(read_negated(runs["both"].path, unit="fraction").members) == {"openai/a", "openai/b"}
    path = str(runs["both"].path)
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "bias", path, "--members", "openai/a,openai/b", "--negated", path, "--json"])
    assert not ended.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["members"] == ["openai/a", "openai/b"]
    assert [each["lean"]["value"] for each in document["acquiescence"][:2]] == pytest.approx([0.1, 0])


def test_a_run_that_did_not_ask_for_no_is_refused(
    runs: dict[str, Forecasts], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="a run of the opposite is made with --prompt negated"):
        runs["plain"].bias(negated=runs["base_rate"])
    for wrong, words in ((tmp_path, "is not the folder of a run"), (tmp_path / "gone.csv", "gone.csv")):
        with pytest.raises(SystemExit) as ended:
            main(["forecast", "bias", str(runs["plain"].path), "--negated", str(wrong)])
        assert ended.value.code == 2
        assert words in capsys.readouterr().err


def test_a_run_of_questions_and_their_opposites_keeps_their_pairs(tmp_path: Path) -> None:
    """The columns go through asking, and the run's record has them."""
    asked = [*QUESTIONS[:2], {"id": "n0", "question": "Will event number 0 not happen?", "negation_of": "q0"}]
    with LoopbackLLM(lambda received: Answer("Probability: 70.00%")) as server:
        run = Crowd(["openai/a"], prompt="plain", api_base=server.api_base, allow_unpriced=True).ask(
            asked, out=tmp_path / "run"
        )
    (lean,) = run.bias().acquiescence
    assert (lean.lean.value, lean.lean.n) == (pytest.approx(0.4), 1)
    # Also with what has become of the questions since.
    (lean,) = run.bias(questions=[{**each, "resolution": "yes"} for each in asked]).acquiescence
    assert lean.lean.n == 1
