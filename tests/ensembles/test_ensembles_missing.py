"""Members that have vanished or fail: an error that names them, or the others with their weights made to sum to 1."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from huggingface_hub import HfApi
from voted import with_weights
from voting_models import keyword, rows, save_text_model, shared, texts

from hf_soup import Ensemble, HeldOut
from hf_soup.errors import InputError, SoupError

TEXT = "text-classification"


def bert(seed: int = 0):
    return shared(save_text_model, "bert", seed)


def spoilt(value: float, where=None):
    """A copy of a model, with one tensor changed."""
    from safetensors.torch import load_file, save_file
    from voting_models import folder

    target = folder("spoilt")
    shutil.copytree(bert(1), target)
    tensors = load_file(target / "model.safetensors")
    tensors["classifier.bias"][:] = value
    if where is not None:
        tensors["classifier.bias"][:] = 0
        tensors["bert.embeddings.word_embeddings.weight"][where] = value
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def broken(examples):
    raise ValueError("of course")


@pytest.mark.hub
def test_a_repository_that_has_vanished(api: HfApi):
    name = "tester/e2-vanishes"
    api.create_repo(name)
    sha = api.upload_folder(repo_id=name, folder_path=bert(1)).oid
    families = {"bert": {"a": bert(0), "b": f"{name}@{sha}"}, "rule": {"keyword": keyword}}
    weights = {"bert": 0.6, "rule": 0.4}
    with_weights(families, weights).predict(texts())
    api.delete_repo(name)
    with pytest.raises(InputError, match=f"{name}.*no such model repository"):
        with_weights(families, weights).predict(texts())
    found = with_weights(families, weights).predict(texts(), on_missing="reweigh")
    others = with_weights({"bert": {"a": bert(0)}, "rule": {"keyword": keyword}}, weights)
    np.testing.assert_allclose(found.probabilities, others.predict(texts()).probabilities, atol=1e-9)
    assert any(
        "The member b is left out" in warning and "no such model repository" in warning for warning in found.warnings
    )


@pytest.mark.hub
def test_fitting_without_a_member_that_has_vanished():
    families = {"bert": [bert(0), "tester/e2-never-was"], "rule": [keyword]}
    held_out = HeldOut(rows(), TEXT)
    with pytest.raises(InputError, match="e2-never-was"):
        Ensemble(families).fit(held_out)
    ensemble = Ensemble(families, on_missing="reweigh").fit(held_out)
    assert ensemble.combination.members == ("model", "keyword")
    assert ensemble.voters.missing.keys() == {"tester/e2-never-was"}
    assert any("tester/e2-never-was is left out" in each for each in ensemble.member_probabilities(held_out).warnings)


def test_a_family_whose_members_are_all_missing_leaves_the_others(tmp_path):
    families = {"bert": {"a": bert(0)}, "gone": {"g": tmp_path / "gone"}}
    ensemble = with_weights(families, {"bert": 0.5, "gone": 0.5}, on_missing="reweigh")
    alone = with_weights({"bert": {"a": bert(0)}}, {"bert": 1.0})
    np.testing.assert_allclose(
        ensemble.predict(texts()).probabilities, alone.predict(texts()).probabilities, atol=1e-9
    )


def test_a_member_that_fails_while_it_runs():
    families = {"bert": {"a": bert(0)}, "rule": {"broken": broken}}
    ensemble = with_weights(families, {"bert": 0.5, "rule": 0.5})
    with pytest.raises(SoupError, match=r"broken: the function failed .ValueError: of course"):
        ensemble.predict(texts())
    found = ensemble.predict(texts(), on_missing="reweigh")
    assert any("broken is left out" in warning for warning in found.warnings)
    assert np.isnan(found.members[1]).all()
    alone = with_weights({"bert": {"a": bert(0)}}, {"bert": 1.0})
    np.testing.assert_allclose(found.probabilities, alone.predict(texts()).probabilities, atol=1e-9)
    fitted = Ensemble(families, on_missing="reweigh").fit(HeldOut(rows(), TEXT))
    assert fitted.combination.members == ("a",)


def test_weights_that_are_cut_off(tmp_path):
    shutil.copytree(bert(1), tmp_path / "cut")
    path = tmp_path / "cut" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-64])
    families = {"bert": {"a": bert(0)}, "cut": {"cut": tmp_path / "cut"}}
    weights = {"bert": 0.5, "cut": 0.5}
    with pytest.raises(SoupError, match="cut"):
        with_weights(families, weights).predict(texts())
    found = with_weights(families, weights, on_missing="reweigh").predict(texts())
    alone = with_weights({"bert": {"a": bert(0)}}, {"bert": 1.0})
    np.testing.assert_allclose(found.probabilities, alone.predict(texts()).probabilities, atol=1e-9)


def test_when_nobody_is_left_that_is_an_error():
    ensemble = with_weights({"rule": {"broken": broken}}, {"rule": 1.0}, on_missing="reweigh")
    with pytest.raises(SoupError, match=r"No member of the ensemble is left to ask.*of course"):
        ensemble.predict(texts())


def test_a_model_that_gives_nan_is_named():
    families = {"bert": {"a": bert(0)}, "nan": {"spoilt": spoilt(float("nan"))}}
    with pytest.raises(SoupError, match=r"spoilt.*gives NaN or infinity for 40 of 40 rows"):
        with_weights(families, {"bert": 0.5, "nan": 0.5}).predict(texts())
    with pytest.raises(SoupError, match="gives NaN or infinity for 40 of 40 rows"):
        Ensemble(families).fit(HeldOut(rows(), TEXT))


def test_where_a_model_gives_nan_in_some_rows_the_others_decide_there():
    from tiny_models import WORDS

    word = "lovely"
    families = {"bert": {"a": bert(0)}, "nan": {"spoilt": spoilt(float("nan"), where=WORDS.index(word))}}
    ensemble = with_weights(families, {"bert": 0.5, "nan": 0.5}, on_missing="reweigh")
    found = ensemble.predict(texts())
    silent = np.array([word in text.split() for text in texts()])
    assert 0 < silent.sum() < 40
    assert (np.isnan(found.members[1, :, 0]) == silent).all()
    np.testing.assert_allclose(found.probabilities[silent], found.members[0, silent], atol=1e-6)
    np.testing.assert_allclose(found.probabilities[~silent], found.members[:, ~silent].mean(axis=0), atol=1e-6)
    assert any(f"for {silent.sum()} of 40 rows" in warning for warning in found.warnings)
    assert found.missing == ("spoilt",)
    assert torch.isfinite(torch.as_tensor(found.probabilities)).all()


@pytest.mark.parametrize("gone", ["a folder that is not there", "a function that fails"])
def test_an_ensemble_is_judged_without_a_member_as_it_predicts_without_it(tmp_path, gone):
    """Of three members in two families: what is left is .6 and .4, or of the other family alone all."""
    lost = tmp_path / "gone" if gone == "a folder that is not there" else broken
    families = {"bert": {"a": bert(0), "lost": lost}, "rule": {"keyword": keyword}}
    held_out = HeldOut(rows(), TEXT, name="rows")
    ensemble = with_weights(families, {"bert": 0.6, "rule": 0.4}, on_missing="reweigh")
    found = ensemble.evaluate(held_out)
    predicted = ensemble.predict(texts())
    accuracy = np.mean([label == row["label"] for label, row in zip(predicted.labels, rows(), strict=True)])
    assert found.of("rows")["accuracy"].value == pytest.approx(accuracy)
    assert found.missing == predicted.missing == ("lost",)
    assert "rows: the ensemble is scored without lost, the weights of the others made to sum to 1." in found.warnings
    assert found.to_json()["missing"] == ["lost"]
    with pytest.raises(SoupError, match=r"gone|of course"):
        with_weights(families, {"bert": 0.6, "rule": 0.4}).evaluate(held_out)


def test_nothing_is_missing_where_everybody_answers():
    families = {"bert": {"a": bert(0)}, "rule": {"keyword": keyword}}
    ensemble = with_weights(families, {"bert": 0.5, "rule": 0.5}, on_missing="reweigh")
    assert ensemble.predict(texts()).missing == ()
    assert ensemble.evaluate(HeldOut(rows(), TEXT)).missing == ()


def test_another_word_than_error_or_reweigh_is_refused():
    with pytest.raises(InputError, match="on_missing='ignore'"):
        Ensemble([bert(0)], on_missing="ignore")
