"""The record of an ensemble: what stands in it, what is read again, and what is refused."""

from __future__ import annotations

import json

import ensemble_data
import numpy as np
import pytest
from published_ensembles import copied, edit_record, on_hub, ready_made, saved
from tiny_models import read_json, sentences
from voting_models import keyword, save_text_model, shared

from hf_soup import HeldOut
from hf_soup.ensembles import Ensemble, FunctionMember
from hf_soup.ensembles.data_fingerprint import data_fingerprint
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.errors import InputError


def rows() -> HeldOut:
    return HeldOut(sentences(80, 1), task="text-classification")


@pytest.fixture
def local(tmp_path):
    """An ensemble of two folders and a function, saved."""
    folders = [shared(save_text_model, "bert", 1), shared(save_text_model, "distilbert", 2)]
    ensemble = Ensemble({"bert": [folders[0]], "distil": [folders[1]], "rule": [keyword]})
    ensemble.fit(rows(), method="equal", folds=2)
    return ensemble, ensemble.save(tmp_path / "votes"), folders


@pytest.mark.hub
def test_the_record_pins_every_member_and_says_where_the_evidence_comes_from():
    record = EnsembleRecord.read(saved() / ENSEMBLE_RECORD)
    assert [member.name for member in record.members] == [*on_hub()["bert"], *on_hub()["distil"]]
    for model in record.ingredients:
        assert len(model.revision) == 40
        assert all(len(file.sha256) == 64 for file in model.files.values())
    assert [(one.name, one.role, one.rows) for one in record.data] == [
        ("held_out.csv", "fit", 120),
        ("test", "test", 80),
    ]
    assert record.data[0].data == "held_out.csv"
    assert record.fit.method == "learned"
    assert record.evidence["sentence"]
    assert record.versions["torch"]
    assert not record.supplied()


def test_ready_made_predictions_are_loaded_without_models():
    loaded = Ensemble.from_pretrained(ready_made())
    test = ensemble_data.members(200, seed=1)
    fitted = Ensemble.from_predictions(ensemble_data.members(240)).fit()
    np.testing.assert_allclose(loaded.predict(test).probabilities, fitted.predict(test).probabilities, atol=1e-12)
    assert loaded.record.task is None


def test_a_loaded_ensemble_is_saved_with_the_evidence_that_it_came_with(tmp_path):
    again = Ensemble.from_pretrained(ready_made()).save(tmp_path / "again")
    assert read_json(again / ENSEMBLE_RECORD) == read_json(ready_made() / ENSEMBLE_RECORD)
    assert (again / "README.md").read_text() == (ready_made() / "README.md").read_text()


def test_members_that_were_folders_are_found_again_on_this_machine_and_stand_in_the_record_by_digest(local):
    ensemble, folder, folders = local
    record = EnsembleRecord.read(folder / ENSEMBLE_RECORD)
    assert [member.source for member in record.members] == ["model", "model", "function"]
    assert str(folders[0]) not in (folder / ENSEMBLE_RECORD).read_text() + (folder / "README.md").read_text()
    assert record.ingredients[0].repo_id is None
    with pytest.raises(InputError, match="The member 'keyword' is not on the Hub") as caught:
        Ensemble.from_pretrained(folder)
    assert len(caught.value.problems) == 1
    loaded = Ensemble.from_pretrained(folder, members={"keyword": keyword})
    texts = [row["text"] for row in sentences(20, 5)]
    np.testing.assert_allclose(loaded.predict(texts).probabilities, ensemble.predict(texts).probabilities, atol=1e-6)
    loaded = Ensemble.from_pretrained(folder, members={"keyword": FunctionMember(keyword, "keyword")})
    assert loaded.predict(texts).labels == ensemble.predict(texts).labels


def test_another_model_in_the_place_of_a_member_is_refused(local):
    _, folder, folders = local
    wrong = {"keyword": keyword, folders[0].name: shared(save_text_model, "bert", 9)}
    with pytest.raises(InputError, match=r"is not the model that hf_soup_ensemble\.json recorded"):
        Ensemble.from_pretrained(folder, members=wrong)
    with pytest.raises(InputError, match="names no member 'nobody'"):
        Ensemble.from_pretrained(folder, members={"nobody": keyword})


