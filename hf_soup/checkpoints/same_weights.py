"""Whether two folders hold the same weights, or the same model, without a download: by digests where the Hub lists them, else by content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_soup.checkpoints.folder import LocalFolder, ModelFolder, StoredFile
from hf_soup.checkpoints.open_weights import open_weights
from hf_soup.checkpoints.weight_files import find_weights, read_config

_CHUNK = 2**20
_OF_THE_FILE = {"_commit_hash", "_name_or_path", "dtype", "torch_dtype", "transformers_version"}
"""Fields of config.json that say who saved it and how; the dtype is that of the tensors, which are compared."""


def same_model(one: ModelFolder, other: ModelFolder) -> bool:
    """Returns whether the weights are known to be the same, and config.json says the same of what they compute."""
    return _settings(one) == _settings(other) and same_weights(one, other)


def same_weights(one: ModelFolder, other: ModelFolder) -> bool:
    """Returns whether the weights are known to be the same.

    Two local folders: tensor by tensor, however they are split into files. Where one is on the Hub: file by file, whatever
    their names, by the Hub's digests, which are computed of local files of the same sizes. Raises InputError for a folder
    without weights, HubError when the Hub fails.
    """
    if isinstance(one, LocalFolder) and isinstance(other, LocalFolder):
        return one.root == other.root or _same_tensors(one, other)
    ours, theirs = _weight_files(one), _weight_files(other)
    if [file.size for file in ours] != [file.size for file in theirs]:
        return False
    return sorted(_digests(one, ours, theirs)) == sorted(_digests(other, theirs, ours))


def _settings(folder: ModelFolder) -> dict[str, Any]:
    return {name: value for name, value in read_config(folder).items() if name not in _OF_THE_FILE}


def _weight_files(folder: ModelFolder) -> list[StoredFile]:
    return sorted((folder.files[path] for path in find_weights(folder).paths), key=lambda file: (file.size, file.path))


def _digests(folder: ModelFolder, files: Sequence[StoredFile], others: Sequence[StoredFile]) -> list[str]:
    """SHA-256, or for a small file outside LFS git's SHA-1, of which the Hub lists one; a local file gets the kind of the other."""
    found = []
    for file, other in zip(files, others, strict=True):
        if isinstance(folder, LocalFolder):
            path = folder.root / file.path
            found.append(_file_digest(path, "sha256") if other.sha256 else _file_digest(path, "sha1", git=True))
        else:
            found.append(str(file.sha256 or file.git_sha1))
    return found


def _file_digest(path: Path, kind: str, git: bool = False) -> str:
    digest = hashlib.new(kind, f"blob {path.stat().st_size}\0".encode() if git else b"", usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _same_tensors(one: LocalFolder, other: LocalFolder) -> bool:
    import torch

    ours, theirs = open_weights(one), open_weights(other)
    if ours.names() != theirs.names() or any(ours.info(name) != theirs.info(name) for name in ours.names()):
        return False
    return all(torch.equal(ours.read(name), theirs.read(name)) for name in ours.names())
