"""One member in memory, ready to be trained: its model in float32, its preprocessor, and which logit is which class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from hf_soup.ensembles.alignment import label_map
from hf_soup.ensembles.member import ModelMember
from hf_soup.errors import InputError
from hf_soup.evaluation import HeldOut
from hf_soup.evaluation.cache_key import preprocessing_digest
from hf_soup.evaluation.forward import run_rows
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.skeleton import Skeleton
from hf_soup.evaluation.task import Encoded, Task

if TYPE_CHECKING:
    import numpy as np
    import torch


class TrainedMember:
    """Weights are trained in float32, whatever dtype they are stored in: steps of a fine-tuning vanish in 16 bits."""

    def __init__(
        self, member: ModelMember, classes: Sequence[str], task: Task, hardware: Hardware, *, trust_remote_code: bool
    ) -> None:
        self.member = member
        self.map = label_map(member, classes)
        self._task = task
        folder = member.checkpoint.side_folder()
        self._preprocessor = task.preprocessor(folder, trust_remote_code)
        skeleton = Skeleton(member.checkpoint, task.auto_class, hardware.device, trust_remote_code=trust_remote_code)
        self._config = skeleton.config
        self.encoding = f"{preprocessing_digest(folder)} {skeleton.layout}"
        """Members with the same digest encode rows to the same inputs."""
        self.model: Any = skeleton.load(member.checkpoint)
        self._stored = {name: tensor.dtype for name, tensor in self._tensors()}
        self.model.float()

    def encode(self, rows: HeldOut, max_length: int | None) -> Encoded:
        return self._task.encode(rows.examples, self._preprocessor, self._config, max_length=max_length)

    def logits(self, rows: HeldOut, encoded: Encoded, hardware: Hardware) -> np.ndarray:
        """Returns float32 [rows, logits] without dropout, the same in every process."""
        self.model.eval()
        size = rows.batch_size or self._task.batch_size
        outputs, _ = run_rows(self._task, self.model, encoded, rows.ids, size, hardware, self.member.label)
        logits: np.ndarray = outputs["logits"]
        if logits.shape[1:] != (self.map.logits,):
            raise InputError(
                f"{self.member.label}: gives {list(logits.shape[1:])} logits a row, its config.json names {self.map.logits} classes."
            )
        return logits

    def as_stored(self) -> Any:
        """Returns the model on the CPU in the dtypes that it was stored in, rounded once. It is not trained any more after that."""
        self.model.cpu()
        for name, tensor in self._tensors():
            tensor.data = tensor.data.to(self._stored[name])
        return self.model.eval()

    def _tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every parameter and buffer once, tied ones too."""
        return chain(self.model.named_parameters(), self.model.named_buffers())


def encoded_for(
    members: Sequence[TrainedMember], rows: HeldOut, max_length: int | None
) -> tuple[list[Encoded], list[int]]:
    """Returns (the rows in every encoding that there is, which of them each member takes)."""
    places: dict[str, int] = {}
    encodings: list[Encoded] = []
    for member in members:
        if member.encoding not in places:
            places[member.encoding] = len(encodings)
            encodings.append(member.encode(rows, max_length))
    return encodings, [places[member.encoding] for member in members]
