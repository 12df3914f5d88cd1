"""The files of one model, in a folder on this machine or in a commit on the Hub, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from hf_soup.checkpoints.backoff import Backoff
from hf_soup.checkpoints.hub_errors import hub_errors
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.remote_file import RemoteFile
from hf_soup.errors import HubError, InputError, SoupError

_WORTH_A_BAR = 8 * 2**20  # a few small files come and go faster than a bar can be read


@dataclass(frozen=True)
class StoredFile:
    """A file as a listing shows it; `path` is relative to the model's folder, with forward slashes."""

    path: str
    size: int
    sha256: str | None = None
    git_sha1: str | None = None


class ModelFolder(ABC):
    """The files beside and including the weights of one model."""

    ref: PinnedRef

    @property
    @abstractmethod
    def files(self) -> dict[str, StoredFile]:
        """Every file below the folder, by path."""

    @abstractmethod
    def fetch(self, paths: Iterable[str]) -> Path:
        """Brings the files to this disk and returns the local folder that holds them."""

    @abstractmethod
    def missing(self, paths: Iterable[str]) -> list[StoredFile]:
        """Those of the files that are not on this disk yet."""

    @abstractmethod
    def read_head(self, path: str, nbytes: int) -> bytes:
        """Returns the first `nbytes` bytes of a file (fewer when it is shorter), without fetching the rest."""

    def local_path(self, path: str) -> Path:
        return self.fetch([path]) / path


class LocalFolder(ModelFolder):
    def __init__(self, ref: PinnedRef) -> None:
        assert ref.path is not None
        self.ref = ref
        self.root = ref.path

    @cached_property
    def files(self) -> dict[str, StoredFile]:
        found = {}
        for path in sorted(self.root.rglob("*")):
            relative = path.relative_to(self.root)
            if path.is_file() and not any(part.startswith(".") for part in relative.parts):
                found[relative.as_posix()] = StoredFile(relative.as_posix(), path.stat().st_size)
        return found

    def fetch(self, paths: Iterable[str]) -> Path:
        return self.root

    def missing(self, paths: Iterable[str]) -> list[StoredFile]:
        return []

    def read_head(self, path: str, nbytes: int) -> bytes:
        with (self.root / path).open("rb") as file:
            return file.read(nbytes)


class HubFolder(ModelFolder):
    """A commit on the Hub, or one subfolder of it. Files come into the ordinary cache of huggingface_hub."""

    def __init__(
        self,
        ref: PinnedRef,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        assert ref.repo_id is not None
        assert ref.revision is not None
        self.ref = ref
        self.token = token
        self.cache_dir = cache_dir
        self.backoff = backoff or Backoff()
        self._remote: dict[str, RemoteFile] = {}
        self._prefix = f"{ref.subfolder}/" if ref.subfolder else ""

    @cached_property
    def files(self) -> dict[str, StoredFile]:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.hf_api import RepoFile

        with hub_errors(self.ref.label):
            try:
                tree = list(
                    HfApi(token=self.token).list_repo_tree(
                        str(self.ref.repo_id), self.ref.subfolder, recursive=True, revision=self.ref.revision
                    )
                )
            except EntryNotFoundError as error:
                raise InputError(f"{self.ref.label}: the repository has no folder '{self.ref.subfolder}'.") from error
        found = {}
        for entry in tree:
            if not isinstance(entry, RepoFile):
                continue
            path = entry.path.removeprefix(self._prefix)
            self._refuse_escape(entry.path)
            sha256 = entry.lfs.sha256 if entry.lfs else None
            found[path] = StoredFile(path, entry.size, sha256, None if sha256 else entry.blob_id)
        return found

    def fetch(self, paths: Iterable[str]) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils import tqdm

        paths = list(paths)
        wanted = [self._prefix + path for path in paths]
        small = sum(file.size for file in self.missing(paths)) < _WORTH_A_BAR

        class Bar(tqdm):  # type: ignore[misc, unused-ignore]
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **({**kwargs, "disable": True} if small else kwargs))

        try:
            with hub_errors(self.ref.label):
                root = snapshot_download(
                    str(self.ref.repo_id),
                    revision=self.ref.revision,
                    allow_patterns=[_escape_glob(path) for path in wanted],
                    token=self.token,
                    cache_dir=self.cache_dir,
                    tqdm_class=Bar,
                )
        except OSError as error:
            raise SoupError(
                f"{self.ref.label}: the local cache cannot be written ({error}); free some space, or choose another "
                "place with cache_dir= or HF_HOME."
            ) from error
        folder = Path(root) / self._prefix
        lost = [path for path in wanted if not (Path(root) / path).is_file()]
        if lost:
            raise HubError(f"{self.ref.label}: {', '.join(lost)} did not arrive from the Hub; run the command again.")
        for path in wanted:
            expected = self.files[path.removeprefix(self._prefix)].size
            if (size := (Path(root) / path).stat().st_size) != expected:
                raise HubError(
                    f"{self.ref.label}: {path} has {size} bytes in the local cache, on the Hub it has {expected}; "
                    "delete the file from the cache and run the command again."
                )
        return folder

    def missing(self, paths: Iterable[str]) -> list[StoredFile]:
        return [self.files[path] for path in paths if self._cached(path) is None]

    def read_head(self, path: str, nbytes: int) -> bytes:
        if (cached := self._cached(path)) is not None:
            with cached.open("rb") as file:
                return file.read(nbytes)
        buffer = bytearray(min(nbytes, self.files[path].size))
        self.remote_file(path).read_into(0, memoryview(buffer))
        return bytes(buffer)

    def remote_file(self, path: str) -> RemoteFile:
        """Returns the file for reading by ranges; the same object every time, so that its location is asked for once."""
        from huggingface_hub import hf_hub_url

        if path not in self._remote:
            made = RemoteFile(
                hf_hub_url(str(self.ref.repo_id), self._prefix + path, revision=self.ref.revision),
                size=self.files[path].size,
                where=f"{path} of {self.ref.label}",
                token=self.token,
                backoff=self.backoff,
            )
            self._remote.setdefault(path, made)  # two threads may ask for it at once
        return self._remote[path]

    def _cached(self, path: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(
            str(self.ref.repo_id), self._prefix + path, cache_dir=self.cache_dir, revision=self.ref.revision
        )
        return Path(found) if isinstance(found, str) else None

    def _refuse_escape(self, path: str) -> None:
        if "\\" in path or path.startswith("/") or path[1:2] == ":" or ".." in PurePosixPath(path).parts:
            raise InputError(
                f"{self.ref.label}: the repository lists a file '{path}' whose name leads out of its folder; "
                "nothing was downloaded. Do not use this repository."
            )


def _escape_glob(path: str) -> str:
    """The Hub's client matches with fnmatch; a bracketed character stands for itself."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in path)
