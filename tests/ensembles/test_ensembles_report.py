"""The whole report: what is scored on what, and the documents it becomes."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ensemble_data import members
from sklearn.metrics import log_loss

from hf_soup.ensembles import Combination, MemberCost, MemberProbabilities, fit_combination
from hf_soup.ensembles.evidence.left_out import without
from hf_soup.ensembles.plots import reliability_plot, weights_plot
from hf_soup.ensembles.report import EnsembleReport, cross_dataset, ensemble_report
from hf_soup.ensembles.splits import cross_validated, folds
from hf_soup.errors import InputError

COSTS = {
    "big/1": MemberCost(2_000_000, 1, 0.004, 8_000_000),
    "big/2": MemberCost(3_000_000, 1, 0.006, 12_000_000),
    "small/1": MemberCost(None, 1, None, None),
}


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intervals themselves are tested in test_ensembles_report_scores.py."""
    for name in ("_MOST_RESAMPLES", "_LEAST_RESAMPLES"):
        monkeypatch.setattr(f"hf_soup.ensembles.evidence.scored.{name}", 200)


def chosen(method: str = "learned", tiers: str = "tiered", temperature: str = "family") -> Combination:
    return fit_combination(members(250), method, tiers=tiers, temperature=temperature)


@cache
def report() -> EnsembleReport:
    """Fitted on one data set, with two tests of it."""
    tests = {"test": members(200, seed=1), "shift": members(150, {"big": (0.4, 0.3), "small": (1.0,)}, seed=2)}
    return ensemble_report(members(250), tests, chosen=chosen(), costs=COSTS)


def scored(found: EnsembleReport, system: str, data: str, metric: str) -> float:
    (row,) = [r for r in found.rows() if (r["system"], r["set"], r["metric"]) == (system, data, metric)]
    return row["value"]


def nll(probabilities: np.ndarray, data: MemberProbabilities) -> float:
    p = probabilities.astype(np.float64)
    return log_loss(data.labels, p / p.sum(axis=1, keepdims=True), labels=range(len(data.classes)))


def test_every_member_family_mean_and_method_is_there_flat_and_tiered() -> None:
    names = [system.name for system in report().systems]
    assert names[:4] == ["big/1", "big/2", "small/1", "mean of big"]
    for method in ("equal weights", "learned weights", "learned per class", "Caruana's greedy", "stacking"):
        assert {f"{method}, tiered", f"{method}, flat"} <= set(names)
    assert names.count("best single") == 1
    assert [system.name for system in report().systems if system.chosen] == ["learned weights, tiered"]
    assert all(set(system.results) == {"held-out", "test", "shift"} for system in report().systems)


def test_on_test_sets_a_combination_is_scored_as_it_was_fitted() -> None:
    test = members(200, seed=1)
    assert scored(report(), "learned weights, tiered", "test", "nll") == pytest.approx(
        nll(chosen().combine(test.values), test), rel=1e-6
    )
    assert scored(report(), "stacking, flat", "test", "nll") == pytest.approx(
        nll(chosen("stacking", "flat").combine(test.values), test), rel=1e-6
    )
    assert scored(report(), "mean of big", "test", "nll") == pytest.approx(
        nll(test.values[:2].astype(np.float64).mean(axis=0), test), rel=1e-6
    )


def test_on_the_fitting_rows_everything_fitted_is_scored_out_of_fold() -> None:
    data = members(250)
    expected = np.empty((250, 3))
    for train, held_out in folds(data):
        fitted = fit_combination(data.subset(train), "learned")
        expected[held_out] = fitted.combine(data.values[:, held_out])
    assert scored(report(), "learned weights, tiered", "held-out", "nll") == pytest.approx(
        nll(expected, data), rel=1e-6
    )


def test_the_best_single_model_is_chosen_on_the_training_folds() -> None:
    data = members(60, {"a": (1.0,), "b": (1.0,)}, seed=4)
    losses = -np.log(np.take_along_axis(data.values, data.labels[None, :, None], axis=2)[:, :, 0].astype(np.float64))
    picked = np.empty((60, 3))
    choices = []
    for train, held_out in folds(data):
        choices.append(int(losses[:, train].mean(axis=1).argmin()))
        picked[held_out] = data.values[choices[-1], held_out]
    assert len(set(choices)) == 2, "the folds must disagree for this to test anything"
    combination = fit_combination(data, "learned", temperature="none")
    found = ensemble_report(data, chosen=combination)
    best = int(losses.mean(axis=1).argmin())
    assert scored(found, "best single", "held-out", "accuracy") == (picked.argmax(axis=1) == data.labels).mean()
    note = next(system.note for system in found.systems if system.name == "best single")
    assert note == f"{data.members[best]}; in {choices.count(best)} of 5 folds"


