"""Verifying published ensembles: what is found, and what is not believed."""

from __future__ import annotations

import json

import ensemble_data
import pytest
from published_ensembles import copied, edit_record, files, ready_made, saved
from tiny_models import sentences
from voting_models import save_text_model, shared

from hf_soup import HeldOut, verify
from hf_soup.ensembles import Ensemble
from hf_soup.errors import InputError


def fit_rows():
    return ensemble_data.members(240)


def test_rows():
    return ensemble_data.members(200, seed=1)


test_rows.__test__ = False


def test_without_rows_it_says_that_the_figures_were_not_computed_again():
    found = verify(ready_made())
    assert found.exit_code == 0
    assert "its figures were NOT computed again" in str(found)
    assert found.to_json()["recomputed"]["figures"] == 0


def test_with_all_rows_every_figure_is_computed_again():
    found = verify(ready_made(), data=[test_rows(), fit_rows()])
    assert found.exit_code == 0, str(found)
    assert found.recomputed.sets == ("test", "held-out")
    assert found.recomputed.figures > 500
    assert found.recomputed.largest == 0
    assert "its figures were computed again and agree" in str(found)


def test_with_test_rows_alone_members_and_the_ensemble_are_scored():
    found = verify(ready_made(), data=test_rows())
    assert found.exit_code == 0
    assert found.recomputed.figures == 5 * 6 * 3  # systems, metrics, value and bounds
    assert any("the figures on held-out were not computed again" in note for note in found.recomputed.notes)


def test_rows_that_the_record_does_not_name_are_compared_with_nothing():
    found = verify(ready_made(), data=ensemble_data.members(50, seed=9))
    assert found.recomputed.figures == 0
    assert any("its rows are those of no recorded data set" in note for note in found.recomputed.notes)


def accuracy_of_chosen(record) -> dict:
    chosen = next(system for system in record["evidence"]["systems"] if system["chosen"])
    return chosen["results"]["test"]["accuracy"]


def test_a_forged_figure_is_found_although_card_and_metrics_agree_with_it(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, lambda record: accuracy_of_chosen(record).update(value=0.99))
    assert verify(folder).exit_code == 4  # the card and metrics.json still say what was so
    Ensemble.from_pretrained(folder).save(tmp_path / "forged")
    assert verify(tmp_path / "forged").exit_code == 0
    found = verify(tmp_path / "forged", data=test_rows())
    assert found.exit_code == 4
    assert any("accuracy of learned weights, tiered is 0.99" in line for line in found.contradictions)


def test_forged_weights_are_found_by_fitting_again(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, lambda record: record["combination"].update(weights={"big": 0.5, "small": 0.5}))
    found = verify(folder, data=fit_rows())
    assert found.exit_code == 4
    assert any("The weight of 'big' is 0.5" in line for line in found.contradictions)
    assert any("table of members, commits and weights" in line for line in found.contradictions)


def test_a_forged_verdict_is_found(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")
    card = folder / "README.md"
    card.write_text(card.read_text().replace("**Verdict.** Learned", "**Verdict.** Far better: learned"))
    found = verify(folder)
    assert found.exit_code == 4
    assert any("The card's verdict" in line for line in found.contradictions)
    edit_record(folder, lambda record: record["evidence"].update(sentence="Far better."))
    card.unlink()
    assert verify(folder).exit_code == 0
    assert verify(folder, data=[fit_rows(), test_rows()]).exit_code == 4


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
    folder = ensemble.fit(rows, method="equal").save(tmp_path / "votes", bundle=True)
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
