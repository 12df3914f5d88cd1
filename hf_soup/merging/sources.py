"""One tensor of every model as the arithmetic reads it, wherever its bytes are: on disk, on their way, or computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from hf_soup.methods.blocks import GRANULE

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Read = Callable[[int, int], "Tensor"]
"""Returns elements [start, stop) of a flattened tensor, 1-D, on the CPU, as they are stored; the caller does not keep them."""

_SAMPLED_PIECE = 1_024  # elements; shorter pieces cost more calls, longer ones see fewer places


@dataclass(frozen=True)
class TensorSources:
    """`models` in the order of the arithmetic; `donor`: what a tensor that is copied is copied from."""

    models: tuple[Read, ...]
    base: Read | None
    donor: Read


class Scratch:
    """Memory that every read overwrites. `pinned`: a GPU copies from it without a detour."""

    def __init__(self, pinned: bool = False) -> None:
        self._pinned = pinned
        self._memory: memoryview | None = None
        self._typed: dict[torch.dtype, Tensor] = {}

    def take(self, numel: int, dtype: torch.dtype) -> tuple[Tensor, memoryview]:
        """Returns a 1-D CPU tensor of `numel` elements and its bytes; what was taken before is overwritten with it."""
        import torch

        need = numel * dtype.itemsize
        if self._memory is None or len(self._memory) < need:
            content = torch.empty(-(-need // 8) * 8, dtype=torch.uint8, pin_memory=self._pinned)
            self._memory = content.numpy().data
            self._typed = {torch.uint8: content}
        if dtype not in self._typed:
            self._typed[dtype] = self._typed[torch.uint8].view(dtype)
        return self._typed[dtype][:numel], self._memory[:need]


class Widened(Sequence["Tensor"]):
    """The models' blocks in the dtype and on the device of the arithmetic, each read when it is asked for.

    A method that takes one model after the other needs memory for one of them, however many there are.
    """

    def __init__(
        self,
        reads: Sequence[Read],
        start: int,
        stop: int,
        dtype: torch.dtype,
        device: str,
        shape: tuple[int, ...] | None,
    ) -> None:
        self._reads = reads
        self._start = start
        self._stop = stop
        self._dtype = dtype
        self._device = device
        self._shape = shape

    def __len__(self) -> int:
        return len(self._reads)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Widened: ...
    def __getitem__(self, index: int | slice) -> Tensor | Widened:
        if isinstance(index, slice):
            return Widened(self._reads[index], self._start, self._stop, self._dtype, self._device, self._shape)
        return widened(self._reads[index](self._start, self._stop), self._dtype, self._device, self._shape)


def widened(stored: Tensor, dtype: torch.dtype, device: str, shape: tuple[int, ...] | None) -> Tensor:
    """Returns a tensor of its own: stored values are read into memory that is used again."""
    # To a GPU as it is stored and widened there: torch would widen on the CPU and copy twice as much.
    wide = stored.to(dtype, copy=True) if device == "cpu" else stored.to(device).to(dtype)
    return wide if shape is None else wide.reshape(shape)


class Interrupted(Exception):
    """A survey was left because the work was stopped; no error of its own."""


class SourceGranules:
    """A tensor in granules, for surveys (`hf_soup.methods.blocks.Granules`). `stop`: set to leave it with Interrupted."""

    def __init__(
        self, numel: int, sources: TensorSources, dtype: torch.dtype, stop: threading.Event | None = None
    ) -> None:
        self.numel = numel
        self.n_models = len(sources.models)
        self._sources = sources
        self._dtype = dtype
        self._stop = stop

    def __len__(self) -> int:
        return -(-self.numel // GRANULE)

    def __getitem__(self, index: int) -> tuple[Tensor | None, Sequence[Tensor]]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if self._stop is not None and self._stop.is_set():
            raise Interrupted
        start = index * GRANULE
        stop = min(start + GRANULE, self.numel)
        base = self._sources.base
        wide = widened(base(start, stop), self._dtype, "cpu", None) if base is not None else None
        return wide, Widened(self._sources.models, start, stop, self._dtype, "cpu", None)

    def sample(self, elements: int) -> tuple[Tensor | None, Sequence[Tensor]]:
        import torch

        if self.numel <= elements:
            spans = [(start, min(start + GRANULE, self.numel)) for start in range(0, self.numel, GRANULE)]
        else:
            count = max(2, elements // _SAMPLED_PIECE)
            last = self.numel - _SAMPLED_PIECE
            spans = [(i * last // (count - 1), i * last // (count - 1) + _SAMPLED_PIECE) for i in range(count)]

        def take(read: Read) -> Tensor:
            return torch.cat([widened(read(*span), self._dtype, "cpu", None) for span in spans])

        base = self._sources.base
        return take(base) if base is not None else None, [take(read) for read in self._sources.models]
