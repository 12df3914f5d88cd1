"""A LoRA adapter as PEFT saves it: which tensors it updates by factors, and which it replaces.

    adapter = open_adapter("me/adapter")              # or a folder, me/repo@v1, me/repo:adapter_name
    adapter.config                                     # LoraConfig: rank, alpha, patterns, base; .raw is the file
    adapter.base_ref                                   # (name, revision) as adapter_config.json says; name may be None
    adapter.updates                                    # {tensor: LoraUpdate}, e.g. {"encoder.0.query.weight": …}
    adapter.replaced                                   # {tensor: name in the adapter's file}, full tensors
    a, b = adapter.factors(adapter.updates[name])      # float32, [r, n] and [m, r]; read when asked for, not kept

The keys of `updates` and `replaced` are named as the adapted model names its tensors in memory: the file's names without
`base_model.model.` and `.base_layer.`. For most models those are the names in the base's files; where they are not,
`hf_soup.checkpoints.adapter_fit` says which is which. In the orientation of PEFT, [out, in], an update adds
`scale * b @ a`; see `LoraUpdate.kind` for embeddings and convolutions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints.checkpoint import TensorInfo
from hf_soup.checkpoints.dtypes import FLOATING
from hf_soup.checkpoints.folder import HubFolder, LocalFolder, ModelFolder
from hf_soup.checkpoints.lora_config import ADAPTER_CONFIG, LoraConfig, read_lora_config
from hf_soup.checkpoints.pickle_checkpoint import PickleCheckpoint
from hf_soup.checkpoints.reference import PinnedRef
from hf_soup.checkpoints.resolve import resolve
from hf_soup.checkpoints.safetensors_checkpoint import SafetensorsCheckpoint, StoredCheckpoint
from hf_soup.checkpoints.weight_files import WeightFiles
from hf_soup.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB]|lora_magnitude_vector)(?:\.(?P<leaf>weight|bias))?"
)
_FOREIGN = {
    "lora_down": "the format of kohya's scripts (lora_down, lora_up)",
    ".lora.down": "an old format of diffusers (lora.down, lora.up)",
    "_lora.down": "an old format of diffusers (lora.down, lora.up)",
    "hada_w1": "the LoHa format of LyCORIS (hada_w1)",
    "lokr_w1": "the LoKr format of LyCORIS (lokr_w1)",
    "lora_A": "the format of PEFT without its adapter_config.json (lora_A, lora_B)",
}


class UpdateKind(StrEnum):
    """How the factors make the update of a tensor."""

    LINEAR = "linear"
    """[out, in]: scale · B·A, with A [r, in] and B [out, r]. A Conv1D of GPT-2 is stored as [in, out]: transposed there."""
    EMBEDDING = "embedding"
    """[tokens, width]: scale · (B·A)ᵀ, with A [r, tokens] and B [width, r]."""
    CONV = "conv"
    """[out, in, …]: scale · B·A over flattened kernels, with A [r, in, …] and B [out, r, 1, …]."""
    BIAS = "bias"
    """[out]: scale · b, the bias of lora_B (lora_bias=True); there is no A."""


@dataclass(frozen=True)
class LoraUpdate:
    """The update of one tensor. `a`, `b`, `magnitude`: names in the adapter's file; `a` is None for a bias.

    `shape`: of the tensor as PEFT sees it, [out, in] (of a Conv1D too), [tokens, width] or [out, in, …]. `magnitude`: of
    DoRA, which also scales every output of W + ΔW to this length; such an update is not of low rank.
    """

    module: str
    kind: UpdateKind
    scale: float
    rank: int
    shape: tuple[int, ...]
    a: str | None
    b: str
    magnitude: str | None = None


class LoraAdapter:
    """Raises InputError, with every problem, when its config and its tensors contradict each other."""

    def __init__(self, folder: ModelFolder) -> None:
        self.folder = folder
        self.label = folder.ref.label
        self.config: LoraConfig = read_lora_config(folder)
        self.tensors: StoredCheckpoint = _open_tensors(folder)
        """The tensors in the adapter's file, by their names there."""
        self.updates: dict[str, LoraUpdate] = {}
        self.replaced: dict[str, str] = {}
        problems = self._sort_out()
        if not problems and not self.updates and not self.replaced:
            problems = [f"{self.label}: holds no tensors, it adapts nothing."]
        if problems:
            raise InputError(problems)

    @property
    def base_ref(self) -> tuple[str | None, str | None]:
        """(name, revision) of the base, as adapter_config.json gives them; both may be None."""
        return self.config.base_name, self.config.base_revision

    @property
    def is_low_rank(self) -> bool:
        """Whether all updates are: not with DoRA."""
        return not any(update.magnitude for update in self.updates.values())

    def factors(self, update: LoraUpdate) -> tuple[Tensor, Tensor]:
        """Returns A [r, n] and B [m, r] in float32, kernels flattened. Raises ValueError for a bias, see `bias`."""
        if update.a is None:
            raise ValueError(f"the update of the bias of '{update.module}' has no factors")
        a, b = self.tensors.read(update.a).float(), self.tensors.read(update.b).float()
        return a.flatten(1), b.flatten(1)

    def bias(self, update: LoraUpdate) -> Tensor:
        """Returns what is to be added to a bias, before it is scaled: [m], float32."""
        return self.tensors.read(update.b).float()

    def magnitude(self, update: LoraUpdate) -> Tensor | None:
        """Returns the lengths of DoRA, [m], float32; None for a plain LoRA."""
        return self.tensors.read(update.magnitude).float().flatten() if update.magnitude else None

    def _sort_out(self) -> list[str]:
        """Fills `updates` and `replaced` from the names in the file; returns what does not fit together."""
        parts: dict[str, dict[str, TensorInfo]] = {}
        problems = []
        for stored in self.tensors.names():
            info = self.tensors.info(stored)
            name = stored.removeprefix(_PREFIX)
            if info.dtype not in FLOATING:
                problems.append(f"{self.label}: tensor '{stored}' is {info.dtype}, not a floating-point number.")
            elif match := _FACTOR.fullmatch(name):
                leaf = ".bias" if match["leaf"] == "bias" else ""
                parts.setdefault(match["module"], {})[match["part"] + leaf] = info
            elif ".lora_" in name or any(sign in name for sign in ("lora_down", "lora_up", ".lora.")):
                foreign = None if ".lora_A" in name or ".lora_B" in name else foreign_format([stored], self.label)
                problems.append(foreign or f"{self.label}: has '{stored}', a name that PEFT does not give a tensor.")
            else:
                self.replaced[name.replace(".base_layer.", ".")] = stored
        for module, found in parts.items():
            problems += self._add_module(module, found)
        return problems

    def _add_module(self, module: str, parts: dict[str, TensorInfo]) -> Iterator[str]:
        where = f"{self.label}: module '{module}'"
        embedding = "lora_embedding_A" in parts or "lora_embedding_B" in parts
        names = ("lora_embedding_A", "lora_embedding_B") if embedding else ("lora_A", "lora_B")
        missing = [name for name in names if name not in parts]
        if missing:
            yield f"{where} has no {missing[0]}; the file is not complete."
            return
        a, b = (parts[name] for name in names)
        rank = self.config.rank_of(module)
        if len(a.shape) < 2 or len(b.shape) != len(a.shape) or a.shape[0] != b.shape[1]:
            yield f"{where} has lora_A {list(a.shape)} and lora_B {list(b.shape)}, which cannot be multiplied."
            return
        if a.shape[0] != rank:
            yield f"{where} has factors of rank {a.shape[0]}, {ADAPTER_CONFIG} says {rank}."
            return
        if set(b.shape[2:]) - {1}:
            yield f"{where} has a lora_B of shape {list(b.shape)}; PEFT makes none with a kernel larger than 1."
            return
        kind = UpdateKind.EMBEDDING if embedding else UpdateKind.LINEAR if len(a.shape) == 2 else UpdateKind.CONV
        magnitude, bias = parts.get("lora_magnitude_vector"), parts.get("lora_B.bias")
        if magnitude is not None and magnitude.numel != b.shape[0]:
            yield f"{where} has {magnitude.numel} magnitudes of DoRA for {b.shape[0]} outputs."
            return
        if bool(self.config.raw.get("use_dora")) != (magnitude is not None):
            has = "has no magnitudes" if magnitude is None else "has magnitudes of DoRA"
            yield f"{where} {has}, {ADAPTER_CONFIG} says use_dora={bool(self.config.raw.get('use_dora'))}."
            return
        scale = self.config.scale_of(module)
        self.updates[f"{module}.weight"] = LoraUpdate(
            module=module,
            kind=kind,
            scale=scale,
            rank=rank,
            shape=(a.shape[1], b.shape[0]) if embedding else (b.shape[0], *a.shape[1:]),
            a=a.name,
            b=b.name,
            magnitude=magnitude.name if magnitude is not None else None,
        )
        if bias is not None:
            self.updates[f"{module}.bias"] = LoraUpdate(
                module, UpdateKind.BIAS, scale, rank, bias.shape, None, bias.name
            )


