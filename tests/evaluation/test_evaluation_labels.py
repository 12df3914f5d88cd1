"""Labels are matched by name, whatever their order in the model."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from hf_soup.errors import InputError
from hf_soup.evaluation.labels import LabelMap, match_labels


def config(*names: str, **more: Any) -> dict[str, Any]:
    return {"id2label": {str(number): name for number, name in enumerate(names)}, **more}


def match(labels: list[str], config: dict[str, Any], names: dict[str, str] | None = None) -> LabelMap:
    return match_labels(labels, config, names, "data.csv", "me/run-1")


def test_classes_stand_in_the_order_of_their_names_and_logits_follow() -> None:
    found = match(["b", "a", "c"], config("c", "a", "b"))
    assert found.classes == ("a", "b", "c")
    logits = np.array([[30.0, 10.0, 20.0]], np.float32)
    assert found.arrange(logits).tolist() == [[10.0, 20.0, 30.0]]
    assert found.indices(["b", "a", "c"]).tolist() == [1, 0, 2]


def test_the_model_may_have_classes_that_the_data_lack() -> None:
    assert match(["a", "b"], config("b", "c", "a")).classes == ("a", "b", "c")


def test_names_as_timm_writes_them_are_names() -> None:
    found = match(["real", "fake"], {"label_names": ["real", "fake"], "num_labels": 2})
    assert (found.classes, found.columns) == (("fake", "real"), (1, 0))


def test_a_name_that_the_user_gives_a_class_counts() -> None:
    found = match(["bad", "good"], config("LABEL_0", "LABEL_1"), {"LABEL_0": "good", "LABEL_1": "bad"})
    assert (found.classes, found.columns) == (("bad", "good"), (1, 0))


@pytest.mark.parametrize("settings", [config("LABEL_0", "LABEL_1"), {}, {"num_labels": 2}])
def test_whole_numbers_are_class_numbers_where_the_model_has_default_names(settings: dict[str, Any]) -> None:
    found = match(["1", "0"], settings)
    assert (found.classes, found.columns) == (("0", "1"), (0, 1))


def test_whole_numbers_are_names_where_the_models_names_are_numbers() -> None:
    found = match(["2", "1", "10"], config("10", "1", "2"))
    assert (found.classes, found.columns) == (("1", "2", "10"), (1, 2, 0))


def test_whole_numbers_are_not_guessed_to_be_class_numbers_of_a_model_with_names() -> None:
    with pytest.raises(InputError, match=r"no class '0', '1'.*--labels negative=0,positive=1"):
        match(["0", "1"], config("negative", "positive"))


def test_names_that_do_not_match_show_both_maps_and_the_option_that_fixes_it() -> None:
    labels = ["positive", "negative", "positive"]
    with pytest.raises(InputError) as caught:
        match(labels, config("LABEL_0", "LABEL_1"))
    message = str(caught.value)
    assert "data.csv: rows 1, 2, 3: me/run-1 has no class 'negative', 'positive'" in message
    assert "Classes of the model: 0=LABEL_0, 1=LABEL_1" in message
    assert "Labels of the data (rows): negative (1), positive (2)" in message
    option = re.search(r"--labels (\S+)", message)
    assert option is not None
    assert option[1] == "LABEL_0=negative,LABEL_1=positive"
    given = dict(pair.split("=") for pair in option[1].split(","))
    assert match(labels, config("LABEL_0", "LABEL_1"), given).classes == ("negative", "positive")


def test_the_suggested_option_pairs_names_by_spelling_before_order() -> None:
    with pytest.raises(InputError, match=r"--labels POSITIVE=positive,NEGATIVE=negative \("):
        match(["negative", "positive"], config("POSITIVE", "NEGATIVE"))


def test_a_label_that_the_model_does_not_know_is_an_error_with_its_rows() -> None:
    with pytest.raises(InputError, match=r"row 3: me/run-1 has no class 'neutral'.*3 labels, the model 2 classes"):
        match(["good", "bad", "neutral"], config("good", "bad"))


def test_a_number_beyond_the_models_classes_is_an_error() -> None:
    with pytest.raises(InputError, match="row 2: me/run-1 has no class '2'"):
        match(["0", "2"], config("LABEL_0", "LABEL_1"))


def test_a_name_for_a_class_that_is_not_there_is_an_error() -> None:
    with pytest.raises(InputError, match=r"--labels names LABEL_7, but me/run-1 has no such class.*0=LABEL_0"):
        match(["a", "b"], config("LABEL_0", "LABEL_1"), {"LABEL_7": "a"})


def test_one_name_for_two_classes_is_an_error() -> None:
    with pytest.raises(InputError, match="Two classes of me/run-1 have the name 'a'"):
        match(["a", "b"], config("a", "LABEL_1"), {"LABEL_1": "a"})


@pytest.mark.parametrize("problem_type", ["regression", "multi_label_classification"])
def test_heads_that_give_no_class_are_refused(problem_type: str) -> None:
    with pytest.raises(InputError, match=f"head is for {problem_type.replace('_', ' ')}"):
        match(["a", "b"], config("a", "b", problem_type=problem_type))


def test_one_logit_speaks_for_class_1() -> None:
    found = match(["0", "1"], config("LABEL_0"))
    logits = found.arrange(np.array([[2.5], [-1.0]], np.float32))
    assert logits.tolist() == [[0.0, 2.5], [0.0, -1.0]]
    probability = 1 / (1 + np.exp(-2.5))
    assert np.exp(logits[0, 1]) / np.exp(logits[0]).sum() == pytest.approx(probability)


@pytest.mark.parametrize(("settings", "names"), [(config("bad"), None), (config("LABEL_0"), {"LABEL_0": "bad"})])
def test_one_logit_speaks_for_the_class_it_is_named_after(
    settings: dict[str, Any], names: dict[str, str] | None
) -> None:
    found = match(["good", "bad"], settings, names)
    assert found.classes == ("bad", "good")
    assert found.arrange(np.array([[2.5]], np.float32)).tolist() == [[2.5, 0.0]]


def test_one_logit_without_a_name_is_an_error_that_says_how_to_name_it() -> None:
    with pytest.raises(InputError, match=r"one logit.*bad and good.*--labels LABEL_0=good"):
        match(["good", "bad"], config("LABEL_0"))


def test_one_logit_for_more_than_two_labels_is_a_regression() -> None:
    with pytest.raises(InputError, match=r"regression head.*has 3 different labels"):
        match(["1.5", "2.5", "3"], config("LABEL_0"))
