"""The files of an adapter together with the side files of its base: what the merged model is made of."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from hf_soup.checkpoints.folder import ModelFolder, StoredFile
from hf_soup.checkpoints.side_files import side_files


class OverlaidFolder(ModelFolder):
    """The adapter's folder, with the base's side files where the adapter has none of that name.

    `written`: files that are in neither, with their content. Side files of two origins are copied into one temporary folder,
    which goes with this object. `token` and `cache_dir`: the adapter's.
    """

    def __init__(self, adapter: ModelFolder, base: ModelFolder, written: Mapping[str, bytes]) -> None:
        self.ref = adapter.ref
        self.adapter = adapter
        self.base = base
        self.written = dict(written)
        self.token = getattr(adapter, "token", None)
        self.cache_dir = getattr(adapter, "cache_dir", None)
        self._together: tempfile.TemporaryDirectory[str] | None = None
        self._there: set[str] = set()
        self._lock = threading.Lock()

    @cached_property
    def files(self) -> dict[str, StoredFile]:
        found = {path: self.base.files[path] for path in side_files(self.base)}
        found |= self.adapter.files
        for path, content in self.written.items():
            sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            found[path] = StoredFile(path, len(content), git_sha1=sha1)
        return found

    def _owner(self, path: str) -> ModelFolder:
        return self.adapter if path in self.adapter.files else self.base

    def fetch(self, paths: Iterable[str]) -> Path:
        """Returns the one folder that has all of the files, a temporary one where they come from several places."""
        paths = list(paths)
        owners = {self._owner(path) for path in paths if path not in self.written}
        if not any(path in self.written for path in paths) and len(owners) <= 1:
            return (owners.pop() if owners else self.adapter).fetch(paths)
        with self._lock:
            if self._together is None:
                self._together = tempfile.TemporaryDirectory(prefix="hf-soup-adapter-")
            root = Path(self._together.name)
            for path in paths:
                if path in self._there:
                    continue
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                if path in self.written:
                    target.write_bytes(self.written[path])
                else:
                    shutil.copyfile(self._owner(path).local_path(path), target)
                self._there.add(path)
            return root

    def missing(self, paths: Iterable[str]) -> list[StoredFile]:
        paths = [path for path in paths if path not in self.written]
        return [file for path in paths for file in self._owner(path).missing([path])]

    def read_head(self, path: str, nbytes: int) -> bytes:
        if path in self.written:
            return self.written[path][:nbytes]
        return self._owner(path).read_head(path, nbytes)
