"""Classes are matched by name: permuted heads, heads of one logit and of two, and names that do not match."""

from __future__ import annotations

import numpy as np
import pytest
from voting_models import by_hand, permuted, rows, save_text_model, shared, softmax, texts

from hf_soup import Ensemble, HeldOut
from hf_soup.ensembles import Combination
from hf_soup.errors import InputError

TEXT = "text-classification"


def bert(seed: int = 0):
    return shared(save_text_model, "bert", seed)


def named(*labels: str, seed: int = 0):
    return save_text_model("bert", seed, labels=labels)


def test_a_permuted_head_gives_the_same_result():
    held_out = HeldOut(rows(), TEXT)
    straight = Ensemble({"a": {"a": bert(0)}, "b": {"b": bert(1)}})
    turned = Ensemble({"a": {"a": bert(0)}, "b": {"b": permuted(bert(1))}})
    one, other = straight.member_probabilities(held_out), turned.member_probabilities(held_out)
    assert one.classes == other.classes
    np.testing.assert_allclose(one.values, other.values, atol=1e-7)
    for ensemble in (straight, turned):
        weights = {"a": 0.4, "b": 0.6}
        ensemble.combination = Combination(
            "learned", "tiered", "mean", {"a": ("a",), "b": ("b",)}, one.classes, weights
        )
    np.testing.assert_allclose(
        straight.predict(texts()).probabilities, turned.predict(texts()).probabilities, atol=1e-7
    )


def test_one_logit_stands_beside_two():
    one = named("positive", seed=4)
    ensemble = Ensemble({"two": {"two": bert(0)}, "one": {"one": one}})
    data = ensemble.member_probabilities(HeldOut(rows(), TEXT))
    positive = 1 / (1 + np.exp(-by_hand(one, texts())[:, 0].astype(np.float64)))
    np.testing.assert_allclose(data.values[1], np.stack([1 - positive, positive], axis=1), atol=1e-6)
    ensemble.combination = Combination(
        "equal", "tiered", "mean", {"two": ("two",), "one": ("one",)}, data.classes, {"two": 0.5, "one": 0.5}
    )
    expected = (softmax(by_hand(bert(0), texts())) + data.values[1]) / 2
    np.testing.assert_allclose(ensemble.predict(texts()).probabilities, expected, atol=1e-6)


def test_a_sigmoid_head_is_taken_as_transformers_trains_it_and_a_regression_is_not():
    trained = save_text_model("bert", 4, labels=("positive",), problem_type="multi_label_classification")
    families = {"two": {"two": bert(0)}, "one": {"one": trained}}
    data = Ensemble(families).member_probabilities(HeldOut(rows(), TEXT))
    positive = 1 / (1 + np.exp(-by_hand(trained, texts())[:, 0].astype(np.float64)))
    np.testing.assert_allclose(data.values[1, :, 1], positive, atol=1e-6)
    squared = save_text_model("bert", 4, labels=("positive",), problem_type="regression")
    with pytest.raises(InputError, match=r"head is for regression .*not the logit of a class") as told:
        Ensemble({"two": [bert(0)], "one": [squared]}).member_probabilities(HeldOut(rows(), TEXT))
    assert "multi_label_classification" in str(told.value)


def test_names_that_the_data_do_not_know_are_told_with_both_maps_and_the_option():
    default = named("LABEL_0", "LABEL_1")
    with pytest.raises(InputError) as told:
        Ensemble({"a": [bert(0)], "b": [default]}).member_probabilities(HeldOut(rows(), TEXT))
    message = str(told.value)
    assert "0=LABEL_0, 1=LABEL_1" in message
    assert "Labels of the data (rows): negative" in message
    assert "--labels LABEL_0=negative,LABEL_1=positive" in message


def test_labels_name_the_classes_of_the_members_that_have_them():
    default = named("LABEL_0", "LABEL_1", seed=0)
    ensemble = Ensemble({"a": [bert(0)], "b": [default]}, labels={"LABEL_0": "negative", "LABEL_1": "positive"})
    data = ensemble.member_probabilities(HeldOut(rows(), TEXT))
    np.testing.assert_allclose(data.values[0], data.values[1], atol=1e-7)


def test_labels_may_mean_different_things_in_different_members():
    one, other = named("LABEL_0", "LABEL_1"), permuted(named("LABEL_1", "LABEL_0"))
    meaning = {"LABEL_0": "negative", "LABEL_1": "positive"}
    turned = {"LABEL_1": "negative", "LABEL_0": "positive"}
    families = {"a": {"one": one}, "b": {"other": other}}
    data = Ensemble(families, labels={"one": meaning, "other": turned}).member_probabilities(HeldOut(rows(), TEXT))
    np.testing.assert_allclose(data.values[0], data.values[1], atol=1e-7)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"LABEL_7": "x"}, "no member has a class LABEL_7"),
        ({"nobody": {"negative": "x"}}, "there is no member 'nobody'"),
        ({"a": {"LABEL_7": "x"}}, "has no class LABEL_7"),
    ],
)
def test_labels_of_nobody_are_refused(labels, problem):
    with pytest.raises(InputError, match=problem):
        _ = Ensemble({"a": {"a": bert(0)}}, labels=labels).voters


def test_members_for_other_questions_are_told_with_both_maps():
    three = named("negative", "positive", "neutral")
    with pytest.raises(
        InputError, match=r"(?s)have other classes.*0=negative, 1=positive.*2=neutral.*different questions"
    ):
        Ensemble({"a": [bert(0)], "b": [three]}).member_probabilities(HeldOut(rows(), TEXT))


def test_a_test_set_with_an_unknown_label_is_refused():
    ensemble = Ensemble({"a": {"a": bert(0)}})
    ensemble.combination = Combination("equal", "tiered", "mean", {"a": ("a",)}, ("negative", "positive"), {"a": 1.0})
    strange = [*rows(10), {"text": "a day", "label": "mixed"}]
    with pytest.raises(InputError, match="mixed"):
        ensemble.evaluate(HeldOut(strange, TEXT))
