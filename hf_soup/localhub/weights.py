"""Headers of safetensors files, and the number of parameters that they tell of."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from hf_soup.localhub.content import content_of
from hf_soup.localhub.repository import Entry, Files, Repository
from hf_soup.localhub.xet import XetStore

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MAX_HEADER = 100_000_000  # bytes, the limit of the format

Header = dict[str, Any]


def header_of(repo: Repository, entry: Entry, xet: XetStore | None) -> Header:
    """The JSON header; ValueError where the file is not safetensors."""
    content = content_of(repo, entry, xet)
    start = content.read(0, 8)
    if len(start) < 8:
        raise ValueError("shorter than a safetensors header")
    (length,) = struct.unpack("<Q", start)
    if length > min(_MAX_HEADER, content.size - 8):
        raise ValueError("header longer than the file")
    header = json.loads(content.read(8, 8 + length))
    if not isinstance(header, dict):
        raise ValueError("header is not an object")
    return header


def index_of(repo: Repository, entry: Entry, xet: XetStore | None) -> dict[str, Any]:
    content = content_of(repo, entry, xet)
    index = json.loads(content.read(0, content.size))
    if not isinstance(index, dict) or not isinstance(index.get("weight_map"), dict):
        raise ValueError("no weight_map")
    return index


def shards_of(index: dict[str, Any], folder: str, files: Files) -> dict[str, Entry]:
    """The files that an index names, by the name in the index; ValueError where one is missing."""
    names = sorted(set(index["weight_map"].values()))
    if missing := [name for name in names if folder + name not in files]:
        raise ValueError(f"missing shards: {', '.join(missing)}")
    return {name: files[folder + name] for name in names}


def parameter_counts(repo: Repository, files: Files, xet: XetStore | None) -> dict[str, int] | None:
    """Parameters by dtype of the repository's model; None where there is none or it is broken."""
    try:
        if SINGLE in files:
            headers = [header_of(repo, files[SINGLE], xet)]
        elif INDEX in files:
            shards = shards_of(index_of(repo, files[INDEX], xet), "", files)
            headers = [header_of(repo, entry, xet) for entry in shards.values()]
        else:
            return None
        counts: dict[str, int] = {}
        for header in headers:
            for name, tensor in header.items():
                if name != "__metadata__":
                    counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + math.prod(tensor["shape"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return counts
