"""An ensemble where a pipeline of transformers was: called the same way, it answers the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hf_soup.ensembles.prediction import EnsemblePredictions
from hf_soup.errors import InputError

_TOP_IMAGE_CLASSES = 5  # what transformers' image classification answers without top_k
_ROWS_AT_ONCE = 64  # of a generator, without batch_size
Scores = list[dict[str, Any]]


class EnsemblePipeline:
    """Takes a text, {"text": …, "text_pair": …}, an image (path, bytes or PIL image), or a list or generator of them; answers as
    transformers' pipeline for the task does: [{"label": …, "score": …}, …], the most probable first. A generator is answered by one,
    which reads `batch_size` inputs, or 64, before their answers come.

    `top_k`: how many classes; all of them for None. Without it one for a text (a list of texts then gives a plain list of
    dicts, and a dict gives one), and five for an image. Raises InputError for an input that cannot be read, since every input has an answer.
    """

    def __init__(self, predict: Callable[..., EnsemblePredictions], task: str, *, early_exit: bool = False) -> None:
        self.task = task
        self._predict = predict
        self._early_exit = early_exit
        self._column = "image" if task == "image-classification" else "text"

    def __call__(self, inputs: Any, *, top_k: int | str | None = "", batch_size: int | None = None) -> Any:
        if isinstance(inputs, Iterator):
            return self._in_turn(inputs, top_k, batch_size)
        several = isinstance(inputs, list | tuple)
        given = list(inputs) if several else [inputs]
        if not given:
            return []
        predictions = self._predict(
            [self._row(each) for each in given], early_exit=self._early_exit, batch_size=batch_size
        )
        if predictions.left_out:
            raise InputError([str(row) for row in predictions.left_out])
        default = _TOP_IMAGE_CLASSES if self._column == "image" else 1
        count = default if top_k == "" else len(predictions.classes) if top_k is None else int(top_k)
        answers = [_scores(row, predictions.classes)[:count] for row in predictions.probabilities]
        if top_k == "" and (several or isinstance(inputs, Mapping)) and self._column == "text":
            best = [answer[0] for answer in answers]  # transformers leaves out the inner list here, and only here
            return best if several else best[0]
        return answers if several else answers[0]

    def _in_turn(self, inputs: Iterator[Any], top_k: int | str | None, batch_size: int | None) -> Iterator[Any]:
        while chunk := list(islice(inputs, batch_size or _ROWS_AT_ONCE)):
            yield from self(chunk, top_k=top_k, batch_size=batch_size)

    def _row(self, given: Any) -> dict[str, Any]:
        if isinstance(given, Mapping):
            return dict(given)
        if self._column == "image" and isinstance(given, str) and given.startswith(("http://", "https://")):
            raise InputError(f"'{given}': is a URL; download the image and give its path.")
        return {self._column: Path(given) if self._column == "image" and isinstance(given, str) else given}


def _scores(probabilities: np.ndarray, classes: tuple[str, ...]) -> Scores:
    order = np.argsort(-probabilities, kind="stable")
    return [{"label": classes[index], "score": float(probabilities[index])} for index in order]
