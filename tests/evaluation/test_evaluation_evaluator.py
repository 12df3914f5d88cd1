"""Checkpoints judged on rows: right, once, and the same however they are batched, ordered or cached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_models import (
    one_by_one,
    save_bert,
    sentences,
    text_rows,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hf_soup.checkpoints import open_checkpoint
from hf_soup.errors import InputError, SoupError
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache, evaluate

TASK = "text-classification"


def permuted(source: Path, target: Path, order: list[int]) -> Path:
    """The same classifier with its classes, and their names, in another order."""
    import shutil

    shutil.copytree(source, target)
    config = json.loads((source / "config.json").read_text())
    names = [config["id2label"][str(index)] for index in order]
    config["id2label"] = {str(index): name for index, name in enumerate(names)}
    config["label2id"] = {name: index for index, name in enumerate(names)}
    (target / "config.json").write_text(json.dumps(config))
    tensors = load_file(source / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = tensors[name][order].contiguous()
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_predictions_are_those_of_transformers_row_by_row(berts: list[Path], cache: PredictionCache) -> None:
    rows = text_rows()
    evaluator = Evaluator(HeldOut(rows, TASK, batch_size=7), cache=cache)
    for folder in berts:
        found = evaluator.predictions(open_checkpoint(folder))
        assert found.logits == pytest.approx(one_by_one(folder, [row["text"] for row in rows]), abs=1e-5)
        assert found.classes == ("negative", "positive")
        assert [found.classes[label] for label in found.labels] == [row["label"] for row in rows]
    assert evaluator.forward_passes == 3 * len(rows)


def test_the_score_is_the_metric(berts: list[Path], cache: PredictionCache) -> None:
    from sklearn.metrics import matthews_corrcoef

    rows = text_rows()
    guessed = one_by_one(berts[1], [row["text"] for row in rows]).argmax(axis=1)
    expected = matthews_corrcoef([row["label"] == "positive" for row in rows], guessed == 1)
    evaluator = Evaluator(HeldOut(rows, TASK, metric="matthews"), cache=cache)
    assert evaluator.score(open_checkpoint(berts[1])) == pytest.approx(expected)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(3)))
def test_the_order_of_a_models_labels_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, order: list[int]
) -> None:
    root = tmp_path_factory.mktemp("order")
    names = {0: "b", 1: "c", 2: "a"}
    folder = save_bert(root / "bert", id2label=names, label2id={name: index for index, name in names.items()})
    rows = [{"text": text, "label": "abc"[number % 3]} for number, text in enumerate(sentences(20))]
    evaluator = Evaluator(HeldOut(rows, TASK), cache=PredictionCache(root / "cache"))
    first = evaluator.predictions(open_checkpoint(folder))
    other = evaluator.predictions(open_checkpoint(permuted(folder, root / "permuted", order)))
    assert first.classes == other.classes == ("a", "b", "c")
    assert other.logits == pytest.approx(first.logits, abs=1e-6)
    assert np.array_equal(first.labels, other.labels)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(30)))
def test_the_order_of_the_rows_changes_no_bit_of_a_prediction(
    tmp_path_factory: pytest.TempPathFactory, berts: list[Path], order: list[int]
) -> None:
    rows = text_rows(30)
    cache = PredictionCache(tmp_path_factory.mktemp("cache"))
    straight, moved = HeldOut(rows, TASK, batch_size=4), HeldOut([rows[index] for index in order], TASK, batch_size=4)
    first = Evaluator(straight, cache=cache).predictions(open_checkpoint(berts[0]))
    other = Evaluator(moved, cache=cache).predictions(open_checkpoint(berts[0]))
    assert np.array_equal(first.logits[order], other.logits)


def test_a_model_judged_after_others_gives_the_same_bits_as_alone(berts: list[Path], tmp_path: Path) -> None:
    held_out = HeldOut(text_rows(), TASK)
    together = Evaluator(held_out, cache=PredictionCache(tmp_path / "a"))
    found = [together.predictions(open_checkpoint(folder)).logits for folder in berts]
    for number, folder in enumerate(berts):
        alone = Evaluator(held_out, cache=PredictionCache(tmp_path / f"alone-{number}"))
        assert np.array_equal(alone.predictions(open_checkpoint(folder)).logits, found[number])


def test_models_of_other_shapes_are_judged_one_after_another(
    tmp_path: Path, berts: list[Path], cache: PredictionCache
) -> None:
    rows = text_rows(10)
    wide = save_bert(tmp_path / "wide", hidden_size=32)
    evaluator = Evaluator(HeldOut(rows, TASK), cache=cache)
    for folder in (berts[0], wide, berts[1]):
        expected = one_by_one(folder, [row["text"] for row in rows])
        assert evaluator.predictions(open_checkpoint(folder)).logits == pytest.approx(expected, abs=1e-5)


def test_the_batch_shrinks_when_memory_does_not_suffice(
    berts: list[Path], cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_soup.evaluation.text_classification import TextClassification

    forward, sizes = TextClassification.forward, []

    def small_memory(self: Any, model: Any, inputs: Any) -> Any:
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > 12:
            raise RuntimeError("CUDA out of memory.")
        return forward(self, model, inputs)

    monkeypatch.setattr(TextClassification, "forward", small_memory)
    evaluator = Evaluator(HeldOut(text_rows(), TASK, batch_size=16), cache=cache)
    first = evaluator.predictions(open_checkpoint(berts[0]))
    assert first.logits == pytest.approx(one_by_one(berts[0], [row["text"] for row in text_rows()]), abs=1e-5)
    sizes.clear()
    evaluator.predictions(open_checkpoint(berts[1]))
    assert max(sizes) == 12  # the size that fitted is remembered


def test_a_row_that_does_not_fit_into_memory_is_an_error(
    berts: list[Path], cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_soup.evaluation.text_classification import TextClassification

    def no_memory(self: Any, model: Any, inputs: Any) -> Any:
        raise RuntimeError("CUDA out of memory.")

    monkeypatch.setattr(TextClassification, "forward", no_memory)
    with pytest.raises(SoupError, match="single row does not fit into memory"):
        Evaluator(HeldOut(text_rows(4), TASK, batch_size=1), cache=cache).score(open_checkpoint(berts[0]))


def test_predictions_of_a_soup_equal_those_of_the_folder_it_is_written_to(tmp_path: Path, berts: list[Path]) -> None:
    from hf_soup.merging import make_plan, merge, open_ingredients

    plan = make_plan(open_ingredients([str(folder) for folder in berts]))
    merge(plan, tmp_path / "soup")
    held_out = HeldOut(text_rows(), TASK)
    scored = Evaluator(held_out, cache=PredictionCache(tmp_path / "a")).predictions(plan.virtual())
    evaluator = Evaluator(held_out, cache=PredictionCache(tmp_path / "b"))
    evaluator.score(open_checkpoint(berts[0]))
    assert np.array_equal(scored.logits, evaluator.predictions(open_checkpoint(tmp_path / "soup")).logits)


def test_a_model_that_gives_nan_has_no_score(tmp_path: Path, cache: PredictionCache) -> None:
    folder = save_bert(tmp_path / "bert")
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.bias"][0] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert np.isnan(Evaluator(HeldOut(text_rows(), TASK), cache=cache).score(open_checkpoint(folder)))


def test_labels_are_checked_before_anything_is_run(berts: list[Path], cache: PredictionCache) -> None:
    rows = [{"text": "a", "label": "yes"}, {"text": "b", "label": "no"}]
    evaluator = Evaluator(HeldOut(rows, TASK), cache=cache)
    for ask in (evaluator.check, evaluator.score, evaluator.is_cached):
        with pytest.raises(InputError, match=r"run-0.*has no class 'no', 'yes'.*--labels negative=no,positive=yes"):
            ask(open_checkpoint(berts[0]))
    assert evaluator.forward_passes == 0


def test_a_config_that_names_other_classes_than_the_head_has_is_an_error(
    tmp_path: Path, cache: PredictionCache
) -> None:
    folder = save_bert(tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "negative", "1": "positive", "2": "neutral"}, "label2id": {}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"classifier"):
        Evaluator(HeldOut(text_rows(), TASK), cache=cache).score(open_checkpoint(folder))


def test_a_device_that_is_not_there_is_an_error(berts: list[Path], cache: PredictionCache) -> None:
    with pytest.raises(InputError, match="device 'nonsense' cannot be used here"):
        Evaluator(HeldOut(text_rows(), TASK), cache=cache, device="nonsense").score(open_checkpoint(berts[0]))


def test_evaluate_gives_metrics_with_intervals(berts: list[Path], cache: PredictionCache) -> None:
    found = evaluate(open_checkpoint(berts[0]), HeldOut(text_rows(), TASK), ["accuracy", "auc", "ece"], cache=cache)
    assert list(found) == ["accuracy", "auc", "ece"]
    assert all(each.n == 40 and each.low is not None and each.low <= each.high for each in found.values())
