"""The bytes of a file, wherever they lie: in git, in the folder of large files, or in the Xet store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hf_soup.localhub.largefiles import read_span
from hf_soup.localhub.repository import Entry, Repository
from hf_soup.localhub.xet import XetFile, XetStore


@dataclass(frozen=True)
class Content:
    """`span(start, stop)` yields these bytes in pieces."""

    size: int
    span: Callable[[int, int], Iterator[bytes]]

    def read(self, start: int, stop: int) -> bytes:
        return b"".join(self.span(start, min(stop, self.size)))


def content_of(repo: Repository, entry: Entry, xet: XetStore | None) -> Content:
    if entry.sha256 is None:
        data = repo.objects.read(entry.oid, "blob")
        return Content(len(data), lambda start, stop: iter([data[start:stop]]))
    return large_content(repo, entry.sha256, xet)


def large_content(repo: Repository, sha256: str, xet: XetStore | None) -> Content:
    """KeyError where the content is nowhere."""
    path = repo.large.path(sha256)
    if path.exists():
        return Content(path.stat().st_size, lambda start, stop: read_span(path, start, stop))
    file = xet_file(xet, sha256)
    if xet is None or file is None:
        raise KeyError(sha256)
    return Content(file.size, lambda start, stop: xet.read_span(file, start, stop))


def xet_file(xet: XetStore | None, sha256: str | None) -> XetFile | None:
    return xet.find(sha256) if xet is not None and sha256 is not None else None
