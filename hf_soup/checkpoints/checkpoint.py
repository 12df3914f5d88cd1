"""What every source of weights can do, whether it lies on disk, on the Hub, or is computed on read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints.dtypes import ITEM_SIZE, torch_dtype
from hf_soup.checkpoints.reference import PinnedRef

if TYPE_CHECKING:
    from torch import Tensor

Origin = tuple[str, str]
"""The identity of a checkpoint and the name of a tensor in it."""


@dataclass(frozen=True)
class TensorInfo:
    """A tensor as a header describes it. `dtype` is a safetensors code such as "F32" or "BF16"."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * ITEM_SIZE[self.dtype]


class Checkpoint(ABC):
    """The tensors of one model. Nothing outside this room knows where they come from."""

    ref: PinnedRef | None
    """Where it came from; None for a checkpoint that is computed on read."""
    label: str
    """How messages name it, e.g. `me/run-1@4f1c2ab`."""
    config: dict[str, Any]
    """The parsed config.json, {} when there is none."""
    streams = False
    """Whether weights come over the network at every read, so that few large reads in file order are cheap and many
    small ones are not (see RemoteCheckpoint)."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest: equal for equal weights in equal files, different otherwise."""

    @property
    def identity(self) -> str:
        """Hex digest under which results computed from these weights may be kept: changes whenever the weights do."""
        return self.fingerprint

    def origins(self) -> dict[str, Origin]:
        """Returns for every tensor, by its name, where its content comes from: wherever two are equal, so are the contents.

        One look at all of them, since finding out identities takes longer than naming tensors.
        """
        identity = self.identity
        return {name: (identity, name) for name in self.names()}

    @abstractmethod
    def names(self) -> list[str]:
        """The names of all tensors, sorted."""

    @abstractmethod
    def info(self, name: str) -> TensorInfo:
        """Dtype, shape and size of a tensor, from the header alone. Raises KeyError for an unknown name."""

    @abstractmethod
    def read_span(self, name: str, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        """Returns elements [start, stop) of the flattened tensor (row-major), 1-D, on the CPU, in its stored dtype.

        `out`: a 1-D contiguous CPU tensor of that dtype with at least stop - start elements; the result is then a view
        of it. Raises SoupError, naming file and tensor, when the file is shorter than its header says.
        """

    @abstractmethod
    def side_folder(self) -> Path:
        """A local folder with config.json, tokenizer and processor files (weights need not be in it)."""

    def filler(self, name: str) -> Callable[[int, memoryview], None] | None:
        """Returns a function (start, buffer) that fills a buffer with the stored bytes from element `start` on.

        For a tensor that is read in many small blocks: what does not change from block to block is found once. None where
        the tensor is not bytes that lie somewhere. The function raises what `read_span` raises.
        """
        return None

    def will_read(self, name: str, start: int, stop: int) -> None:  # noqa: B027
        """Says that these elements are read soon, so that a disk can begin; a source that cannot use it does nothing."""

    def read(self, name: str) -> Tensor:
        """Returns the whole tensor on the CPU, in its stored dtype and shape."""
        info = self.info(name)
        return self.read_span(name, 0, info.numel).reshape(info.shape)

    def read_rows(self, name: str, start: int, stop: int) -> Tensor:
        """Returns rows [start, stop) of a tensor of one or more dimensions, shape (stop - start, *shape[1:])."""
        info = self.info(name)
        if not info.shape or not 0 <= start <= stop <= info.shape[0]:
            raise IndexError(f"rows {start}:{stop} of tensor '{name}', which has shape {list(info.shape)}")
        row = math.prod(info.shape[1:])
        return self.read_span(name, start * row, stop * row).reshape(stop - start, *info.shape[1:])

    def empty(self, name: str, numel: int) -> Tensor:
        """Returns an uninitialised 1-D CPU tensor of this tensor's stored dtype."""
        import torch

        return torch.empty(numel, dtype=torch_dtype(self.info(name).dtype))
