"""From a pinned reference to a checkpoint: headers are read and checked, weights are not."""

from __future__ import annotations

from pathlib import Path

from hf_soup.checkpoints.folder import HubFolder, LocalFolder, ModelFolder
from hf_soup.checkpoints.pickle_checkpoint import PickleCheckpoint
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.resolve import resolve
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.checkpoints.weight_files import find_weights
from hf_soup.errors import InputError


def open_checkpoint(
    ref: str | Path | PinnedRef,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    stream: bool = False,
) -> StoredCheckpoint:
    """Opens one model for reading. `token` and `cache_dir` mean what they mean in huggingface_hub.

    `stream`: read a Hub model's weights over the network, none of them comes to this disk; its weights must then be
    safetensors. A folder on this machine is read as ever.

    Raises InputError for a folder without weights, a corrupt header, an index that does not fit; HubError when the Hub
    fails. A pickle has no header: its weights are downloaded when its names are first asked for.
    """
    folder = open_folder(ref, token=token, cache_dir=cache_dir)
    weights = find_weights(folder)
    if stream and isinstance(folder, HubFolder):
        return RemoteCheckpoint(folder, weights)
    kind = SafetensorsCheckpoint if weights.format == "safetensors" else PickleCheckpoint
    return kind(folder, weights)


def open_folder(
    ref: str | Path | PinnedRef, *, token: str | bool | None = None, cache_dir: str | Path | None = None
) -> ModelFolder:
    """Opens the files of a model without looking at its weights."""
    if not isinstance(ref, PinnedRef):
        pinned = resolve(ref, token=token, cache_dir=cache_dir)
        if len(pinned) != 1:
            raise InputError(f"'{ref}' names {len(pinned)} models, one is needed here.")
        ref = pinned[0]
    if ref.path is not None:
        return LocalFolder(ref)
    return HubFolder(ref, token, cache_dir)
