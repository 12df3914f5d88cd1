"""Which portions of a merge are finished, kept in a file that survives the process.

One record per portion: its index, the number of its granules, their checksums, and a CRC-32 of all that. It is appended
after the portion's bytes were handed to the system, so a killed process loses only what was in flight. Whether the bytes
reached the disk as well (a power cut may lose them) is found by their checksums when the merge goes on.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_HEAD = struct.Struct("<II")
_CRC = struct.Struct("<I")

Finished = dict[int, tuple[int, ...]]
"""Checksums of the granules of each finished portion, by the portion's index."""


class Journal:
    """Appends records; safe to call from threads. Every process has a file of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o666)
        # Behind a record that a kill cut short nothing would be found again.
        os.truncate(path, _whole_bytes(path))
        self._lock = threading.Lock()

    def append(self, index: int, checksums: Sequence[int]) -> None:
        body = _HEAD.pack(index, len(checksums)) + struct.pack(f"<{len(checksums)}Q", *checksums)
        record = body + _CRC.pack(zlib.crc32(body))
        with self._lock:
            while record:  # a nearly full disk takes a part
                record = record[os.write(self._descriptor, record) :]

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_journal(path: Path) -> Finished:
    """Returns the whole records of a journal, {} where there is none."""
    return _parse(path)[0]


def _whole_bytes(path: Path) -> int:
    return _parse(path)[1]


def _parse(path: Path) -> tuple[Finished, int]:
    content = path.read_bytes() if path.exists() else b""
    finished: Finished = {}
    position = 0
    while position + _HEAD.size <= len(content):
        index, count = _HEAD.unpack_from(content, position)
        end = position + _HEAD.size + 8 * count
        if end + _CRC.size > len(content):
            break
        if zlib.crc32(content[position:end]) != _CRC.unpack_from(content, end)[0]:
            break
        finished[index] = struct.unpack_from(f"<{count}Q", content, position + _HEAD.size)
        position = end + _CRC.size
    return finished, position
