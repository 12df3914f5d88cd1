"""The bias report: what it finds in crowds whose biases are known, how rewordings are paired, and `hf-soup forecast bias`."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data

from hf_soup.cli.main import main
from hf_soup.errors import InputError
from hf_soup.scoring.bias_report import CROWD, EVERYTHING, BiasReport, bias_report
from hf_soup.scoring.biases.learning_curve import MEAN, MEDIAN
from hf_soup.scoring.read_forecasts import read_forecasts
from hf_soup.scoring.read_rewordings import read_negated
from hf_soup.scoring.table import ForecastTable

NAN = float("nan")


def chances(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def tables(
    seed: int = 0,
    *,
    n: int = 300,
    too_high: float = 0.0,
    too_sure: float = 1.0,
    says_yes: float = 0.0,
    words: float = 0.0,
    rounds: bool = False,
) -> tuple[ForecastTable, ForecastTable, ForecastTable]:
    """Forecasts of questions, of their opposites and of other wordings, by three members who know nearly as much as there is."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(0, 1.2, n)
    outcomes = (generator.random(n) < chances(truth)).astype(float)
    heard = too_sure * truth[:, None, None] + too_high
    seen, opposite, reworded = (heard + 0.05 * generator.standard_normal((n, 3, 2)) for _ in range(3))
    reworded += words * generator.standard_normal((n, 3, 1))
    values, negated, paraphrased = chances(seen), chances(-opposite) + says_yes, chances(reworded)
    if rounds:
        values = (values * 20).round() / 20
    members = ["a", "b", "c"]
    return (
        ForecastTable.of(values, outcomes, members=members),
        ForecastTable.of(negated.clip(0, 1), members=members),
        ForecastTable.of(paraphrased, members=members),
    )


def found(report: BiasReport) -> set[str]:
    return {f"{each.check}: {each.measure}" for each in report.findings if each.found}


def reported(**bias: float | bool) -> BiasReport:
    table, negated, paraphrased = tables(**bias)
    return bias_report(table, negated=negated, paraphrases=[paraphrased])


def test_crowds_without_a_bias_give_no_finding():
    wrong = sum(bool(found(reported(seed=seed, n=120))) for seed in range(20))
    assert wrong <= 3  # 5 % of 20 on average; without the adjustment nearly all of them would


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        ({"too_high": 0.8}, "mean_against_base_rate: mean − base rate"),
        ({"too_sure": 2.0}, "confidence: slope"),
        ({"too_sure": 2.0}, "confidence: sureness − right"),
        ({"says_yes": 0.04}, "acquiescence: p + p_not − 1"),
        ({"words": 0.4}, "paraphrases: variance beyond sampling"),
        ({"rounds": True}, "heaping: multiples of 5 %: share − expected"),
    ],
)
def test_each_bias_is_found_by_its_check(bias, expected):
    assert expected in found(reported(**bias))


def test_a_bias_of_one_kind_is_no_finding_of_the_others():
    assert found(reported(says_yes=0.04)) == {"acquiescence: p + p_not − 1"}
    assert found(reported(words=0.4)) == {"paraphrases: variance beyond sampling"}


def test_all_tests_are_adjusted_together_and_every_one_says_what_it_would_have_found():
    from scipy.stats import false_discovery_control

    report = reported()
    tested = [each for each in report.findings if each.estimate.test]
    assert report.adjusted.tests == len(tested) >= 4 * 6
    assert [each.adjusted_p for each in tested] == pytest.approx(
        false_discovery_control([each.estimate.test.p for each in tested]).tolist()
    )
    assert all(each.estimate.detectable > 0 and each.estimate.interval for each in tested)
    table, negated, _ = tables()
    twice = bias_report(table, negated=negated, looks=2)
    assert twice.adjusted.looks == 2
    assert "2 looks" in twice.table()


