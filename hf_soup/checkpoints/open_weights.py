"""From a folder to the full weights in it."""

from __future__ import annotations

from hf_soup.checkpoints.folder import HubFolder, ModelFolder
from hf_soup.checkpoints.pickle_checkpoint import PickleCheckpoint
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.checkpoints.weight_files import find_weights


def open_weights(folder: ModelFolder, *, stream: bool = False) -> StoredCheckpoint:
    """Opens the weights of a full model. `stream`: those of a repository are read over the network.

    Raises InputError for a folder without weights and for a header that is corrupt.
    """
    weights = find_weights(folder)
    if stream and isinstance(folder, HubFolder):
        return RemoteCheckpoint(folder, weights)
    return (PickleCheckpoint if weights.format == "pickle" else SafetensorsCheckpoint)(folder, weights)
