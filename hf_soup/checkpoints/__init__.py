"""READ: a reference (Hub ID@revision:subfolder, or a folder) becomes the tensors of one model.

In: what the user wrote. Out: `Checkpoint`s, pinned to a commit, that name their tensors and read them, whole or in spans.
Headers are read first, by a range request of a few KB for the Hub; weights are brought to this disk only by `fetch()`.
A LoRA adapter is a checkpoint too: its base, with W + s·B·A computed where it is read (`AdapterCheckpoint`).
A checkpoint opened with `stream=True` never brings them: it reads them over the network, in order (`SpanStream`).
May import: `hf_soup.errors`. Importing this room does not import torch.
"""

from hf_soup.checkpoints.adapter_base import AdapterBases
from hf_soup.checkpoints.adapter_checkpoint import AdapterCheckpoint
from hf_soup.checkpoints.checkpoint import Checkpoint, TensorInfo
from hf_soup.checkpoints.open import open_checkpoint, open_folder
from hf_soup.checkpoints.reference import ModelRef, PinnedRef
from hf_soup.checkpoints.remote_checkpoint import RemoteCheckpoint
from hf_soup.checkpoints.resolve import resolve
from hf_soup.checkpoints.span_stream import SpanStream

__all__ = [
    "AdapterBases",
    "AdapterCheckpoint",
    "Checkpoint",
    "ModelRef",
    "PinnedRef",
    "RemoteCheckpoint",
    "SpanStream",
    "TensorInfo",
    "open_checkpoint",
    "open_folder",
    "resolve",
]
