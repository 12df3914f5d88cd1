"""Large files of one repository: named after their SHA-256, as git-lfs lays them out; and uploads on their way in."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_soup.localhub.refusals import bad_request

CHUNK = 1 << 20  # bytes
_POINTER_START = b"version https://git-lfs.github.com/spec/v1\n"


@dataclass(frozen=True)
class Pointer:
    """What git keeps in the place of a large file."""

    sha256: str
    size: int

    def encode(self) -> bytes:
        return _POINTER_START + f"oid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @classmethod
    def decode(cls, data: bytes) -> Pointer | None:
        """None where `data` is an ordinary file."""
        if len(data) > 1024 or not data.startswith(_POINTER_START):
            return None
        fields = dict(line.split(" ", 1) for line in data.decode().splitlines())
        return cls(fields["oid"].removeprefix("sha256:"), int(fields["size"]))


@dataclass(frozen=True)
class Upload:
    """A request body that was received into a temporary file, hashed on the way."""

    path: Path
    size: int
    sha256: str
    md5: str


class UploadSink:
    """Receives one request body piece by piece."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 - closed in `finish`
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha256.update(data)
        self._md5.update(data)
        self._size += len(data)

    def finish(self) -> Upload:
        self._file.close()
        return Upload(Path(self._file.name), self._size, self._sha256.hexdigest(), self._md5.hexdigest())


class LargeFiles:
    """The folder `lfs/objects/ab/cd/abcd…` of one repository, and the parts of multipart uploads."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._parts = folder / "parts"

    def path(self, sha256: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise bad_request(f"Not a SHA-256: {sha256}")
        return self._objects / sha256[:2] / sha256[2:4] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).exists()

    def keep(self, upload: Upload, sha256: str) -> None:
        """Move a finished upload into place; it must be what its name says."""
        if upload.sha256 != sha256:
            raise bad_request(f"The uploaded bytes have SHA-256 {upload.sha256}, expected {sha256}")
        _move(upload.path, self.path(sha256))

    def keep_part(self, upload: Upload, sha256: str, number: int) -> None:
        _move(upload.path, self._parts / sha256 / str(number))

    def join_parts(self, sha256: str, numbers: list[int], incoming: Path) -> None:
        """Make one file of the parts; they are kept when one is missing, so that the upload can go on."""
        parts = [self._parts / sha256 / str(number) for number in numbers]
        if not parts or not all(part.exists() for part in parts):
            raise bad_request(f"Not all parts of {sha256} were uploaded")
        sink = UploadSink(incoming)
        for part in parts:
            for chunk in read_span(part, 0, part.stat().st_size):
                sink.write(chunk)
        upload = sink.finish()
        try:
            self.keep(upload, sha256)
        finally:
            upload.path.unlink(missing_ok=True)
            shutil.rmtree(self._parts / sha256)


def read_span(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Bytes start:stop of a file, in pieces of at most 1 MiB."""
    with path.open("rb") as file:
        file.seek(start)
        left = stop - start
        while left > 0 and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
