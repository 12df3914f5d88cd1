"""A checkpoint in one or several safetensors files, in a folder or at a commit of the Hub."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints.checkpoint import Checkpoint, TensorInfo
from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.folder import ModelFolder, StoredFile
from hf_soup.checkpoints.header import Header, read_header
from hf_soup.checkpoints.positioned_file import PositionedFile
from hf_soup.checkpoints.side_files import side_files
from hf_soup.checkpoints.spans import Span
from hf_soup.checkpoints.weight_files import WeightFiles, read_config
from hf_soup.errors import InputError, SoupError

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_BYTES = 64


class StoredCheckpoint(Checkpoint):
    """What checkpoints made of files share: where the files are and how they come to this disk."""

    def __init__(self, folder: ModelFolder, weights: WeightFiles) -> None:
        self.folder = folder
        self.weights = weights
        self.ref = folder.ref
        self.label = folder.ref.label
        self.config = read_config(folder)

    def weight_files(self) -> list[StoredFile]:
        return [self.folder.files[path] for path in self.weights.paths]

    def files_to_download(self) -> dict[tuple[str, str], int]:
        """Returns the size of each weight file that is not on this disk, by its model's label and its path.

        Adapters of one base have its files in common: whoever adds up several models adds up these.
        """
        return {(self.label, file.path): file.size for file in self.folder.missing(self.weights.paths)}

    def bytes_to_download(self) -> int:
        return sum(self.files_to_download().values())

    def fetch(self) -> Path:
        """Brings the weights to this disk, into the Hub's ordinary cache; returns the folder that holds them."""
        return self.folder.fetch(self.weights.paths)

    def side_files(self) -> list[str]:
        return side_files(self.folder)

    def side_folder(self) -> Path:
        return self._side_folder

    @cached_property
    def _side_folder(self) -> Path:
        return self.folder.fetch(self.side_files())

    @cached_property
    def _hub_digest(self) -> str | None:
        digests = [file.sha256 for file in self.weight_files()]
        if None in digests:
            return None
        return hashlib.sha256("\n".join(sorted(str(digest) for digest in digests)).encode()).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """From the Hub's file digests where it gives them; else from the tensor table and samples of every tensor."""
        return self._hub_digest or self.sampled_digest()

    @property
    def identity(self) -> str:
        """A sampled fingerprint may miss an edit; the files' times of change do not."""
        if self._hub_digest is not None:
            return self.fingerprint
        stats = [self.folder.local_path(path).stat() for path in self.weights.paths]
        changes = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
        return hashlib.sha256(repr((self.fingerprint, changes)).encode()).hexdigest()

    def sampled_digest(self) -> str:
        """A digest that does not depend on the sharding: head, middle and tail of every tensor."""
        digest = hashlib.sha256()
        for name in self.names():
            info = self.info(name)
            digest.update(repr((name, info.dtype, info.shape)).encode())
            step = max(1, SAMPLE_BYTES // ITEM_SIZE[info.dtype])
            last = max(0, info.numel - step)
            for start in sorted({0, last // 2, last}):
                digest.update(self.read_bytes(name, start, min(start + step, info.numel)))
        return digest.hexdigest()

    def read_bytes(self, name: str, start: int, stop: int) -> bytes:
        """Returns the stored bytes of elements [start, stop) of the flattened tensor."""
        import torch

        return self.read_span(name, start, stop).view(torch.uint8).numpy().tobytes()


class SafetensorsCheckpoint(StoredCheckpoint):
    def __init__(self, folder: ModelFolder, weights: WeightFiles) -> None:
        super().__init__(folder, weights)
        self._headers: dict[str, Header] = {path: read_header(folder, path) for path in weights.paths}
        self._home: dict[str, str] = {}
        for path, header in self._headers.items():
            for name in header.tensors:
                if name in self._home:
                    raise InputError(f"{self.label}: tensor '{name}' is in {self._home[name]} and again in {path}.")
                self._home[name] = path
        for name, path in (weights.weight_map or {}).items():
            if name not in self._headers[path].tensors:
                raise InputError(f"{self.label}: the index puts tensor '{name}' into {path}, which does not hold it.")
        self._open: dict[str, PositionedFile] = {}
        self._opening = threading.Lock()

    def names(self) -> list[str]:
        return sorted(self._home)

    def info(self, name: str) -> TensorInfo:
        return self._headers[self._home[name]].tensors[name]

    def file_of(self, name: str) -> str:
        return self._home[name]

    def span_of(self, name: str, start: int, stop: int) -> Span:
        """Returns where elements [start, stop) of the flattened tensor lie."""
        width, path = ITEM_SIZE[self.info(name).dtype], self._home[name]
        return Span(path, self._headers[path].offsets[name] + start * width, (stop - start) * width)

    def read_span(self, name: str, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        import torch

        if out is None:
            out = self.empty(name, stop - start)
        out = out[: stop - start]
        if stop > start:
            self._read_into(name, start, out.view(torch.uint8).numpy().data)
        return out

    def filler(self, name: str) -> Callable[[int, memoryview], None] | None:
        if self.streams:
            return None
        span, width = self.span_of(name, 0, 0), ITEM_SIZE[self.info(name).dtype]
        file = self._file(span.path)

        def fill(start: int, buffer: memoryview) -> None:
            if file.read_into(span.offset + start * width, buffer) != len(buffer):
                raise SoupError(self._cut_short(span.path, name))

        return fill

    def will_read(self, name: str, start: int, stop: int) -> None:
        if not self.streams:
            span = self.span_of(name, start, stop)
            self._file(span.path).will_read(span.offset, span.length)

    def read_bytes(self, name: str, start: int, stop: int) -> bytes:
        buffer = bytearray((stop - start) * ITEM_SIZE[self.info(name).dtype])
        if buffer:
            self._read_into(name, start, memoryview(buffer))
        return bytes(buffer)

    def _read_into(self, name: str, start: int, buffer: memoryview) -> None:
        span = self.span_of(name, start, start + len(buffer) // ITEM_SIZE[self.info(name).dtype])
        if self._read_at(span, buffer) != len(buffer):
            raise SoupError(self._cut_short(span.path, name))

    def _cut_short(self, path: str, name: str) -> str:
        return (
            f"{path} of {self.label}: ends inside tensor '{name}', although it was whole when its header was read; "
            "was it changed meanwhile?"
        )

    def _read_at(self, span: Span, buffer: memoryview) -> int:
        return self._file(span.path).read_into(span.offset, buffer)

    def _file(self, path: str) -> PositionedFile:
        with self._opening:
            if path not in self._open:
                self._open[path] = PositionedFile(self.folder.local_path(path))
            return self._open[path]

    def close(self) -> None:
        with self._opening:
            for file in self._open.values():
                file.close()
            self._open.clear()
