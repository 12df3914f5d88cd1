"""Predictions on disk: complete or absent, and never trusted when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hf_soup.errors import InputError
from hf_soup.evaluation import PredictionCache, Predictions
from hf_soup.evaluation.cache_key import preprocessing_digest

KEY = "ab" * 32


def some() -> Predictions:
    logits = np.array([[0.1, -3.0], [2.0, 1.0]], np.float32)
    return Predictions(np.array(["r1", "r2"]), ("no", "yes"), np.array([0, 1]), logits)


def test_what_is_kept_comes_back_exactly(cache: PredictionCache) -> None:
    cache.put(KEY, some())
    found = cache.get(KEY)
    assert found is not None
    assert (found.classes, found.ids.tolist(), found.labels.tolist()) == (("no", "yes"), ["r1", "r2"], [0, 1])
    assert found.logits.dtype == np.float32
    assert np.array_equal(found.logits, some().logits)


def test_predictions_of_language_models_come_back_exactly(tmp_path: Path) -> None:
    before = Predictions(np.array(["r1"]), nll=np.array([1.25]), tokens=np.array([7]))
    before.save(tmp_path / "p.npz")
    after = Predictions.load(tmp_path / "p.npz")
    assert (after.nll.tolist(), after.tokens.tolist(), after.classes) == ([1.25], [7], ())


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"text", lambda b: b[:150] + b"x" * 40 + b[190:]]
)
def test_a_damaged_file_is_a_miss_with_a_warning(
    cache: PredictionCache, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
) -> None:
    cache.put(KEY, some())
    (path,) = cache.folder.rglob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(KEY) is None
    assert "ignored and computed again" in capsys.readouterr().err
    cache.put(KEY, some())
    assert cache.get(KEY) is not None


def test_a_file_with_pickled_objects_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", ids=np.array([print], dtype=object))
    with pytest.raises(InputError, match=r"p\.npz: is not a readable file of predictions"):
        Predictions.load(tmp_path / "p.npz")


def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(file: object, **arrays: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    cache = PredictionCache(tmp_path)
    cache.put(KEY, some())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    said = capsys.readouterr().err
    assert "could not be kept" in said
    assert "No space left" in said


def test_scores_come_back_and_damaged_ones_do_not(cache: PredictionCache, capsys: pytest.CaptureFixture[str]) -> None:
    cache.put_scores(KEY, {"accuracy": 0.5, "": float("nan")})
    found = cache.get_scores(KEY)
    assert found is not None
    assert found["accuracy"] == 0.5
    assert np.isnan(found[""])
    next(cache.folder.rglob("*.json")).write_text("[1")
    assert cache.get_scores(KEY) is None
    assert "ignored and computed again" in capsys.readouterr().err


def test_the_default_folder_is_in_the_home_of_the_libraries() -> None:
    from huggingface_hub import constants

    assert PredictionCache().folder == Path(constants.HF_HOME) / "hf-soup" / "predictions"


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="logits has shape"):
        Predictions(np.array(["a", "b"]), ("x", "y"), np.array([0, 1]), np.zeros((1, 2), np.float32))


def test_a_model_without_any_side_file_has_nothing_to_preprocess_with(tmp_path: Path) -> None:
    assert preprocessing_digest(tmp_path / "never-made") == preprocessing_digest(tmp_path)
