"""Which files of a folder hold the weights, so that only those are downloaded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hf_soup.checkpoints.folder import ModelFolder
from hf_soup.errors import InputError

SAFETENSORS_INDEX = "model.safetensors.index.json"
PICKLE_INDEX = "pytorch_model.bin.index.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class WeightFiles:
    """`paths` in the order of the index; `weight_map` (tensor → file) only where an index exists."""

    format: str  # "safetensors" or "pickle"
    paths: tuple[str, ...]
    weight_map: dict[str, str] | None = None


def find_weights(folder: ModelFolder) -> WeightFiles:
    """Chooses as transformers does: one safetensors file, its shards, a pickle, its shards.

    Raises InputError when there are none, when an index names a missing shard or a path outside the folder.
    """
    files = folder.files
    if "model.safetensors" in files:
        return WeightFiles("safetensors", ("model.safetensors",))
    if SAFETENSORS_INDEX in files:
        return _sharded(folder, SAFETENSORS_INDEX, "safetensors")
    if "pytorch_model.bin" in files:
        return WeightFiles("pickle", ("pytorch_model.bin",))
    if PICKLE_INDEX in files:
        return _sharded(folder, PICKLE_INDEX, "pickle")
    others = [p for p in files if p.endswith(".safetensors") and "/" not in p and p not in _ADAPTER_WEIGHTS]
    if len(others) == 1:
        return WeightFiles("safetensors", (others[0],))
    raise InputError(_no_weights(folder, others))


def _no_weights(folder: ModelFolder, others: list[str]) -> str:
    label, files = folder.ref.label, folder.files
    if not files or set(files) <= {".gitattributes", "README.md"}:
        return f"{label}: is empty, it holds no model."
    if any(name in files for name in _ADAPTER_WEIGHTS):
        return (
            f"{label}: has the weights of an adapter and no adapter_config.json, which says how they are scaled and for "
            "which base they are; ask for the adapter as PEFT saves it."
        )
    if others:
        return f"{label}: has several safetensors files and no {SAFETENSORS_INDEX}: {', '.join(others)}."
    below = sorted(
        {path.rsplit("/", 1)[0] for path in files if "/" in path and path.endswith((".safetensors", ".bin"))}
    )
    hint = f" There are some below: {', '.join(f'{folder.ref.name}:{name}' for name in below[:5])}." if below else ""
    return f"{label}: has no model.safetensors and no pytorch_model.bin.{hint}"


def _sharded(folder: ModelFolder, index_path: str, format: str) -> WeightFiles:
    where = f"{index_path} of {folder.ref.label}"
    index = _read_json(folder, index_path)
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise InputError(f"{where}: has no 'weight_map' of tensor names to file names.")
    shards = tuple(dict.fromkeys(weight_map.values()))
    problems = []
    for shard in shards:
        if "/" in shard or "\\" in shard or shard.startswith("."):
            problems.append(f"{where}: names the shard '{shard}', which is not a file of that folder.")
        elif shard not in folder.files:
            problems.append(f"{where}: names the shard '{shard}', which is missing; download or upload it again.")
    if problems:
        raise InputError(problems)
    return WeightFiles(format, shards, weight_map)


def _read_json(folder: ModelFolder, path: str) -> Any:
    try:
        return json.loads(folder.local_path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} of {folder.ref.label}: is not JSON ({error}).") from error


def read_config(folder: ModelFolder) -> dict[str, Any]:
    """Returns the parsed config.json, {} when there is none. Raises InputError when it is not a JSON object."""
    if "config.json" not in folder.files:
        return {}
    config = _read_json(folder, "config.json")
    if not isinstance(config, dict):
        raise InputError(f"config.json of {folder.ref.label}: is not a JSON object.")
    return config