def test_differences_are_of_the_chosen_one_against_the_others() -> None:
    found = {(d.set, d.against, d.metric): d for d in report().differences}
    assert {d.of for d in report().differences} == {"learned weights, tiered"}
    against = {"best single", "equal weights, tiered", "mean of big", "learned weights, flat"}
    assert {d.against for d in report().differences} == against
    for each in against:
        expected = scored(report(), "learned weights, tiered", "test", "nll") - scored(report(), each, "test", "nll")
        assert found["test", each, "nll"].value == pytest.approx(expected)


def test_leaving_out_refits_the_rest_on_the_same_folds() -> None:
    data = members(250)
    assert [(one.name, one.what) for one in report().left_out] == [
        ("big/1", "member"),
        ("big/2", "member"),
        ("small/1", "member"),
        ("big", "family"),
    ]
    rest = MemberProbabilities.of({"big": data.values[:2]}, data.labels, ids=list(data.ids))
    alone = nll(cross_validated(rest, fit_combination), rest)
    whole = scored(report(), "learned weights, tiered", "held-out", "nll")
    (change,) = [d for d in report().left_out[2].differences if d.metric == "nll"]
    assert change.value == pytest.approx(alone - whole, abs=1e-6)


def test_without_members_a_family_goes_with_its_last_one() -> None:
    rest = without(members(5), [2])
    assert (rest.members, [family.name for family in rest.families]) == (("big/1", "big/2"), ["big"])
    rest = without(members(5), [0])
    assert [family.members for family in rest.families] == [(0,), (1,)]


def test_weights_have_intervals_that_hold_them() -> None:
    assert [each.name for each in report().weights] == ["big", "small"]
    assert sum(each.value for each in report().weights) == pytest.approx(1)
    assert all(0 <= each.low <= each.value <= each.high <= 1 for each in report().weights)
    assert all(each.low < each.high for each in report().weights)


def test_what_was_not_fitted_has_no_interval() -> None:
    found = ensemble_report(members(250), chosen=chosen("equal"), folds=2)
    assert [(each.value, each.low, each.high) for each in found.weights] == [(0.5, None, None)] * 2
    assert "Against equal" not in found.sentence


def test_costs_are_sums_over_the_members_that_count() -> None:
    costs = {each.name: each for each in report().costs}
    assert costs["big/1"].parameters == 2_000_000
    both = costs["equal weights, flat"]
    assert (both.models, both.forward_passes, both.parameters, both.seconds_per_row) == (3, 3, None, None)
    best = next(system.note.split(";")[0] for system in report().systems if system.name == "best single")
    single = costs["best single"]
    assert (single.models, single.forward_passes, single.parameters) == (1, 1, COSTS[best].parameters)
    early = costs["learned weights, tiered, with early exit"]
    assert 1 <= early.forward_passes < costs["learned weights, tiered"].forward_passes


def test_the_cross_dataset_table_is_a_loop_over_fits_and_tests() -> None:
    sets = {"a": members(150), "b": members(120, seed=7)}
    found = {(r["fitted_on"], r["tested_on"], r["metric"]): r for r in cross_dataset(sets, fit_combination).rows()}
    for a, data in sets.items():
        for b, test in sets.items():
            expected = cross_validated(data, fit_combination) if a == b else fit_combination(data).combine(test.values)
            assert found[a, b, "nll"]["value"] == pytest.approx(nll(expected, test), rel=1e-6)
    assert report().crossed is not None
    assert set(report().crossed.results) == {"held-out", "test", "shift"}
    assert report().crossed.results["held-out"]["shift"]["auc"].value == pytest.approx(
        scored(report(), "learned weights, tiered", "shift", "auc")
    )


def test_tests_may_have_their_members_in_another_order() -> None:
    test = members(200, seed=1)
    moved = MemberProbabilities.of(
        {"small": test.values[2:], "big": test.values[1::-1]},
        test.labels,
        ids=list(test.ids),
        members=["small/1", "big/2", "big/1"],
    )
    found = ensemble_report(members(250), {"test": moved}, chosen=chosen(), folds=2)
    for metric in ("accuracy", "nll", "auc"):
        expected = scored(report(), "learned weights, tiered", "test", metric)
        assert scored(found, "learned weights, tiered", "test", metric) == pytest.approx(expected)


def test_families_of_one_member_have_no_second_tier_to_show() -> None:
    data = members(120, {"a": (1.5,), "b": (1.0,)})
    found = ensemble_report(data, chosen=fit_combination(data))
    assert "learned weights" in [system.name for system in found.systems]
    assert not any("flat" in system.name or system.kind == "family mean" for system in found.systems)


