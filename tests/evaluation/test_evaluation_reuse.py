"""Nothing is evaluated twice, and nothing that differs is taken for the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_models import (
    save_bert,
    text_rows,
)

from hf_soup.checkpoints import open_checkpoint
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache

TASK = "text-classification"


def test_a_repeated_run_does_no_forward_pass_and_builds_no_model(
    berts: list[Path], cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Evaluator(HeldOut(text_rows(), TASK), cache=cache)
    expected = [first.predictions(open_checkpoint(folder)).logits for folder in berts]
    assert first.seconds_per_evaluation is not None
    monkeypatch.setattr("hf_soup.evaluation.stage.Skeleton", None)
    again = Evaluator(HeldOut(text_rows(), TASK), cache=cache)
    assert all(again.is_cached(open_checkpoint(folder)) for folder in berts)
    found = [again.predictions(open_checkpoint(folder)).logits for folder in berts]
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
    assert (again.forward_passes, again.seconds_per_evaluation) == (0, None)


def test_an_interrupted_run_goes_on_where_it_stopped(
    berts: list[Path], cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_soup.evaluation import forward

    evaluator = Evaluator(HeldOut(text_rows(10), TASK), cache=cache)
    evaluator.score(open_checkpoint(berts[0]))

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forward, "_run_share", interrupt)
        with pytest.raises(KeyboardInterrupt):
            evaluator.score(open_checkpoint(berts[1]))
    again = Evaluator(HeldOut(text_rows(10), TASK), cache=cache)
    for folder in berts:
        again.score(open_checkpoint(folder))
    assert again.forward_passes == 20


@pytest.mark.parametrize(
    "change",
    ["weights", "config", "tokenizer", "text", "label names", "max_length"],
)
def test_whatever_changes_the_predictions_is_not_taken_from_the_cache(
    tmp_path: Path, cache: PredictionCache, change: str
) -> None:
    rows, options = text_rows(10), {}
    folder = save_bert(tmp_path / "bert")
    Evaluator(HeldOut(rows, TASK), cache=cache).score(open_checkpoint(folder))
    if change == "weights":
        folder = save_bert(tmp_path / "other", 1)
    elif change == "config":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    elif change == "tokenizer":
        path = folder / "tokenizer.json"
        path.write_text(path.read_text().replace('"w0": 2', '"w0": 3').replace('"w1": 3', '"w1": 2'))
    elif change == "text":
        rows[3]["text"] += " w1"
    elif change == "label names":
        options = {"labels": {"negative": "positive", "positive": "negative"}}
    else:
        options = {"max_length": 3}
    evaluator = Evaluator(HeldOut(rows, TASK, **options), cache=cache)
    assert not evaluator.is_cached(open_checkpoint(folder))
    evaluator.score(open_checkpoint(folder))
    assert evaluator.forward_passes == 10


def test_several_data_sets_share_one_model_in_memory(
    berts: list[Path], cache: PredictionCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_soup.evaluation import stage

    built: list[int] = []

    class Counted(stage.Skeleton):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            built.append(1)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(stage, "Skeleton", Counted)
    held_out = Evaluator(HeldOut(text_rows(10), TASK), cache=cache)
    test = held_out.on(HeldOut(text_rows(10, seed=1), TASK))
    for folder in berts:
        held_out.score(open_checkpoint(folder))
        test.score(open_checkpoint(folder))
    assert len(built) == 1
    assert (held_out.forward_passes, test.forward_passes) == (30, 30)
