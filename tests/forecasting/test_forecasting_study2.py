"""Study 2 of a run that was asked in two turns, over HTTP."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from loopback_llm import Answer, LoopbackLLM, Received

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.forecasting import Crowd, Forecasts


def test_a_run_in_two_turns_over_http_is_studied_with_the_crowd_that_was_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server moves 0.4 of the way to the median that it is shown, and halves its range; `b` refuses one question."""
    generator = np.random.default_rng(3)
    crowd, first = generator.uniform(0.2, 0.8, 12).round(2), generator.uniform(0.2, 0.8, 12).round(2)
    outcomes = (generator.random(12) < crowd).astype(int)

    def script(received: Received) -> Answer:
        messages = received.body["messages"]
        number = int(re.search(r"event number (\d+) ", messages[0]["content"])[1])
        if received.model == "b" and number == 4:
            return Answer("I cannot provide a forecast for this question.")
        middle, half = 100 * first[number], 10.0
        if len(messages) == 3:
            shown = float(re.search(r"median forecast was ([\d.]+)%", messages[2]["content"])[1])
            middle, half = middle + 0.4 * (shown - middle), 5.0
        return Answer(f"Reasons.\n\nMy Prediction: Between {middle - half:.2f}% and {middle + half:.2f}%")

    questions = [
        {"id": f"q{n}", "question": f"Will event number {n} happen?", "crowd": crowd[n]} for n in range(len(crowd))
    ]
    with LoopbackLLM(script) as server:
        asking = Crowd(["openai/a", "openai/b:2"], prompt="update", api_base=server.api_base, allow_unpriced=True)
        run = asking.ask(questions, out=tmp_path / "run")
    resolved = [{**each, "resolution": int(y), "crowd": 0.5} for each, y in zip(questions, outcomes, strict=True)]
    capsys.readouterr()
    result = run.study2(questions=resolved, bound=0.05)
    a, b = result.study.members

    assert "questions have another crowd's forecast now" in capsys.readouterr().err
    assert (a.name, b.name) == ("openai/a", "openai/b")
    assert (a.accuracy.n, b.accuracy.n, b.incomplete) == (12, 11, 1)
    assert a.accuracy.second_mean == pytest.approx(np.mean((first - outcomes) ** 2))
    assert a.accuracy.first_mean == pytest.approx(np.mean((0.6 * first + 0.4 * crowd - outcomes) ** 2), abs=1e-4)
    assert a.against_crowd.second_mean == pytest.approx(np.mean((crowd - outcomes) ** 2))
    assert (a.width.before, a.width.after) == pytest.approx((0.2, 0.1))
    assert b.movement.share_of_the_way == pytest.approx(0.4, abs=1e-3)
    assert a.against_plain.equivalence.bound == 0.05
    assert "no forecasts of models alone" in result.table()

    (tmp_path / "resolved.csv").write_text(
        "id,question,resolution\n" + "".join(f"q{n},?,{y}\n" for n, y in enumerate(outcomes))
    )
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "study2", f"{tmp_path}/run", "--questions", f"{tmp_path}/resolved.csv", "--json"])
    assert not ended.value.code
    assert [each["accuracy"]["n"] for each in json.loads(capsys.readouterr().out)["members"]] == [12, 11]
    assert Forecasts.from_run(tmp_path / "run").study2().study.members[0].accuracy.n == 0


def test_a_run_with_one_turn_is_no_study_2(tmp_path: Path) -> None:
    with LoopbackLLM(lambda received: Answer("Probability: 30%")) as server:
        asking = Crowd(["openai/a"], prompt="plain", api_base=server.api_base, allow_unpriced=True)
        run = asking.ask([{"id": "q", "question": "Will it?", "crowd": 0.4}], out=tmp_path / "run")
    with pytest.raises(InputError, match=r"of turn 0 only.*--prompt update"):
        run.study2()
    assert run.score(questions=[{"id": "q", "question": "?", "resolution": 0}]).primary.brier == pytest.approx(0.09)