def test_every_table_has_the_adjusted_p_beside_its_own():
    """What is not among the found has a small p of its own and a large adjusted one; both stand in its row."""
    from scipy.stats import false_discovery_control

    table, negated, paraphrased = tables(n=60, says_yes=0.004, seed=0)
    report = bias_report(table, negated=negated, paraphrases=[paraphrased], looks=3)
    tested = [each for each in report.findings if each.estimate.test]
    adjusted = false_discovery_control([min(3 * each.estimate.test.p, 1) for each in tested])
    text = report.table()
    for title, count in (("Mean forecast", 1), ("Acquiescence", 1), ("Other", 2), ("Round", 1), ("Confidence", 2)):
        assert text.split(f"\n\n{title}")[1].splitlines()[1].count("p (BH)") == count
    rows = text.split("\n\nAcquiescence")[1].splitlines()[2:5]
    of_yes = [(each, p) for each, p in zip(tested, adjusted, strict=True) if each.check == "acquiescence"]
    assert any(each.estimate.test.p < 0.05 <= p for each, p in of_yes)
    for row, (each, p) in zip(rows, of_yes, strict=False):
        cells = re.split(r" {2,}", row.strip())
        assert cells[0] == each.name
        assert [float(cell.removeprefix("< ")) for cell in cells[6:8]] == pytest.approx(
            [each.estimate.test.p, p], abs=0.001
        )
    assert f"Of {len(tested)} tests, p adjusted over all of them (Benjamini–Hochberg, 3 looks), " in text


def test_what_finds_nothing_is_not_called_free_of_bias():
    text = reported().table()
    assert "none found a bias that chance does not explain; what each would have found" in text
    assert "no evidence of no bias" in text
    assert "unbiased" not in text


def test_identical_answers_to_other_words_are_no_bias():
    """Less variance than sampling gives: the same answers were given again."""
    table, _, _ = tables()
    report = bias_report(table, paraphrases=[table])
    assert report.paraphrases[0].beyond_sampling.value < 0
    assert report.paraphrases[0].beyond_sampling.test.p > 0.999
    assert "paraphrases: variance beyond sampling" not in found(report)


def test_a_report_of_little_says_what_is_missing():
    table = ForecastTable.of([[0.2], [0.5]])
    report = bias_report(table)
    assert (report.error_correlation, report.learning_curve, report.cost_per_brier_point) == (None, None, None)
    assert (report.acquiescence, report.paraphrases) == ((), ())
    assert [each.name for each in report.heaping] == ["member 1"]
    assert report.warnings[0].startswith("no question is resolved")
    assert [note.split(":")[0] for note in report.notes[:3]] == [
        "Acquiescence is not checked",
        "Sensitivity to wording is not checked",
        "Costs are not known",
    ]
    assert report.adjusted.tests == 0
    assert json.dumps(report.to_json())
    assert {row["check"] for row in report.rows()} == {"mean_against_base_rate", "heaping", "confidence"}
    assert str(report) == report.table()


def test_a_member_without_any_forecast_and_one_resolved_question_get_no_numbers_made_up():
    report = bias_report(ForecastTable.of([[0.2, NAN], [0.5, NAN]], [1, NAN]))
    rows = {(row["check"], row["name"]): row for row in report.rows()}
    assert rows["mean_against_base_rate", "member 2"]["n"] == 0
    assert np.isnan(rows["mean_against_base_rate", "member 2"]["value"])
    assert rows["mean_against_base_rate", "member 1"]["value"] == pytest.approx(-0.8)
    assert rows["mean_against_base_rate", "member 1"]["p"] is None
    assert report.table()


def test_rows_and_document_hold_every_number():
    table, negated, paraphrased = tables(n=60)
    report = bias_report(table, negated=negated, paraphrases=[paraphrased], costs={"a": 1.0, "b": 2.0, "c": 3.0})
    rows = report.rows()
    assert len({tuple(row) for row in rows}) == 1
    assert [row for row in rows if row["check"] == "acquiescence"][-1]["name"] == CROWD
    assert [row for row in rows if row["check"] == "heaping"][-1]["name"] == EVERYTHING
    assert sum(row["check"] == "error_correlation" for row in rows) == 3 * 2
    document = json.loads(json.dumps(report.to_json()))
    assert np.array(document["error_correlation"]["of_errors"]).shape == (3, 3)
    assert len(document["heaping"][0]["histogram"]) == 101
    assert document["findings"][0]["found"] is False
    assert len(document["learning_curve"]["points"]) == 2 * 3 * 2
    assert "Cost by members × samples" in report.table()


