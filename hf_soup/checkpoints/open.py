"""From a pinned reference to a checkpoint: headers are read and checked, weights are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hf_soup.checkpoints.adapter_base import AdapterBases
from hf_soup.checkpoints.adapter_checkpoint import AdapterCheckpoint
from hf_soup.checkpoints.folder import HubFolder, LocalFolder, ModelFolder
from hf_soup.checkpoints.lora_adapter import LoraAdapter, foreign_format, is_adapter
from hf_soup.checkpoints.open_weights import open_weights
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.resolve import resolve
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.errors import InputError


def open_checkpoint(
    ref: str | Path | PinnedRef,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    stream: bool = False,
    bases: AdapterBases | None = None,
) -> StoredCheckpoint:
    """Opens one model for reading. `token` and `cache_dir` mean what they mean in huggingface_hub.

    A LoRA adapter is opened over its base (`AdapterCheckpoint`), which the reference names or else adapter_config.json; `bases`:
    where adapters that are opened together find theirs. `stream`: read a Hub model's weights over the network, none of them
    comes to this disk; they must then be safetensors. Of an adapter that holds for its base (see `bases`, where it is given),
    its own files are downloaded. A folder on this machine is read as ever.

    Raises InputError for a folder without weights, a corrupt header, an index that does not fit, an adapter that does not fit
    its base, a full model that the reference names with a base; HubError when the Hub fails. A pickle has no header: its weights
    are downloaded when its names are first asked for.
    """
    pinned = _pinned(ref, token, cache_dir)
    named = pinned.base
    folder = open_folder(replace(pinned, base=None), token=token, cache_dir=cache_dir)
    if is_adapter(folder):
        adapter = LoraAdapter(folder)
        base = (bases or AdapterBases(token=token, cache_dir=cache_dir, stream=stream)).of(adapter, named)
        return AdapterCheckpoint(adapter, base, label=f"{base.label}+{adapter.label}" if named is not None else None)
    checkpoint = open_weights(folder, stream=stream)
    if named is not None:
        raise InputError(
            f"{folder.ref.label}: is a full model, not a LoRA adapter, and cannot be added to {named.label}; name it by itself."
        )
    if isinstance(checkpoint, SafetensorsCheckpoint):
        foreign = foreign_format(checkpoint.names(), checkpoint.label)
        if foreign is not None:
            raise InputError(foreign)
    return checkpoint


def open_folder(
    ref: str | Path | PinnedRef, *, token: str | bool | None = None, cache_dir: str | Path | None = None
) -> ModelFolder:
    """Opens the files of a model without looking at its weights."""
    pinned = _pinned(ref, token, cache_dir)
    return LocalFolder(pinned) if pinned.path is not None else HubFolder(pinned, token, cache_dir)


def _pinned(ref: str | Path | PinnedRef, token: str | bool | None, cache_dir: str | Path | None) -> PinnedRef:
    if isinstance(ref, PinnedRef):
        return ref
    pinned = resolve(ref, token=token, cache_dir=cache_dir)
    if len(pinned) != 1:
        raise InputError(f"'{ref}' names {len(pinned)} models, one is needed here.")
    return pinned[0]
