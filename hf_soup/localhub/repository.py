"""One repository: a bare git folder with loose objects, large files, settings and discussions beside it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from hf_soup.localhub.atomic import write_atomically, write_json
from hf_soup.localhub.gitobjects import (
    Commit,
    LooseObjects,
    TreeItem,
    decode_commit,
    decode_tree,
    encode_commit,
    encode_tree,
)
from hf_soup.localhub.largefiles import LargeFiles, Pointer
from hf_soup.localhub.refusals import bad_request, revision_not_found

RepoType = Literal["model", "dataset"]
MAIN = "refs/heads/main"


@dataclass(frozen=True)
class Entry:
    """A file of a commit. `oid` is the git id (of the pointer, for a large file); `size` is that of the content."""

    oid: str
    size: int
    sha256: str | None = None
    pointer_size: int = 0


Files = dict[str, Entry]  # by path, sorted


@dataclass(frozen=True)
class Settings:
    type: RepoType
    id: str
    number: str  # 24 hexadecimal digits, `_id` in answers
    created: int  # seconds since 1970, UTC
    private: bool = False
    gated: Literal["auto", "manual", False] = False
    access: dict[str, str] = field(default_factory=dict)  # user -> accepted, rejected or pending


class Repository:
    """Reads and writes one repository folder. Writers hold `lock`; readers need none, since objects never change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.objects = LooseObjects(folder / "objects")
        self.large = LargeFiles(folder / "lfs")
        self._settings = self._read_settings()
        self._entry = lru_cache(maxsize=None)(self._read_entry)
        self._files = lru_cache(maxsize=256)(self._read_files)

    @classmethod
    def create(cls, folder: Path, settings: Settings, first_file: tuple[str, bytes], author: str) -> Repository:
        """Lay out a new repository with one commit that holds `first_file`."""
        (folder / "refs" / "heads").mkdir(parents=True)
        write_atomically(folder / "HEAD", f"ref: {MAIN}\n".encode())
        write_atomically(
            folder / "config", b"[core]\n\trepositoryformatversion = 0\n\tfilemode = false\n\tbare = true\n"
        )
        write_json(folder / "hub.json", asdict(settings))
        repo = cls(folder)
        path, data = first_file
        entry = repo.add_file(data)
        repo.commit(MAIN, {path: entry}, author=author, message="initial commit", parents=())
        return repo

    # settings

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def type(self) -> RepoType:
        return self._settings.type

    @property
    def id(self) -> str:
        return self._settings.id

    @property
    def namespace(self) -> str:
        return self.id.split("/")[0]

    def change_settings(self, **changes: Any) -> None:
        with self.lock:
            self._settings = replace(self._settings, **changes)
            write_json(self.folder / "hub.json", asdict(self._settings))

    # refs

    def refs(self) -> dict[str, str]:
        """Full names (`refs/heads/main`) and the commits that they point to."""
        root = self.folder / "refs"
        found = {}
        for path in sorted(root.rglob("*")):
            if path.is_file() and not path.name.startswith(".tmp-"):
                found["refs/" + path.relative_to(root).as_posix()] = path.read_text().strip()
        return found

    def ref(self, name: str) -> str | None:
        if not _is_ref_name(name):
            return None
        path = self.folder / name
        return path.read_text().strip() if path.is_file() else None

    def set_ref(self, name: str, commit: str) -> None:
        if not _is_ref_name(name):
            raise bad_request(f"Invalid reference name: {name}")
        write_atomically(self.folder / name, f"{commit}\n".encode())

    def delete_ref(self, name: str) -> None:
        (self.folder / name).unlink()

    def branch(self, revision: str) -> str | None:
        """The reference that a commit to `revision` moves, None when it is no branch."""
        name = revision if revision.startswith("refs/") else f"refs/heads/{revision}"
        movable = name.startswith(("refs/heads/", "refs/pr/"))
        return name if movable and self.ref(name) is not None else None

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, tag, full reference, or (abbreviated) commit id."""
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name.startswith("refs/") and (oid := self.ref(name)):
                return self.commit_of(oid)
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            matches = [oid for oid in self.objects.starting_with(revision) if self._is_commit(oid)]
            if len(matches) == 1:
                return self.commit_of(matches[0])
        raise revision_not_found(revision)

    # content

    def commit_of(self, oid: str) -> Commit:
        return decode_commit(oid, self.objects.read(oid, "commit"))

    def history(self, commit: Commit) -> list[Commit]:
        """`commit` and its first parents, newest first."""
        line = [commit]
        while line[-1].parents:
            line.append(self.commit_of(line[-1].parents[0]))
        return line

    def files(self, commit: Commit) -> Files:
        return self._files(commit.tree)

    def text(self, entry: Entry) -> str:
        return self.objects.read(entry.oid, "blob").decode("utf-8", "replace")

    def add_file(self, data: bytes) -> Entry:
        """Store an ordinary file."""
        return Entry(self.objects.write("blob", data), len(data))

    def add_pointer(self, sha256: str, size: int) -> Entry:
        """Store the pointer to a large file."""
        data = Pointer(sha256, size).encode()
        return Entry(self.objects.write("blob", data), size, sha256, len(data))

    def commit(
        self, ref: str, files: Files, *, author: str, message: str, parents: tuple[str, ...] | None = None
    ) -> Commit:
        """Write a commit with exactly `files` and move `ref` to it; the parent is where `ref` is now, if not given."""
        with self.lock:
            if parents is None:
                head = self.ref(ref)
                parents = (head,) if head else ()
            tree = self._write_tree(files)
            oid = self.objects.write("commit", encode_commit(tree, parents, author, int(time.time()), message))
            self.set_ref(ref, oid)
            return self.commit_of(oid)

    def tree_ids(self, commit: Commit) -> dict[str, str]:
        """Path and id of every folder of a commit."""
        found: dict[str, str] = {}
        self._walk(commit.tree, "", lambda path, item: found.setdefault(path, item.oid) if item.is_tree else None)
        return found

    def _read_settings(self) -> Settings:
        return Settings(**json.loads((self.folder / "hub.json").read_text()))

    def _is_commit(self, oid: str) -> bool:
        try:
            self.objects.read(oid, "commit")
        except KeyError:
            return False
        return True

    def _read_entry(self, oid: str) -> Entry:
        data = self.objects.read(oid, "blob")
        pointer = Pointer.decode(data)
        return Entry(oid, pointer.size, pointer.sha256, len(data)) if pointer else Entry(oid, len(data))

    def _read_files(self, tree: str) -> Files:
        files: Files = {}
        self._walk(
            tree, "", lambda path, item: None if item.is_tree else files.setdefault(path, self._entry(item.oid))
        )
        return dict(sorted(files.items()))

    def _walk(self, tree: str, prefix: str, visit: Callable[[str, TreeItem], Any]) -> None:
        for item in decode_tree(self.objects.read(tree, "tree")):
            visit(prefix + item.name, item)
            if item.is_tree:
                self._walk(item.oid, f"{prefix}{item.name}/", visit)

    def _write_tree(self, files: Files) -> str:
        """Write the trees of a listing, innermost first."""
        items: list[TreeItem] = []
        folders: dict[str, Files] = {}
        for path, entry in files.items():
            head, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(head, {})[rest] = entry
            else:
                items.append(TreeItem(head, entry.oid, is_tree=False))
        items += [TreeItem(name, self._write_tree(inner), is_tree=True) for name, inner in folders.items()]
        return self.objects.write("tree", encode_tree(items))


def _is_ref_name(name: str) -> bool:
    """Git's rules for reference names (git-check-ref-format), in short."""
    parts = name.split("/")
    return (
        len(parts) >= 3
        and parts[0] == "refs"
        and parts[1] in ("heads", "tags", "pr", "convert")
        and not re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{", name)
        and all(part and not part.startswith((".", "-")) and not part.endswith((".", ".lock")) for part in parts)
    )
