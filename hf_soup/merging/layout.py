"""Where every tensor of the result will lie, known before any of them is computed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_soup.checkpoints import TensorInfo
from hf_soup.checkpoints.dtypes import ITEM_SIZE

INDEX_NAME = "model.safetensors.index.json"


@dataclass(frozen=True)
class OutputFile:
    """A safetensors file: its whole header, and each tensor's offset from the beginning of the file."""

    name: str
    nbytes: int
    header: bytes
    offsets: dict[str, int]


@dataclass(frozen=True)
class Layout:
    files: tuple[OutputFile, ...]
    index: bytes | None
    """The content of the index; None for a single file."""

    @property
    def nbytes(self) -> int:
        return sum(file.nbytes for file in self.files)


def lay_out(tensors: Sequence[TensorInfo], shard_bytes: int) -> Layout:
    """Distributes tensors over shards of at most `shard_bytes` (a larger tensor gets a shard of its own).

    Tensors go in natural order of their names (layer 2 before layer 10), so the result does not depend on the inputs'
    sharding. Inside a file wide dtypes come first, which keeps every tensor aligned.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    ordered = {info.name: info for info in sorted(tensors, key=lambda info: _natural(info.name))}
    split = split_state_dict_into_shards_factory(
        ordered,
        get_storage_size=lambda info: info.nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    files = tuple(_file(name, [ordered[t] for t in names]) for name, names in split.filename_to_tensors.items())
    if not split.is_sharded:
        return Layout(files, None)
    index = {
        "metadata": {"total_size": sum(info.nbytes for info in tensors)},
        "weight_map": {name: split.tensor_to_filename[name] for name in sorted(split.tensor_to_filename)},
    }
    return Layout(files, (json.dumps(index, indent=2) + "\n").encode())


def _file(name: str, tensors: list[TensorInfo]) -> OutputFile:
    tensors = sorted(tensors, key=lambda info: (-ITEM_SIZE[info.dtype], _natural(info.name)))
    # transformers before 5.23 refuses a file that does not say its format.
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    starts = {}
    for info in tensors:
        starts[info.name] = position
        end = position + info.nbytes
        entries[info.name] = {"dtype": info.dtype, "shape": list(info.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    offsets = {tensor: len(header) + start for tensor, start in starts.items()}
    return OutputFile(name, len(header) + position, header, offsets)


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]
