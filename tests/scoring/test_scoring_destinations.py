"""Where results of `hf-soup forecast` go: never in the place of what they were made from."""

from __future__ import annotations

import pytest

from hf_soup.cli.main import main

FORECASTS = "question_id,model,probability\nq1,a,0.8\nq2,a,0.3\n"
QUESTIONS = "id,question,resolution\nq1,?,yes\nq2,?,no\n"


@pytest.mark.parametrize("command", ["aggregate", "score"])
@pytest.mark.parametrize("target", ["forecasts.csv", "questions.csv", "linked.csv"])
def test_a_file_that_is_read_is_not_overwritten(tmp_path, capsys, command, target):
    forecasts, questions = tmp_path / "forecasts.csv", tmp_path / "questions.csv"
    forecasts.write_text(FORECASTS)
    questions.write_text(QUESTIONS)
    (tmp_path / "linked.csv").symlink_to(forecasts)
    out = tmp_path / target
    with pytest.raises(SystemExit) as ended:
        main(["forecast", command, str(forecasts), "--questions", str(questions), "-o", str(out)])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert f"{out}: is one of the files that are read; name another one for the result (-o)." in printed.err
    assert (forecasts.read_text(), questions.read_text()) == (FORECASTS, QUESTIONS)


def test_an_earlier_result_is_replaced(tmp_path):
    forecasts, out = tmp_path / "forecasts.csv", tmp_path / "out.csv"
    forecasts.write_text(
        FORECASTS.replace("probability", "probability,resolution").replace("0.8", "0.8,1").replace("0.3", "0.3,0")
    )
    out.write_text("earlier")
    with pytest.raises(SystemExit) as ended:
        main(["forecast", "aggregate", str(forecasts), "-o", str(out)])
    assert ended.value.code in (0, None)
    assert out.read_text().startswith("question_id,")
