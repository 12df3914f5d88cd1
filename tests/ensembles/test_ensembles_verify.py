"""Verifying published ensembles: what is found, and what is not believed."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil

import ensemble_data
import numpy as np
import pytest
from published_ensembles import copied, edit_record, files, ready_made, saved
from tiny_models import sentences
from voting_models import save_text_model, shared

from hf_soup import HeldOut, verify
from hf_soup.ensembles import Ensemble
from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.evidence.verdict_from_figures import verdict_from_figures
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.ensembles.report import EnsembleReport
from hf_soup.errors import InputError
from hf_soup.publishing.card_files import is_generated, marked


def fit_rows():
    return ensemble_data.members(240)


def test_rows():
    return ensemble_data.members(200, seed=1)


test_rows.__test__ = False


def test_without_rows_it_says_that_the_figures_were_not_computed_again():
    found = verify(ready_made())
    assert found.exit_code == 0
    assert re.search(r"its [\d,]+ figures were NOT computed again", first_line(found))
    assert found.to_json()["recomputed"]["figures"] == 0


@pytest.fixture(scope="module")
def with_all_rows():
    """In another order than they were recorded in."""
    return verify(ready_made(), data=[test_rows(), fit_rows()])


def first_line(found) -> str:
    return str(found).splitlines()[0]


def test_with_all_rows_every_figure_is_computed_again(with_all_rows):
    found = with_all_rows
    assert found.exit_code == 0, str(found)
    assert found.recomputed.sets == ("held-out", "test")
    assert found.recomputed.figures == found.recomputed.recorded > 500
    assert found.recomputed.largest == 0
    assert f"; all {found.recomputed.figures:,} figures were computed again and agree." in first_line(found)
    assert "weights and temperatures agree" in str(found)


def test_with_test_rows_alone_members_and_the_ensemble_are_scored():
    found = verify(ready_made(), data=test_rows())
    assert found.exit_code == 0
    assert found.recomputed.figures == 5 * 6 * 3  # systems, metrics, value and bounds


def test_the_first_line_counts_what_was_computed_again_and_names_what_was_not(with_all_rows):
    found = verify(ready_made(), data=test_rows())
    everything = with_all_rows.recomputed.figures
    assert (
        f"; 90 of {everything:,} figures were computed again and agree; not computed again: held-out."
        in first_line(found)
    )
    assert found.to_json()["recomputed"]["not_computed_again"] == ["held-out"]


def test_rows_that_the_record_does_not_name_are_an_error(tmp_path):
    stranger = ensemble_data.members(50, seed=9)
    with pytest.raises(InputError, match="its 50 rows, with their labels, are those of no data set in") as caught:
        verify(ready_made(), data=[stranger, test_rows(), stranger])
    assert len(caught.value.problems) == 2
    assert "held-out: 240 rows, test: 200 rows" in caught.value.problems[0]
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, lambda record: record["evidence"].update(sentence="Far better."))
    assert verify(folder, data=stranger).exit_code == 4  # that it is forged is more than that the rows are others


def test_a_relabelled_data_set_is_not_taken_for_the_recorded_one():
    rows = test_rows()
    labels = rows.labels.copy()
    labels[0] = (labels[0] + 1) % 3
    with pytest.raises(InputError, match="those of no data set"):
        verify(ready_made(), data=dataclasses.replace(rows, labels=labels))


def nll_of_chosen(record) -> dict:
    chosen = next(system for system in record["evidence"]["systems"] if system["chosen"])
    return chosen["results"]["test"]["nll"]


def test_a_forged_figure_is_found_although_card_and_metrics_agree_with_it(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, lambda record: nll_of_chosen(record).update(value=0.01))
    assert verify(folder).exit_code == 4  # the card and metrics.json still say what was so
    Ensemble.from_pretrained(folder).save(tmp_path / "forged")
    assert any("from its own figures follows" in line for line in verify(tmp_path / "forged").contradictions)
    record = EnsembleRecord.read(tmp_path / "forged" / ENSEMBLE_RECORD)
    report = EnsembleReport.from_json(record.evidence)
    fitting = verdict_from_figures(report, Combination.from_json(record.combination))
    edit_record(folder, lambda record: record["evidence"].update(sentence=fitting))
    shutil.rmtree(tmp_path / "forged")
    Ensemble.from_pretrained(folder).save(tmp_path / "forged")
    assert verify(tmp_path / "forged").exit_code == 0  # a whole lie is found by who has the rows
    found = verify(tmp_path / "forged", data=test_rows())
    assert found.exit_code == 4
    assert any("nll of learned weights, tiered is 0.01" in line for line in found.contradictions)


def test_forged_weights_are_found_by_fitting_again(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, lambda record: record["combination"].update(weights={"big": 0.5, "small": 0.5}))
    found = verify(folder, data=fit_rows())
    assert found.exit_code == 4
    assert any("The weight of 'big' is 0.5" in line for line in found.contradictions)
    assert any("table of members, commits and weights" in line for line in found.contradictions)
    assert any("about other weights than the ensemble has" in line for line in found.contradictions)
    assert "weights or temperatures do NOT agree" in str(found)


def test_a_forged_verdict_is_found(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    card = folder / "README.md"
    card.write_text(card.read_text().replace("**Verdict.** Learned", "**Verdict.** Far better: learned"))
    found = verify(folder)
    assert found.exit_code == 4
    assert any("The card's verdict" in line for line in found.contradictions)
    edit_record(folder, lambda record: record["evidence"].update(sentence="Far better."))
    card.unlink()
    for rows in (None, test_rows()):
        found = verify(folder, data=rows)
        assert found.exit_code == 4
        assert any("is 'Far better.'; from its own figures follows 'Learned" in line for line in found.contradictions)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda record: record["data"][0].update(rows=24000), r"lists the data held-out \(24,000 rows\)"),
        (lambda record: record["data"].reverse(), "lists the data test"),
        (lambda record: record["evidence"]["sets"][1].update(rows=20000), "lists the data"),
        (lambda record: record["evidence"]["sets"][1]["of_class"].update({"0": 5000}), "counts 200 rows of test"),
        (lambda record: record["evidence"]["weights"][0].update(value=0.99), "about other weights"),
        (
            lambda record: [one.update(chosen=False) for one in record["evidence"]["systems"]],
            "is about no combination",
        ),
        (
            lambda record: record["evidence"]["reliability"][-1]["accuracy"].__setitem__(-1, 0.1),
            "reliability curve of",
        ),
        (lambda record: record["evidence"]["reliability"][-1]["rows"].pop(), "reliability curve of"),
    ],
)
def test_what_the_record_says_of_its_data_must_go_with_its_figures(tmp_path, change, said):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, change)
    found = verify(folder)
    assert found.exit_code == 4
    assert any(re.search(said, line) for line in found.contradictions), str(found)


def test_warnings_that_were_removed_are_missed(tmp_path):
    """From the card; from card and record; those that follow from the rows alone, by who has these."""
    data = ensemble_data.members(60)
    test = ensemble_data.members(60, seed=1)
    values, ids = test.values.copy(), test.ids.astype(object)
    values[:, 0], ids[0] = data.values[:, 0], data.ids[0]
    ids = np.array([f"t{place}" if place else name for place, name in enumerate(ids)], dtype=object)
    test = dataclasses.replace(test, values=values, ids=ids.astype(str))
    small = Ensemble.from_predictions(data).fit(method="equal", folds=2, tests={"test": test}).save(tmp_path / "small")
    card = small / "README.md"
    written = card.read_text()
    assert "Warning: test: 1 of its 60 rows is also among the fitting rows (held-out)" in written
    card.write_text("\n".join(line for line in written.splitlines() if not line.startswith("Warning: ")))
    assert any("The card lacks a warning" in line for line in verify(small).contradictions)
    card.unlink()
    assert verify(small).exit_code == 0
    edit_record(small, lambda record: record["evidence"]["warnings"].pop())
    assert verify(small).exit_code == 0
    found = verify(small, data=[data, test])
    assert any("lacks a warning that comes of these rows: 'test: 1 of its 60" in line for line in found.contradictions)
    edit_record(small, lambda record: record["evidence"].update(warnings=[]))
    assert any("lacks a warning that follows from its own" in line for line in verify(small).contradictions)


@pytest.mark.parametrize("place", ["| big/1 | 7", "weights.png)\n\n**", "value: 0.8"])
def test_an_edited_table_or_index_of_the_card_is_a_contradiction(tmp_path, place):
    folder = copied(ready_made(), tmp_path / "votes")
    text = (folder / "README.md").read_text()
    text = text.replace("|   big/1 | 7", "|   big/1 | 9", 1) if place.startswith("|") else text
    text = text.replace("| big | big/1 | none | 0.", "| big | big/1 | none | 1.", 1) if "png" in place else text
    text = text.replace("value: 0.8", "value: 0.9", 1) if place.startswith("value") else text
    assert text != (folder / "README.md").read_text()
    (folder / "README.md").write_text(text)
    assert verify(folder).exit_code == 4


def test_files_that_a_loader_might_take_instead_count_against_it(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    (folder / "config.json").write_text("{}")
    found = verify(folder)
    assert found.exit_code == 4
    assert found.files[0].path == "config.json"


def test_metrics_that_differ_from_the_record_are_a_contradiction(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    rows = json.loads((folder / "metrics.json").read_text())
    rows[0]["value"] = 0.5
    (folder / "metrics.json").write_text(json.dumps(rows))
    assert any("metrics.json gives other figures" in line for line in verify(folder).contradictions)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What families say is joined with weights", "What families say is joined with the best weights"),
        ("240 rows, digest", "24,000 rows, digest"),
        ("- Speed: no time was measured.", "- Nothing: it was tested on everything."),
    ],
)
def test_every_line_that_follows_from_the_record_is_derived_again(tmp_path, old, new):
    folder = copied(ready_made(), tmp_path / "votes")
    text = (folder / "README.md").read_text()
    assert text.count(old) == 1
    forged = marked(text.partition("\n<!-- generated")[0].replace(old, new))
    assert is_generated(forged)
    (folder / "README.md").write_text(forged)
    assert any("follows from" in line for line in verify(folder).contradictions)


def test_an_edited_card_need_not_say_everything(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    (folder / "README.md").write_text("# Mine\n\nIn my own words.\n")
    assert verify(folder).exit_code == 0
    (folder / "README.md").write_text("# Mine\n\n- **test**: `much.csv`, 900,000 rows; all of it unseen.\n")
    assert any("says of its data" in line for line in verify(folder).contradictions)


def test_words_of_another_version_are_told_and_not_held_against_it(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    (folder / "README.md").unlink()
    edit_record(folder, lambda record: record.update(hf_soup="0.0.9"))
    edit_record(folder, lambda record: record["evidence"].update(sentence="In older words."))
    found = verify(folder)
    assert found.exit_code == 0
    assert "note: it was made with hf-soup 0.0.9" in str(found)
    assert "from its own figures follows 'Learned" in str(found)


def test_pictures_that_were_exchanged_are_found(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    picture = folder / "weights.png"
    picture.write_bytes((folder / "reliability.png").read_bytes())
    assert [file.path for file in verify(folder).files if file.counts] == ["weights.png"]

    def list_it(record):
        record["pictures"]["weights.png"] = record["pictures"]["reliability.png"]

    edit_record(folder, list_it)
    found = verify(folder)
    assert found.exit_code == 0  # another matplotlib would draw other bytes, so it is said, and does not count
    assert "note: weights.png: is not, byte for byte, what is drawn here" in str(found)
    edit_record(folder, lambda record: record["pictures"].pop("weights.png"))
    assert [file.path for file in verify(folder).files if file.counts] == ["weights.png"]
    assert not verify(ready_made()).files


def test_the_weights_of_another_ensemble_are_a_contradiction_and_nothing_is_computed(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, lambda record: record["combination"]["families"].update(small=["small/9"]))
    found = verify(folder, data=fit_rows())
    assert found.exit_code == 4
    assert "another ensemble" in found.contradictions[0]


@pytest.mark.hub
def test_members_on_the_hub_are_held_against_their_digests(tmp_path):
    found = verify(saved(), data=[files()["held_out"], files()["test"]])
    assert found.exit_code == 0, str(found)
    assert len(found.ingredients) == 3
    assert found.recomputed.figures > 500
    folder = copied(saved(), tmp_path / "votes")

    def forge(record):
        record["families"][0]["members"][0]["models"][0]["files"]["model.safetensors"]["sha256"] = "0" * 64

    edit_record(folder, forge)
    found = verify(folder)
    assert found.exit_code == 4
    assert any("is not the file that hf_soup_ensemble.json recorded" in line for line in found.contradictions)


@pytest.mark.hub
def test_a_member_that_has_vanished_is_named(tmp_path):
    folder = copied(saved(), tmp_path / "votes")
    edit_record(
        folder,
        lambda record: record["families"][1]["members"][0]["models"][0].update(
            name="tester/e3-vanished", repo_id="tester/e3-vanished"
        ),
    )
    with pytest.raises(InputError, match="e3-vanished"):
        verify(folder)


def test_bundled_weights_that_were_exchanged_are_found(tmp_path):
    rows = HeldOut(sentences(60, 1), task="text-classification")
    source = shared(save_text_model, "bert", 1)
    ensemble = Ensemble({"bert": {"first": source}, "distil": {"second": shared(save_text_model, "distilbert", 2)}})
    folder = ensemble.fit(rows, method="equal", folds=2).save(tmp_path / "votes", bundle=True)
    assert verify(folder).exit_code == 0
    places = {"first": source, "second": shared(save_text_model, "distilbert", 2)}
    assert verify(folder, ingredients=places).exit_code == 0
    other = shared(save_text_model, "bert", 7) / "model.safetensors"
    (folder / "members" / "0" / "model.safetensors").write_bytes(other.read_bytes())
    found = verify(folder)
    assert found.exit_code == 4
    assert found.files[0].path == "members/0/model.safetensors"

    def make_digests_fit(record):
        from hf_soup.publishing.side_comparison import sha256_of

        path = "members/0/model.safetensors"
        record["outputs"][path]["sha256"] = sha256_of(folder / path)

    edit_record(folder, make_digests_fit)
    assert verify(folder, ingredients=places).exit_code == 4


def test_data_is_for_ensembles_only(tmp_path):
    from tiny_checkpoints import write_relatives

    from hf_soup import Soup

    merged = Soup(write_relatives(tmp_path / "in", 2)).merge(out=tmp_path / "soup")
    with pytest.raises(InputError, match="data can be given to the verification of an ensemble"):
        verify(merged.path, data="rows.csv")