@pytest.mark.parametrize(
    "table",
    [
        ForecastTable.of([[0.2, 0.4]], [1]),
        ForecastTable.of(np.linspace(0.1, 0.9, 30)[:, None], np.arange(30) % 2, groups=[0] * 30),
    ],
    ids=["one question", "one group"],
)
def test_where_nothing_can_be_tested_it_is_not_said_that_nothing_was_found(table):
    text = bias_report(table).table()
    assert text.startswith("Nothing could be tested")
    assert "none found" not in text


def test_a_slope_is_said_to_be_tested_against_one():
    report = reported(too_sure=2.0)
    text = report.table()
    assert "confidence, a: slope, tested against 1: 0." in text
    assert "p (against 1)" in text
    assert "mean − base rate, tested against" not in reported(too_high=0.8).table()


def test_counts_of_round_numbers_say_what_they_count():
    """Nothing is 50 % to the last digit, one forecast is nearest to it."""
    values = np.concatenate([[0.5012], np.linspace(0.03, 0.97, 99) + 0.0001])[:, None]
    text = bias_report(ForecastTable.of(values)).table()
    assert "to the last digit 0 of 100 forecasts are 50 %" in text
    assert "takes each forecast to the nearest whole percentage" in text
    assert "Where “–” stands for p" in text


def test_the_table_says_why_the_curve_ends_early():
    table, _, _ = tables(n=60)
    values = table.values.copy()
    values[:20, 2] = NAN
    assert "It ends at 2 of 3 members" in bias_report(replace(table, values=values)).table()


def test_in_a_notebook_the_report_is_one_short_line():
    assert repr(reported(says_yes=0.04)).startswith("<BiasReport of a, b, c: ")
    assert len(repr(reported())) < 150


# Pairs


def with_rewordings() -> ForecastTable:
    """q1 and q2, the opposite of q1, another wording of q1, another wording of that, and a rewording of what is not there."""
    values = np.array([0.6, 0.2, 0.5, 0.7, 0.8, 0.9])[:, None, None]
    return replace(
        ForecastTable.of(
            values, [1, 0, 0, 1, 1, NAN], questions=["q1", "q2", "n1", "w1", "w2", "x"], groups=[0, 1, 0, 0, 0, 2]
        ),
        negation_of=(None, None, "q1", None, None, "elsewhere"),
        paraphrase_of=(None, None, None, "q1", "w1", None),
    )


def test_rewordings_in_the_table_make_pairs_and_nothing_else():
    report = bias_report(with_rewordings())
    (lean,) = report.acquiescence
    (words,) = report.paraphrases
    assert (lean.lean.value, lean.lean.n) == (pytest.approx(0.1), 1)
    assert (words.shift.value, words.shift.n, words.shift.groups) == (pytest.approx(0.1), 2, 1)
    assert report.mean_against_base_rate[0].excess.n == 2
    assert report.heaping[0].counts.forecasts == 3  # q1, q2, and x, whose original is not there
    assert report.notes[0].startswith("3 questions are rewordings of others")


def test_a_second_table_is_paired_by_id_or_by_what_its_questions_say():
    table = ForecastTable.of([[0.6, 0.5], [0.2, 0.4]], questions=["q1", "q2"], members=["a", "b"])
    same_ids = ForecastTable.of([[0.9], [0.5]], questions=["q2", "q1"], members=["a"])
    own_ids = replace(
        ForecastTable.of([[0.5, 0.1], [0.3, 0.3], [0.9, 0.1]], questions=["n1", "q1", "n2"], members=["b", "z"]),
        negation_of=("q1", None, "q2"),
    )
    by_id = bias_report(table, negated=same_ids)
    assert (by_id.acquiescence[0].lean.value, by_id.acquiescence[0].lean.n) == (pytest.approx(0.1), 2)
    assert by_id.acquiescence[1].lean.n == 0
    named = bias_report(table, negated=own_ids)
    assert (named.acquiescence[1].lean.value, named.acquiescence[1].lean.n) == (pytest.approx((0 + 0.3) / 2), 2)
    assert any(warning.startswith("z: forecasts of negated questions alone") for warning in named.warnings)


