"""From an adapter to its base: found as adapter_config.json names it, pinned, and opened once for all adapters of a soup."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hf_soup.checkpoints.adapter_checkpoint import AdapterCheckpoint
from hf_soup.checkpoints.folder import HubFolder, LocalFolder, ModelFolder
from hf_soup.checkpoints.lora_adapter import LoraAdapter, is_adapter
from hf_soup.checkpoints.open_weights import open_weights
from hf_soup.checkpoints.reference import ModelRef, PinnedRef, is_hub_id
from hf_soup.checkpoints.resolve import resolve
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.same_weights import same_model
from hf_soup.errors import InputError


class AdapterBases:
    """The bases of several adapters; what lies in one place is one object, which reads its headers once.

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
                self._opened[ref] = self._first_there(self._open(ref, adapter))
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
            return open_weights(folder, stream=self._stream)
        except InputError as error:
            raise InputError(
                [f"The base of {adapter.label}: {problem} {advice}" for problem in error.problems]
            ) from error

    def _first_there(self, base: StoredCheckpoint) -> StoredCheckpoint:
        """The object that was opened first for the place of this one."""
        for other in (*self._known, *self._opened.values()):
            if other.ref is not None and base.ref is not None and _is_same_place(other.ref, base.ref):
                return other
        return base


def with_common_bases(
    models: Sequence[StoredCheckpoint], given: StoredCheckpoint | None = None
) -> list[StoredCheckpoint]:
    """Returns the models, of which adapters have one base object where theirs are the same model in several places.

    That is the `given` base; else the first on the Hub, where anybody finds it; else the first. See `same_model`: no weights are
    downloaded for it.
    """
    bases = list(dict.fromkeys(model.base for model in models if isinstance(model, AdapterCheckpoint)))
    chosen: dict[StoredCheckpoint, StoredCheckpoint] = {} if given is None else {given: given}
    for base in sorted(bases, key=lambda base: base.folder.ref.path is not None):
        if base not in chosen:
            kept = dict.fromkeys(chosen.values())
            chosen[base] = next((one for one in kept if same_model(one.folder, base.folder)), base)
    return [_over(chosen[model.base], model) if isinstance(model, AdapterCheckpoint) else model for model in models]


def _over(base: StoredCheckpoint, model: AdapterCheckpoint) -> AdapterCheckpoint:
    return model if base is model.base else AdapterCheckpoint(model.adapter, base, label=model.label)


def base_reference(adapter: LoraAdapter) -> ModelRef:
    """Returns what adapter_config.json names as the base, with its revision.

    A path of somebody else's machine means nothing here: a repository's adapter can only name a repository. Raises InputError.
    """
    name, revision = adapter.base_ref
    advice = "name the base with base= (on the command line --base)"
    if name is None:
        raise InputError(f"{adapter.label}: its adapter_config.json does not name a base; {advice}.")
    is_id = is_hub_id(name)
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