def test_the_weights_of_another_ensemble_are_refused_by_name(tmp_path):
    folder = copied(ready_made(), tmp_path / "votes")

    def swap(record):
        other = Ensemble.from_predictions({"x": [np.full((4, 3), 1 / 3)]}, [0, 1, 2, 0]).fit(method="equal")
        record["combination"] = other.combination.to_json()

    edit_record(folder, swap)
    with pytest.raises(InputError, match="these are the weights of another ensemble"):
        Ensemble.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.update(version=2), "is not a record of an ensemble"),
        (lambda record: record.update(stranger=1), "stranger"),
        (lambda record: record["combination"]["weights"].update(big=0.2), "not to 1"),
        (lambda record: record["combination"]["temperatures"].update(big=-1.0), "must be above 0"),
        (lambda record: record.update(classes=["a", "b", "c"]), "the ensemble has a, b, c"),
        (lambda record: record["families"][1].update(members=[]), "the family 'small' has no members"),
        (lambda record: record["families"][0]["members"][1].update(name="big/1"), "two members are called 'big/1'"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(tmp_path, change, message):
    folder = copied(ready_made(), tmp_path / "votes")
    edit_record(folder, change)
    with pytest.raises(InputError, match=message):
        Ensemble.from_pretrained(folder)


def test_a_folder_that_holds_no_ensemble_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no hf_soup_ensemble\.json"):
        Ensemble.from_pretrained(shared(save_text_model, "bert", 1))
    (tmp_path / ENSEMBLE_RECORD).write_text("{")
    with pytest.raises(InputError, match="is not a record of an ensemble"):
        Ensemble.from_pretrained(tmp_path)


def test_an_existing_folder_is_replaced_only_on_request(tmp_path):
    ensemble = Ensemble.from_pretrained(ready_made())
    ensemble.save(tmp_path / "votes")
    with pytest.raises(InputError, match="--overwrite"):
        ensemble.save(tmp_path / "votes")
    assert ensemble.save(tmp_path / "votes", overwrite=True).is_dir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("precious")
    with pytest.raises(InputError, match="does not replace it"):
        ensemble.save(tmp_path / "mine", overwrite=True)
    with pytest.raises(InputError, match="no weights yet"):
        Ensemble.from_predictions(ensemble_data.members(40)).save(tmp_path / "early")
    assert not (tmp_path / "early").exists()


def test_rows_are_known_again_in_any_order_and_by_their_groups():
    data = ensemble_data.members(60)
    order = np.random.default_rng(0).permutation(60)
    assert data_fingerprint(data.subset(order)) == data_fingerprint(data)
    assert data_fingerprint(data.subset(order[:59])) != data_fingerprint(data)
    grouped = ensemble_data.members(60, groups=np.arange(60) // 3)
    renamed = ensemble_data.members(60, groups=100 - np.arange(60) // 3)
    assert data_fingerprint(grouped) == data_fingerprint(renamed) != data_fingerprint(data)
    assert data_fingerprint(ensemble_data.members(60, groups=np.arange(60) // 2)) != data_fingerprint(grouped)


def test_bundled_members_need_nothing_else(tmp_path, local):
    folders = local[2]
    models = Ensemble({"bert": [folders[0]], "distil": [folders[1]]}).fit(rows(), folds=2)
    folder = models.save(tmp_path / "bundle", bundle=True)
    record = EnsembleRecord.read(folder / ENSEMBLE_RECORD)
    assert record.is_bundle
    assert not record.supplied()
    moved = copied(folder, tmp_path / "elsewhere")
    texts = [row["text"] for row in sentences(20, 5)]
    loaded = Ensemble.from_pretrained(moved)
    np.testing.assert_allclose(loaded.predict(texts).probabilities, models.predict(texts).probabilities, atol=1e-6)
    assert "members/0/model.safetensors" in record.outputs
    with pytest.raises(InputError, match="There are no models to bundle"):
        Ensemble.from_pretrained(ready_made()).save(tmp_path / "none", bundle=True)


def test_bundled_weights_with_a_flipped_bit_are_refused_by_name(tmp_path):
    ensemble = Ensemble({"bert": [shared(save_text_model, "bert", 1)]}).fit(rows(), method="equal", folds=2)
    folder = ensemble.save(tmp_path / "bundle", bundle=True)
    weights = folder / "members" / "0" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match=r"members/0/model\.safetensors of .*bundle: has another digest"):
        Ensemble.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"members/0/model\.safetensors of .*bundle: is missing"):
        Ensemble.from_pretrained(folder)


def test_a_souped_family_is_made_again_of_its_models_or_bundled_as_one(tmp_path):
    from tiny_models import fine_tune

    runs = [fine_tune(tmp_path / f"run-{seed}", seed, steps=10) for seed in range(2)]
    ensemble = Ensemble({"runs": runs, "other": [shared(save_text_model, "distilbert", 2)]}, tier1="soup").fit(
        rows(), folds=2
    )
    texts = [row["text"] for row in sentences(20, 5)]
    expected = ensemble.predict(texts).probabilities
    plain = ensemble.save(tmp_path / "plain")
    record = EnsembleRecord.read(plain / ENSEMBLE_RECORD)
    assert [len(member.models) for member in record.members] == [2, 1]
    np.testing.assert_allclose(Ensemble.from_pretrained(plain).predict(texts).probabilities, expected, atol=1e-6)
    bundle = ensemble.save(tmp_path / "bundle", bundle=True)
    assert sorted(path.name for path in (bundle / "members").iterdir()) == ["0", "1"]
    loaded = Ensemble.from_pretrained(copied(bundle, tmp_path / "elsewhere"))
    np.testing.assert_allclose(loaded.predict(texts).probabilities, expected, atol=1e-6)


def test_the_record_is_plain_json_without_nan(local):
    _, folder, _ = local
    json.loads((folder / ENSEMBLE_RECORD).read_text(), parse_constant=lambda name: pytest.fail(name))
    json.loads((folder / "metrics.json").read_text(), parse_constant=lambda name: pytest.fail(name))
