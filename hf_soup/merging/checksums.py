"""Checksums of a result, computed while it is written, at a tenth of the cost of a cryptographic digest.

A granule (262,144 elements of one tensor) has a 64-bit checksum: the sum of its 8-byte words, each times an odd constant of
its place, modulo 2⁶⁴. It finds what gets lost or damaged by accident. A file's root is the SHA-256 of its header and of the
checksums of its granules in the order of the file. It is no proof against a forger: `verify` derives the weights instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.header import parse_header
from hf_soup.checkpoints.positioned_file import PositionedFile
from hf_soup.errors import InputError, SoupError
from hf_soup.methods.blocks import GRANULE

Words = NDArray[np.uint64]


def granule_checksum(content: memoryview) -> int:
    """Returns the 64-bit checksum of the bytes of one granule."""
    whole = len(content) // 8
    words = np.frombuffer(content, dtype=np.uint64, count=whole)
    total = int(np.dot(words, _multipliers()[:whole]))
    if rest := bytes(content[whole * 8 :]):
        total += int.from_bytes(rest, "little") * int(_multipliers()[whole])
    return (total + len(content)) % 2**64


@cache
def _multipliers() -> Words:
    """Odd constants: an odd factor loses no bit of its word. One more than a granule of 8-byte elements has words."""
    return np.random.Philox(key=65_536).random_raw(GRANULE + 1) | np.uint64(1)


def file_root(header: bytes, granules: Iterable[Sequence[int]]) -> str:
    """Returns the root as hex digits. `granules`: for each tensor, in the order of the file, its granules' checksums."""
    digest = hashlib.sha256(header)
    for sums in granules:
        digest.update(np.asarray(sums, dtype="<u8").tobytes())
    return digest.hexdigest()


def root_of(path: Path) -> str:
    """Reads a safetensors file and returns its root. Raises InputError for a damaged header, SoupError for a short file."""
    with PositionedFile(path) as file:
        length = bytearray(8)
        file.read_into(0, memoryview(length))
        if (size := int.from_bytes(length, "little")) > path.stat().st_size:
            raise InputError(f"{path}: says that its header has {size:,} bytes, more than the file; it is corrupt.")
        raw = bytearray(size)
        file.read_into(8, memoryview(raw))
        header = parse_header(bytes(raw), path=path.name, where=str(path), file_bytes=path.stat().st_size)
        names = sorted(header.tensors, key=lambda name: (header.offsets[name], header.tensors[name].numel))
        sizes = [
            (header.offsets[name], header.tensors[name].numel, ITEM_SIZE[header.tensors[name].dtype]) for name in names
        ]
        return file_root(bytes(length + raw), (list(stored_checksums(file, *size)) for size in sizes))


def stored_checksums(file: PositionedFile, offset: int, numel: int, width: int) -> Iterator[int]:
    """Yields the checksums of `numel` elements of `width` bytes that lie at `offset`, read from the file."""
    buffer = memoryview(bytearray(GRANULE * width))
    for start in range(0, numel, GRANULE):
        part = buffer[: (min(start + GRANULE, numel) - start) * width]
        if file.read_into(offset + start * width, part) != len(part):
            raise SoupError(f"{file.path}: ends before its header says.")
        yield granule_checksum(part)
