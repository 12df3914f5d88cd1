"""Git's blobs, trees and commits: their bytes, their ids, and a folder of loose objects.

The ids are those that git computes, and `git --git-dir=REPO log` reads what is written here.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hf_soup.localhub.atomic import write_atomically

FILE_MODE = "100644"
TREE_MODE = "40000"


def object_id(kind: str, data: bytes) -> str:
    """SHA-1 of header and content, as git computes it; `kind` is blob, tree or commit."""
    return hashlib.sha1(_header(kind, len(data)) + data).hexdigest()


@dataclass(frozen=True)
class TreeItem:
    name: str
    oid: str
    is_tree: bool


def encode_tree(items: Iterable[TreeItem]) -> bytes:
    """Git sorts a subtree as if its name ended with a slash."""
    ordered = sorted(items, key=lambda item: (item.name + "/" if item.is_tree else item.name).encode())
    return b"".join(
        f"{TREE_MODE if item.is_tree else FILE_MODE} {item.name}".encode() + b"\0" + bytes.fromhex(item.oid)
        for item in ordered
    )


def decode_tree(data: bytes) -> list[TreeItem]:
    items, start = [], 0
    while start < len(data):
        nul = data.index(b"\0", start)
        mode, name = data[start:nul].decode().split(" ", 1)
        items.append(TreeItem(name, data[nul + 1 : nul + 21].hex(), mode == TREE_MODE))
        start = nul + 21
    return items


@dataclass(frozen=True)
class Commit:
    oid: str
    tree: str
    parents: tuple[str, ...]
    author: str
    time: int  # seconds since 1970, UTC
    message: str

    @property
    def title(self) -> str:
        return self.message.partition("\n")[0]

    @property
    def description(self) -> str:
        return self.message.partition("\n")[2].strip("\n")

    @property
    def date(self) -> str:
        return iso_date(self.time)


def encode_commit(tree: str, parents: Iterable[str], author: str, time: int, message: str) -> bytes:
    who = f"{author} <{author}@users.noreply.localhost> {time} +0000"
    lines = [f"tree {tree}", *(f"parent {oid}" for oid in parents), f"author {who}", f"committer {who}", "", message]
    return ("\n".join(lines) + "\n").encode()


def decode_commit(oid: str, data: bytes) -> Commit:
    head, _, message = data.decode().partition("\n\n")
    fields = [line.partition(" ") for line in head.split("\n")]
    author, _, stamp = next(value for key, _, value in fields if key == "author").partition(" <")
    return Commit(
        oid=oid,
        tree=next(value for key, _, value in fields if key == "tree"),
        parents=tuple(value for key, _, value in fields if key == "parent"),
        author=author,
        time=int(stamp.split("> ")[1].split()[0]),
        message=message.rstrip("\n"),
    )


def iso_date(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class LooseObjects:
    """A git object folder: one compressed file an object, named after its id. Objects are never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, kind: str, data: bytes) -> str:
        oid = object_id(kind, data)
        path = self._path(oid)
        if not path.exists():
            write_atomically(path, zlib.compress(_header(kind, len(data)) + data, 1))
        return oid

    def read(self, oid: str, kind: str) -> bytes:
        """The content of an object; KeyError where it is absent or of another kind."""
        try:
            raw = zlib.decompress(self._path(oid).read_bytes())
        except FileNotFoundError:
            raise KeyError(oid) from None
        header, _, data = raw.partition(b"\0")
        if not header.startswith(kind.encode() + b" "):
            raise KeyError(oid)
        return data

    def starting_with(self, prefix: str) -> list[str]:
        """Ids with this prefix (at least four digits)."""
        folder = self._folder / prefix[:2]
        return [prefix[:2] + path.name for path in folder.glob(prefix[2:] + "*")]

    def _path(self, oid: str) -> Path:
        return self._folder / oid[:2] / oid[2:]


def _header(kind: str, size: int) -> bytes:
    return f"{kind} {size}".encode() + b"\0"