def test_tables_that_have_nothing_in_common_are_refused():
    table = ForecastTable.of([[0.6]], questions=["q1"], members=["a"])
    other = ForecastTable.of([[0.6]], questions=["q9"], members=["b"])
    with pytest.raises(InputError, match="pairs need the same members") as caught:
        bias_report(table, negated=other)
    assert "none of its questions is one of the others" in caught.value.problems[1]


def test_questions_that_reword_each_other_are_refused():
    table = replace(
        ForecastTable.of([[0.6], [0.4]], questions=["q1", "n1"]), negation_of=("n1", "q1"), paraphrase_of=(None, None)
    )
    with pytest.raises(InputError, match="'n1', 'q1' are rewordings of each other"):
        bias_report(table)


# Files


ROWS = [
    {"question_id": "q1", "model": "a", "probability": 60},
    {"question_id": "q1", "model": "b", "probability": 30},
    {"question_id": "q2", "model": "a", "probability": 20},
]
OPPOSITE = [{**row, "probability": 100 - row["probability"] + 8} for row in ROWS]


def test_probabilities_of_a_table_are_those_of_the_negated_question_unless_it_says_otherwise():
    asked = read_forecasts(ROWS, unit="percent")
    given = read_negated(OPPOSITE, unit="percent")
    assert given.values[0, 0, 0] == pytest.approx(0.48)
    assert bias_report(asked, negated=given).acquiescence[0].lean.value == pytest.approx(0.08)
    # As rows of a run: of yes, though no was asked for; other rows are left out.
    as_in_a_run = [{**row, "probability": 100 - row["probability"], "negated": True} for row in OPPOSITE]
    turned = read_negated([*as_in_a_run, {**ROWS[0], "negated": False}], unit="percent")
    assert turned.values[:, :, 0] == pytest.approx(given.values[:, :, 0], nan_ok=True)
    assert bias_report(asked, negated=turned).acquiescence[0].lean.value == pytest.approx(0.08)


def test_a_table_that_nobody_was_asked_for_no_in_is_refused():
    with pytest.raises(InputError, match="no row of it was asked for the probability of no"):
        read_negated([{**row, "negated": False} for row in ROWS], unit="percent")
    own = [
        {**row, "negated": False, "question_id": f"not {row['question_id']}", "negation_of": row["question_id"]}
        for row in OPPOSITE
    ]
    assert read_negated(own, unit="percent").negation_of == ("q1", "q2")


def test_columns_beside_the_forecasts_say_what_is_reworded_and_group_it():
    rows = [
        {"id": "q1", "a": 0.6, "resolution": "yes"},
        {"id": "n1", "a": 0.5, "resolution": "no", "negation_of": "q1"},
        {"id": "w1", "a": 0.7, "resolution": "yes", "paraphrase_of": "q1"},
        {"id": "v1", "a": 0.7, "resolution": "yes", "paraphrase_of": "w1"},
        {"id": "y1", "a": 0.7, "resolution": "yes", "paraphrase_of": "gone"},
        {"id": "y2", "a": 0.7, "resolution": "yes", "paraphrase_of": "gone"},
    ]
    table = read_forecasts(rows, unit="fraction")
    assert table.members == ("a",)
    assert table.groups.tolist() == [0, 0, 0, 0, 1, 1]
    assert table.negation_of[1] == table.paraphrase_of[2] == "q1"