def test_rows_about_which_a_member_is_silent_are_left_out_for_all_and_counted() -> None:
    data = members(250)
    values = np.array(data.values)
    values[2, :10] = np.nan
    found = ensemble_report(replace(data, values=values), chosen=chosen(), folds=2)
    kept = data.subset(np.arange(10, 250))
    assert scored(found, "big/1", "held-out", "nll") == pytest.approx(nll(kept.values[0], kept), rel=1e-6)
    assert any("10 rows are left out" in warning for warning in found.warnings)


def test_test_rows_that_were_fitted_on_are_told() -> None:
    data = members(250)
    found = ensemble_report(data, {"test": data.subset(np.arange(100, 180))}, chosen=chosen(), folds=2)
    assert any("80 of its 80 rows are also among the fitting rows" in warning for warning in found.warnings)
    assert not any("also among" in warning for warning in report().warnings)


def test_everything_wrong_with_the_input_is_told_at_once() -> None:
    data = members(250)
    others = members(50, {"big": (1.0, 1.0), "other": (1.0,)})
    tests = {
        "held-out": data,
        "unlabelled": replace(data, labels=None),
        "others": others,
        "classes": replace(data, classes=("x", "y", "z")),
    }
    with pytest.raises(InputError) as caught:
        ensemble_report(data, tests, chosen=chosen())
    problems = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 4
    for word in ("name of the fitting rows", "unlabelled: has no labels", "other/1", "x, y, z"):
        assert word in problems


def test_the_document_holds_the_whole_report_as_json() -> None:
    document = json.loads(json.dumps(report().to_json(), allow_nan=False))
    assert EnsembleReport.from_json(document) == report()
    assert str(EnsembleReport.from_json(document)) == str(report())


def test_a_document_of_before_there_were_rivals_and_notes_is_read() -> None:
    document = report().to_json()
    del document["rivals"]
    for cost in document["costs"]:
        del cost["note"]
    found = EnsembleReport.from_json(document)
    assert (found.rivals, found.sentence) == ((), report().sentence)


def test_what_is_not_defined_is_null_in_the_document_and_a_dash_in_the_tables() -> None:
    data = replace(members(250), labels=np.zeros(250, np.int64))
    found = ensemble_report(members(250), {"one": data}, chosen=chosen(), folds=2)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert np.isnan(EnsembleReport.from_json(document).systems[0].results["one"]["auc"].value)
    assert any("all rows are of class 0" in warning for warning in found.warnings)
    assert "All rows of one are of class 0" in found.sentence
    (grid,) = [grid for grid in found.grids() if grid.title.startswith("one") and "decisions" in grid.title]
    assert grid.rows[0][3] == "–"


def test_rows_are_a_csv_file_of_every_number() -> None:
    rows = list(csv.DictReader(io.StringIO(report().csv())))
    assert len(rows) == len(report().systems) * 3 * 6
    assert {row["metric"] for row in rows} == {"accuracy", "f1_macro", "auc", "nll", "brier", "ece"}
    first = report().rows()[0]
    assert float(rows[0]["value"]) == first["value"]


def test_text_and_markdown_show_the_same_tables() -> None:
    text, markdown = report().table(), report().markdown()
    for grid in report().grids():
        assert grid.title in text
        assert len({line.count("|") for line in grid.markdown().splitlines() if line.startswith("|")}) == 1
        for row in grid.rows:
            assert all(cell in text and cell in markdown for cell in row)
    assert text.startswith(report().sentence)
    assert markdown.startswith(report().sentence)


def test_a_members_name_cannot_break_out_of_the_cards_tables() -> None:
    data = members(120, {"a": (1.5,), "b": (1.0,)})
    named = replace(data, members=("a|b<script>", "b`1"))
    markdown = ensemble_report(named, chosen=fit_combination(named)).grids()[0].markdown()
    assert "<script>" not in markdown
    assert "a\\|b&lt;script&gt;" in markdown


def test_pictures_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    for draw in (weights_plot, reliability_plot):
        first = draw(report(), tmp_path / "first.png").read_bytes()
        assert first.startswith(b"\x89PNG")
        assert draw(report(), tmp_path / "second.png").read_bytes() == first


def test_reliability_is_the_share_that_was_right_in_each_bin() -> None:
    test = members(200, seed=1)
    plain, ours = report().reliability
    assert plain.name == "without temperatures"
    p = chosen().combine(test.values)
    right = p.argmax(axis=1) == test.labels
    assert sum(ours.rows) == 200
    assert np.average(ours.accuracy, weights=ours.rows) == pytest.approx(right.mean())
    lightest = np.sort(p.max(axis=1))[: ours.rows[0]]
    assert ours.confidence[0] == pytest.approx(lightest.mean())


def test_stacking_has_no_weights_to_draw(tmp_path: Path) -> None:
    found = ensemble_report(members(250), chosen=chosen("stacking"), folds=2)
    assert found.weights == ()
    with pytest.raises(ValueError, match="no weights"):
        weights_plot(found, tmp_path / "weights.png")
