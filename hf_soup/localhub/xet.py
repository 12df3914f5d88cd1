"""Xet files through hf_xet's own local store: no CAS server, clients read and write the folder themselves.

A client is told the address `local://FOLDER`, for which hf_xet has a store of its own. Which SHA-256 belongs to which Xet
hash stands in the metadata shards that it writes. One client process at a time can upload: the store's index is locked.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hf_soup.errors import SoupError

_RECORD = 48  # bytes, of a shard's header and of every row of its file table
_END_OF_FILES = b"\xff" * 32
_HAS_VERIFICATION = 1 << 31
_HAS_METADATA = 1 << 30


@dataclass(frozen=True)
class XetFile:
    sha256: str
    hash: str
    size: int


class XetStore:
    def __init__(self, folder: Path) -> None:
        if find_spec("hf_xet") is None:
            raise SoupError('The hub was asked to serve xet, but hf_xet is not installed: pip install "hf_xet>=1.6"')
        folder.mkdir(parents=True, exist_ok=True)
        self.address = f"local://{folder.resolve()}"
        self._shards = folder / "xet" / "xorbs" / "shards"
        self._lock = threading.Lock()
        self._known: dict[str, XetFile] = {}
        self._read: set[Path] = set()

    def find(self, sha256: str) -> XetFile | None:
        """The file with this content; None when no client has uploaded it."""
        with self._lock:
            if sha256 not in self._known:
                for path in set(self._shards.glob("*.mdb")) - self._read:
                    self._known |= {file.sha256: file for file in files_of_shard(path.read_bytes())}
                    self._read.add(path)
            return self._known.get(sha256)

    def read_span(self, file: XetFile, start: int, stop: int) -> Iterator[bytes]:
        import hf_xet

        store: Any = hf_xet.XetSession().new_download_stream_group(endpoint=self.address)
        yield from store.download_stream(hf_xet.XetFileInfo(file.hash, file.size), start=start, end=stop)


def files_of_shard(data: bytes) -> Iterator[XetFile]:
    """The file table of a Xet metadata shard (xet-core, `mdb_shard`: file_structs.rs)."""
    at = _RECORD
    while at + _RECORD <= len(data):
        file_hash = data[at : at + 32]
        if file_hash == _END_OF_FILES:
            return
        flags, count = struct.unpack_from("<II", data, at + 32)
        at += _RECORD
        size = sum(struct.unpack_from("<I", data, at + _RECORD * i + 36)[0] for i in range(count))
        at += _RECORD * count * (2 if flags & _HAS_VERIFICATION else 1)
        if flags & _HAS_METADATA:
            yield XetFile(_hex(data[at : at + 32]), _hex(file_hash), size)
            at += _RECORD


def _hex(raw: bytes) -> str:
    """Xet prints a hash as four little-endian words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))