@pytest.fixture
def forecast(capsys):
    """Runs `bias`; returns its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["forecast", "bias", *map(str, words)])
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def written(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_command_reads_pairs_from_files_and_writes_table_and_document(forecast, tmp_path):
    asked = written(tmp_path / "asked.csv", [{**row, "resolution": "yes"} for row in ROWS])
    opposite = written(tmp_path / "opposite.csv", OPPOSITE)
    words = written(tmp_path / "words.csv", [{**row, "probability": row["probability"] + 2} for row in ROWS])
    options = ("--unit", "percent", "--negated", opposite, "--paraphrase", words, "--paraphrase", words)
    code, out, err = forecast(asked, *options, "--json", "-o", tmp_path / "bias.csv")
    assert code == 0, err
    assert json.loads(out)["acquiescence"][0]["lean"]["value"] == pytest.approx(0.08)
    assert json.loads(out)["paraphrases"][0]["shift"] == pytest.approx(
        {"value": 0.02, "n": 4, "groups": 2, "test": None, "detectable": None, "null": 0.0, "only_above": False}
        | {"interval": pytest.approx([0.02, 0.02])}
    )
    assert "below 50 intervals are rough" in err
    with (tmp_path / "bias.csv").open() as file:
        rows = list(csv.DictReader(file))
    leans = [float(row["value"]) for row in rows if (row["check"], row["name"]) == ("acquiescence", "a")]
    assert leans == pytest.approx([0.08])
    # b has no forecast of q2 in all three files: every line says which it is about.
    told = [json.loads(line)["message"] for line in err.splitlines() if "has no forecast of" in line]
    assert [line.split(": b:")[0] for line in told[1:]] == [str(opposite), str(words), str(words)]
    code, out, _ = forecast(asked, *options, "--members", "a")
    assert code == 0
    assert "p + p_not − 1" in out
    assert "\nb " not in out


def test_the_table_does_not_take_the_place_of_a_file_that_is_read(forecast, tmp_path):
    asked = written(tmp_path / "asked.csv", ROWS)
    opposite = written(tmp_path / "opposite.csv", OPPOSITE)
    before = opposite.read_bytes()
    for option in ("--negated", "--paraphrase"):
        code, _, err = forecast(asked, "--unit", "percent", option, opposite, "-o", opposite)
        assert code == 2
        assert "is one of the files that are read" in err
    assert opposite.read_bytes() == before


def test_questions_in_a_file_of_their_own_say_what_is_reworded(forecast, tmp_path):
    questions = written(
        tmp_path / "questions.csv",
        [
            {"id": "q1", "question": "Will it rain?", "resolution": "yes", "negation_of": ""},
            {"id": "n1", "question": "Will it stay dry?", "resolution": "no", "negation_of": "q1"},
        ],
    )
    asked = written(tmp_path / "asked.csv", [{"question_id": "q1", "model": "a", "probability": 0.7}])
    opposite = written(tmp_path / "opposite.csv", [{"question_id": "n1", "model": "a", "probability": 0.4}])
    code, out, _ = forecast(asked, "--questions", questions, "--negated", opposite, "--json")
    assert code == 0
    assert json.loads(out)["acquiescence"][0]["lean"]["value"] == pytest.approx(0.1)
    together = written(
        tmp_path / "together.csv",
        [
            {"question_id": "q1", "model": "a", "probability": 0.7},
            {"question_id": "n1", "model": "a", "probability": 0.4},
        ],
    )
    code, out, _ = forecast(together, "--questions", questions)
    assert code == 0
    assert "1 question is a rewording" in out


def test_real_forecasts_are_checked():
    """202 questions, three models; the numbers are those of the data sheet and of a computation by hand."""
    table = read_forecasts(
        real_data("delib_202q_3models.csv"), unit="percent", where={"context": "none", "sample": "0"}
    )
    report = bias_report(table)
    curve, errors = report.learning_curve, report.error_correlation
    assert curve.point(MEAN, 3, 1).brier == pytest.approx(0.16647, abs=5e-6)
    assert curve.point(MEDIAN, 3, 1).brier == pytest.approx(0.17279, abs=5e-6)
    assert errors.brier_of_mean == pytest.approx(0.16647, abs=5e-6)
    assert curve.point(MEAN, 1, 1).brier == pytest.approx(errors.member_brier)
    assert 0.8 < errors.mean_of_errors < 0.95
    assert "heaping: multiples of 5 %: share − expected" in found(report)
