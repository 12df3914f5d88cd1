"""Predictions and scores on disk, by the digest of everything they depend on."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hf_soup.errors import InputError
from hf_soup.evaluation.predictions import Predictions
from hf_soup.progress import say


class PredictionCache:
    """A folder of predictions, by default `hf-soup/predictions` in the home of the Hugging Face libraries (HF_HOME).

    A file that cannot be read is a miss, with a warning; a folder that cannot be written costs only the time to compute again.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        if folder is None:
            from huggingface_hub import constants

            folder = Path(constants.HF_HOME) / "hf-soup" / "predictions"
        self.folder = Path(folder)

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / key[:2] / f"{key}{suffix}"

    def get(self, key: str) -> Predictions | None:
        path = self._path(key, ".npz")
        if not path.is_file():
            return None
        try:
            return Predictions.load(path)
        except InputError as error:
            say(f"Cached predictions are ignored and computed again: {error}")
            return None

    def put(self, key: str, predictions: Predictions) -> None:
        try:
            predictions.save(self._path(key, ".npz"))
        except OSError as error:
            say(f"Predictions could not be kept for the next run in {self.folder} ({error}).")

    def get_scores(self, key: str) -> dict[str, float] | None:
        """The numbers that a function or command gave."""
        path = self._path(key, ".json")
        if not path.is_file():
            return None
        try:
            scores = json.loads(path.read_bytes())
            return {str(name): float(value) for name, value in scores.items()}
        except (ValueError, TypeError, AttributeError, OSError) as error:
            say(f"Cached scores are ignored and computed again: {path} ({error}).")
            return None

    def put_scores(self, key: str, scores: dict[str, float]) -> None:
        path = self._path(key, ".json")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(scores, file)
            Path(temporary).replace(path)
        except OSError as error:
            say(f"Scores could not be kept for the next run in {self.folder} ({error}).")