def is_adapter(folder: ModelFolder) -> bool:
    """Whether a folder holds a PEFT adapter and no full checkpoint."""
    full = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
    return ADAPTER_CONFIG in folder.files and not any(name in folder.files for name in full)


def foreign_format(names: list[str], label: str) -> str | None:
    """A sentence for tensors of a LoRA in a format that is not PEFT's, None for any other names."""
    for sign, what in _FOREIGN.items():
        if any(sign in name for name in names):
            return f"{label}: is a LoRA in {what}; only adapters that PEFT saved, with {ADAPTER_CONFIG}, can be used."
    return None


def open_adapter(
    ref: str | Path | PinnedRef, *, token: str | bool | None = None, cache_dir: str | Path | None = None
) -> LoraAdapter:
    """Opens an adapter without its base. Raises InputError for a folder that is none, or that cannot be applied exactly."""
    if not isinstance(ref, PinnedRef):
        pinned = resolve(ref, token=token, cache_dir=cache_dir)
        if len(pinned) != 1:
            raise InputError(f"'{ref}' names {len(pinned)} adapters, one is needed here.")
        ref = pinned[0]
    folder: ModelFolder = LocalFolder(ref) if ref.path is not None else HubFolder(ref, token, cache_dir)
    if ADAPTER_CONFIG not in folder.files:
        raise InputError(f"{folder.ref.label}: has no {ADAPTER_CONFIG}, so it is not an adapter that PEFT saved.")
    return LoraAdapter(folder)


def _open_tensors(folder: ModelFolder) -> StoredCheckpoint:
    if "adapter_model.safetensors" in folder.files:
        return SafetensorsCheckpoint(folder, WeightFiles("safetensors", ("adapter_model.safetensors",)))
    if "adapter_model.bin" in folder.files:
        return PickleCheckpoint(folder, WeightFiles("pickle", ("adapter_model.bin",)))
    raise InputError(f"{folder.ref.label}: has {ADAPTER_CONFIG} and no adapter_model.safetensors; it has no weights.")
