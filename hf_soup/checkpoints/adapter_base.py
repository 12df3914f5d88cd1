"""From an adapter to its base: found as adapter_config.json names it, pinned, and opened once for all adapters of a soup."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path

from hf_soup.checkpoints.adapter_checkpoint import AdapterCheckpoint
from hf_soup.checkpoints.folder import HubFolder, LocalFolder, ModelFolder
from hf_soup.checkpoints.lora_adapter import LoraAdapter, is_adapter
from hf_soup.checkpoints.pickle_checkpoint import PickleCheckpoint
from hf_soup.checkpoints.reference import ModelRef, PinnedRef
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.resolve import resolve
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.checkpoints.weight_files import find_weights
from hf_soup.errors import InputError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?")


class AdapterBases:
    """The bases of several adapters; those of equal weights are one object, which reads its headers once.

    `given`: the base of every adapter, whatever they name, except where a reference names another one. `stream`: bases on the
    Hub are read over the network. May be asked from several threads.
    """

    def __init__(
        self,
        given: StoredCheckpoint | None = None,
        *,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        stream: bool = False,
    ) -> None:
        self._given = given
        self._stream = stream
        self._token = token
        self._cache_dir = cache_dir
        self._opened: dict[ModelRef | PinnedRef, StoredCheckpoint] = {}
        self._known = [] if given is None else [given.base if isinstance(given, AdapterCheckpoint) else given]
        self._lock = threading.Lock()

    def of(self, adapter: LoraAdapter, named: PinnedRef | None = None) -> StoredCheckpoint:
        """Returns the base; `named`: the one that the user's reference to this adapter names.

        Raises InputError when the adapter names none, or one that cannot be opened.
        """
        if named is None and isinstance(self._given, AdapterCheckpoint):
            raise InputError(
                f"{adapter.label}: does not say whether it belongs on {self._given.base.label} or on {self._given.label}; write the "
                "former before it with a +, or merge the latter first and name the result."
            )
        if named is None and self._given is not None:
            return self._given
        ref = named or base_reference(adapter)
        with self._lock:
            if ref not in self._opened:
                self._opened[ref] = self._first_of_equals(self._open(ref, adapter))
            return self._opened[ref]

    def _open(self, ref: ModelRef | PinnedRef, adapter: LoraAdapter) -> StoredCheckpoint:
        own = isinstance(ref, PinnedRef)
        advice = "Name another model before the +." if own else "Another copy can be named with base=."
        try:
            pinned = (
                ref if isinstance(ref, PinnedRef) else resolve(ref, token=self._token, cache_dir=self._cache_dir)[0]
            )
            folder = _folder(pinned, self._token, self._cache_dir)
            if is_adapter(folder):
                raise InputError(f"{folder.ref.label}: is an adapter itself.")
            weights = find_weights(folder)
            if self._stream and isinstance(folder, HubFolder):
                return RemoteCheckpoint(folder, weights)
            return (SafetensorsCheckpoint if weights.format == "safetensors" else PickleCheckpoint)(folder, weights)
        except InputError as error:
            raise InputError(
                [f"The base of {adapter.label}: {problem} {advice}" for problem in error.problems]
            ) from error

    def _first_of_equals(self, base: StoredCheckpoint) -> StoredCheckpoint:
        """The fingerprints of repositories are digests of their files; those of folders are samples and need a closer look."""
        for other in (*self._known, *self._opened.values()):
            if other.ref is not None and base.ref is not None and _is_same_place(other.ref, base.ref):
                return other
            if other.config == base.config and other.fingerprint == base.fingerprint and _same_files(other, base):
                return other
        return base


def base_reference(adapter: LoraAdapter) -> ModelRef:
    """Returns what adapter_config.json names as the base, with its revision.

    A path of somebody else's machine means nothing here: a repository's adapter can only name a repository. Raises InputError.
    """
    name, revision = adapter.base_ref
    advice = "name the base with base= (on the command line --base)"
    if name is None:
        raise InputError(f"{adapter.label}: its adapter_config.json does not name a base; {advice}.")
    is_id = _HUB_ID.fullmatch(name) is not None
    if adapter.folder.ref.path is None:
        if not is_id:
            raise InputError(
                f"{adapter.label}: names '{name}' as its base, a folder on its author's machine; {advice}."
            )
        return ModelRef(name, repo_id=name, revision=revision)
    if Path(name).is_dir():
        return ModelRef(name, path=Path(name).resolve())
    if not is_id:
        raise InputError(f"{adapter.label}: its base '{name}' is a folder that does not exist here; {advice}.")
    return ModelRef(name, repo_id=name, revision=revision)


def _folder(ref: PinnedRef, token: str | bool | None, cache_dir: str | Path | None) -> ModelFolder:
    return LocalFolder(ref) if ref.path is not None else HubFolder(ref, token, cache_dir)


def _is_same_place(one: PinnedRef, other: PinnedRef) -> bool:
    return replace(one, requested="") == replace(other, requested="")


def _same_files(one: StoredCheckpoint, other: StoredCheckpoint) -> bool:
    import torch

    if one.ref is not None and one.ref.path is None:
        return True
    return one.names() == other.names() and all(torch.equal(one.read(name), other.read(name)) for name in one.names())
