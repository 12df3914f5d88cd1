"""Rows of a matrix in fixed tiles, and what a thread holds while it computes them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_ELEMENTS = 262_144
"""That many elements are asked for at a time (`hf_soup.methods.blocks.GRANULE`): tiles do not cross the borders of blocks, so
that nothing but a row that does is computed twice."""
TILE_ELEMENTS = 131_072


def tiles(first: int, stop: int, width: int, rows: int) -> Iterator[tuple[int, int]]:
    """Returns the tiles, as (first, stop) in rows, that hold rows [first, stop) of a matrix of that width.

    They depend on the width and the number of rows alone, not on what is asked for: the last bits of a product may depend on
    how many rows it has. The rows that lie in one block are cut into tiles of about TILE_ELEMENTS, and a row that lies in two
    blocks is a tile of its own.
    """
    height = max(1, TILE_ELEMENTS // width)
    row = first
    while row < stop:
        block = row * width // BLOCK_ELEMENTS
        begin, end = -(-block * BLOCK_ELEMENTS // width), min((block + 1) * BLOCK_ELEMENTS // width, rows)
        if row >= end:  # its last elements are in the next block
            yield row, row + 1
            row += 1
            continue
        start = begin + (row - begin) // height * height
        row = min(start + height, end)
        yield start, row


def tiled(first: int, stop: int, width: int, rows: int) -> tuple[int, int]:
    """Returns [first, stop) with the rest of its first and of its last tile."""
    begin, _ = next(tiles(first, first + 1, width, rows))
    *_, (_, end) = tiles(stop - 1, stop, width, rows)
    return begin, end


def tiled_elements(width: int) -> int:
    """The most elements that the tiles of one block hold."""
    return BLOCK_ELEMENTS + 2 * width


class HeldRows(threading.local):
    """Of each thread: the rows of a base that it read last, as they are stored, and room for one tile in float64.

    Adapters of one base that are read block by block, one after the other, so read the base once.
    """

    def __init__(self) -> None:
        self._base: weakref.ref[StoredCheckpoint] | None = None
        self._name = ""
        self._first = self._stop = 0
        self._rows: Tensor | None = None
        self._room: Tensor | None = None
        self._tile: Tensor | None = None

    def read(self, base: StoredCheckpoint, name: str, first: int, stop: int, width: int) -> Tensor:
        """Returns rows [first, stop) of the base's tensor, [stop - first, width], which the caller does not change or keep."""
        known = self._base is not None and self._base() is base and self._name == name
        if self._rows is None or not known or first < self._first or stop > self._stop:
            self._base = self._rows = None  # not two blocks at a time
            self._rows = base.read_span(name, first * width, stop * width)
            self._base, self._name, self._first, self._stop = weakref.ref(base), name, first, stop
        return self._rows[(first - self._first) * width : (stop - self._first) * width].view(stop - first, width)

    def room(self, rows: int, width: int) -> Tensor:
        """Returns float64 memory [rows, width] with any content, the same at every call."""
        import torch

        if self._tile is None or self._tile.shape != (rows, width):
            if self._room is None or self._room.shape[0] < rows * width:
                self._room = torch.empty(max(TILE_ELEMENTS, rows * width), dtype=torch.float64)
            self._tile = self._room[: rows * width].view(rows, width)
        return self._tile
