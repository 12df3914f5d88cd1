"""A file that several threads read or write at given offsets at the same time."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_MOST_BYTES = 2**30
"""In one call: macOS refuses 2 GiB and more."""


class PositionedFile:
    """Reads and writes at offsets without a shared position.

    Uses preadv and pwrite where the system has them; elsewhere (Windows) a lock around seek and read. Nothing is mapped
    into memory: pages of a mapped file count as resident, and a mapped file on a network file system stalls or dies.
    """

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR if writable else os.O_RDONLY
        self._descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fills the buffer from `offset` on; returns the bytes read, fewer than asked for only at the file's end."""
        done = 0
        while done < len(buffer):
            if hasattr(os, "preadv"):
                count = os.preadv(self._descriptor, [buffer[done : done + _MOST_BYTES]], offset + done)
            else:
                with self._lock:
                    os.lseek(self._descriptor, offset + done, os.SEEK_SET)
                    piece = os.read(self._descriptor, len(buffer) - done)
                buffer[done : done + len(piece)] = piece
                count = len(piece)
            if count == 0:
                break
            done += count
        return done

    def will_read(self, offset: int, size: int) -> None:
        """Lets the system read ahead, where it can be told to (Linux)."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def write_at(self, offset: int, buffer: memoryview) -> None:
        """Writes the whole buffer at `offset`. Raises OSError, e.g. when the disk is full."""
        done = 0
        while done < len(buffer):
            if hasattr(os, "pwrite"):
                done += os.pwrite(self._descriptor, buffer[done : done + _MOST_BYTES], offset + done)
            else:
                with self._lock:
                    os.lseek(self._descriptor, offset + done, os.SEEK_SET)
                    done += os.write(self._descriptor, buffer[done:])

    def reserve(self, size: int) -> None:
        """Gives the file its final size; where the system can, its disk space too, so that a full disk shows now."""
        os.ftruncate(self._descriptor, size)
        if hasattr(os, "posix_fallocate") and size:
            os.posix_fallocate(self._descriptor, 0, size)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
