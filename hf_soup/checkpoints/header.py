"""The header of a safetensors file: 8 bytes of length, then JSON, then the data without holes.

Format: https://github.com/huggingface/safetensors#format. A header that breaks a rule is refused with the rule's name.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from hf_soup.checkpoints.checkpoint import TensorInfo
from hf_soup.checkpoints.dtypes import FLOAT8, ITEM_SIZE
from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.errors import InputError

MAX_HEADER_BYTES = 100_000_000  # the limit of the reference implementation
FIRST_READ_BYTES = 65_536  # enough for most headers, in one request
_SMALL_FILE_BYTES = 32_000_000  # where a second request for the header would weigh as much as one for the weights


@dataclass(frozen=True)
class Header:
    """Tensors of one file with the absolute offset of each one's first byte."""

    path: str
    tensors: dict[str, TensorInfo]
    offsets: dict[str, int]
    metadata: dict[str, str]


def read_header(folder: ModelFolder, path: str) -> Header:
    """Reads and checks the header of a file, locally or by one or two range requests. Raises InputError."""
    where = f"{path} of {folder.ref.label}"
    size = folder.files[path].size
    head = folder.read_head(path, FIRST_READ_BYTES if size > _SMALL_FILE_BYTES else 4 * FIRST_READ_BYTES)
    if len(head) < 8:
        raise InputError(f"{where}: has {size} bytes and is no safetensors file; download or save it again.")
    length = int.from_bytes(head[:8], "little")
    if length > MAX_HEADER_BYTES or 8 + length > size:
        raise InputError(
            f"{where}: says its header has {length:,} bytes, but the file has {size:,}; it is corrupt or truncated."
        )
    if len(head) < 8 + length:
        head = folder.read_head(path, 8 + length)
    return parse_header(head[8 : 8 + length], path=path, where=where, file_bytes=size)


def parse_header(raw: bytes, *, path: str, where: str, file_bytes: int) -> Header:
    """Checks every rule of the format. `file_bytes`: size of the whole file. Raises InputError with `where`."""
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: the safetensors header is not JSON ({error}); the file is corrupt.") from error
    if not isinstance(entries, dict):
        raise InputError(f"{where}: the safetensors header is not a JSON object; the file is corrupt.")
    metadata = entries.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict):
        raise InputError(f"{where}: the header's __metadata__ is not a JSON object; the file is corrupt.")
    data_start = 8 + len(raw)
    spans: list[tuple[int, int, TensorInfo]] = []
    for name, entry in entries.items():
        info, begin, end = _parse_entry(name, entry, where)
        spans.append((begin, end, info))
    spans.sort(key=lambda span: (span[0], span[1]))
    expected = 0
    for begin, end, info in spans:
        if begin != expected:
            problem = "overlaps the tensor before it" if begin < expected else "leaves a hole before it"
            raise InputError(f"{where}: tensor '{info.name}' {problem}; the file is corrupt.")
        expected = end
    if data_start + expected != file_bytes:
        raise InputError(
            f"{where}: the header describes {expected:,} bytes of data, the file holds {file_bytes - data_start:,}; "
            "it is truncated or corrupt, download it again."
        )
    return Header(
        path=path,
        tensors={info.name: info for _, _, info in spans},
        offsets={info.name: data_start + begin for begin, _, info in spans},
        metadata={str(key): str(value) for key, value in metadata.items()},
    )


def _parse_entry(name: str, entry: Any, where: str) -> tuple[TensorInfo, int, int]:
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{where}: the entry of tensor '{name}' lacks dtype, shape or data_offsets.") from error
    if not isinstance(dtype, str):
        raise InputError(f"{where}: tensor '{name}' has dtype {dtype!r}, which the format does not know.")
    if dtype in FLOAT8 and dtype not in ITEM_SIZE:
        raise InputError(f"{where}: tensor '{name}' is quantised ({dtype}); use the checkpoint in 16 or 32 bits.")
    if dtype not in ITEM_SIZE:
        raise InputError(f"{where}: tensor '{name}' has dtype {dtype!r}, which the format does not know.")
    numbers = (*shape, begin, end)
    if not all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers):
        raise InputError(f"{where}: tensor '{name}' has a shape or offsets that are no counts: {list(numbers)}.")
    if any(number >= 2**63 for number in shape):
        raise InputError(f"{where}: tensor '{name}' has a shape that no machine can hold: {list(shape)}.")
    nbytes = math.prod(shape) * ITEM_SIZE[dtype]
    if end - begin != nbytes:
        raise InputError(
            f"{where}: tensor '{name}' is {dtype} {list(shape)} and needs {nbytes:,} bytes, its offsets span "
            f"{end - begin:,}; the file is corrupt."
        )
    return TensorInfo(name, dtype, shape), begin, end
