"""One model of an ensemble in memory, with its own tokenizer or processor: rows in, logits out."""

from __future__ import annotations

from typing import Any

import numpy as np

from hf_soup.checkpoints import Checkpoint
from hf_soup.ensembles.freed_memory import give_back
from hf_soup.ensembles.rows import Rows
from hf_soup.errors import InputError
from hf_soup.evaluation.cache_key import preprocessing_digest
from hf_soup.evaluation.forward import run_rows
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.skeleton import Skeleton
from hf_soup.evaluation.task import Encoded, Task


class LoadedModel:
    """`like`: a model that is no longer needed; what fits of it is taken over, so that only weights are copied."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        task: Task,
        hardware: Hardware,
        *,
        trust_remote_code: bool,
        like: LoadedModel | None = None,
    ) -> None:
        self.label = checkpoint.label
        self._task = task
        self._hardware = hardware
        folder = checkpoint.side_folder()
        self._preprocessing = preprocessing_digest(folder)
        if like is not None and like._preprocessing == self._preprocessing:
            self._preprocessor: Any = like._preprocessor
        else:
            self._preprocessor = task.preprocessor(folder, trust_remote_code)
        if like is not None and like._skeleton.fits(checkpoint, task.auto_class):
            self._skeleton: Skeleton = like._skeleton
        else:
            if like is not None:
                like._let_go()
            self._skeleton = Skeleton(
                checkpoint, task.auto_class, hardware.device, trust_remote_code=trust_remote_code
            )
        self._model: Any = self._skeleton.load(checkpoint)
        self._batch_size: int | None = None
        """That fitted into memory the last time, where it was less than asked for."""

    def _let_go(self) -> None:
        """Two models at once may be too many: of this one nothing stays, whoever else still has this object."""
        self._model = self._skeleton.model = None
        give_back()

    @property
    def encoding(self) -> str:
        """Models with the same digest encode rows to the same inputs."""
        return f"{self._preprocessing} {self._skeleton.layout}"

    def encode(self, rows: Rows, max_length: int | None) -> Encoded:
        return self._task.encode(rows.examples, self._preprocessor, self._skeleton.config, max_length=max_length)

    def logits(self, rows: Rows, encoded: Encoded, batch_size: int | None, expected: int) -> np.ndarray:
        """Returns float32 [rows, logits], the same in every process. Raises InputError where these are not as many as expected."""
        size = batch_size or self._task.batch_size
        if self._batch_size is not None:
            size = min(size, self._batch_size)
        outputs, fitted = run_rows(self._task, self._model, encoded, rows.digests, size, self._hardware, self.label)
        give_back()  # what batches took, before another model is loaded
        if fitted < size:
            self._batch_size = fitted
        logits: np.ndarray[Any, Any] = outputs["logits"]
        if logits.shape[1:] != (expected,):
            raise InputError(
                f"{self.label}: gives {list(logits.shape[1:])} logits a row, its config.json names {expected} classes."
            )
        return logits
