"""The work of a merge in portions: what one worker does at a time, what the journal counts, what processes share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.merging.tensors import MergedTensor
from hf_soup.methods.blocks import GRANULE

if TYPE_CHECKING:
    from hf_soup.merging.plan import Plan

PORTION_GRANULES = 16
"""8 MiB of bfloat16: long enough for the disk to read ahead, short enough to share work evenly and to lose little."""


@dataclass(frozen=True)
class Portion:
    """Elements [start, stop) of one tensor of the result. `index` counts all portions of the plan."""

    index: int
    tensor: MergedTensor
    file: int
    """Index of the output file in the layout."""
    offset: int
    """Of the tensor's first byte in that file."""
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        return (self.stop - self.start) * ITEM_SIZE[self.tensor.info.dtype]

    def granules(self) -> Iterator[tuple[int, int]]:
        for start in range(self.start, self.stop, GRANULE):
            yield start, min(start + GRANULE, self.stop)


def portions_of(plan: Plan) -> list[Portion]:
    """Returns all portions in the order of the output files. It depends on nothing but the plan's layout."""
    tensors = {tensor.info.name: tensor for tensor in plan.tensors}
    portions: list[Portion] = []
    step = PORTION_GRANULES * GRANULE
    for file, output in enumerate(plan.layout.files):
        for name, offset in output.offsets.items():
            tensor = tensors[name]
            numel = tensor.info.numel
            size = step if plan.method.elementwise else max(1, numel)
            portions += [
                Portion(len(portions) + i, tensor, file, offset, start, min(start + size, numel))
                for i, start in enumerate(range(0, numel, size))
            ]
    return portions


def share(portions: Sequence[Portion], rank: int, ranks: int, keep_tensors_whole: bool) -> list[Portion]:
    """Returns one process's part: neighbours in the files, and about as many bytes as every other process has.

    `keep_tensors_whole`: a tensor that is surveyed first is best left to one process.
    """
    total = sum(portion.nbytes for portion in portions)
    mine, before = [], 0
    owner: dict[str, int] = {}
    for portion in portions:
        turn = min(ranks - 1, (2 * before + portion.nbytes) * ranks // max(1, 2 * total))
        if keep_tensors_whole:
            turn = owner.setdefault(portion.tensor.info.name, turn)
        if turn == rank:
            mine.append(portion)
        before += portion.nbytes
    return mine


def unfinished(portions: Sequence[Portion], done: Collection[int]) -> list[Portion]:
    return [portion for portion in portions if portion.index not in done]
