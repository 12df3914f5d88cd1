"""A LoRA adapter as PEFT saves it: which tensors it updates by factors, and which it replaces.

    adapter = open_adapter("me/adapter")              # or a folder, me/repo@v1, me/repo:adapter_name
    adapter.config                                     # LoraConfig: rank, alpha, patterns, base; .raw is the file
    adapter.base_ref                                   # (name, revision) as adapter_config.json says; name may be None
    adapter.updates                                    # {tensor: LoraUpdate}, e.g. {"encoder.0.query.weight": …}
    adapter.replaced                                   # {tensor: name in the adapter's file}, full tensors
    a, b = adapter.factors(adapter.updates[name])      # float32, [r, n] and [m, r]; read when asked for, not kept

The keys of `updates` and `replaced` are named as the adapted model names its tensors in memory: the file's names without
`base_model.model.` and `.base_layer.`. For most models those are the names in the base's files; where they are not,
`hf_soup.checkpoints.adapter_fit` says which is which. What the factors of `target_parameters` update, only the base's class
tells; they wait in `stacked`. In the orientation of PEFT, [out, in], an update adds `scale * b @ a`; see `LoraUpdate.kind` for
embeddings, convolutions and experts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
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
from hf_soup.checkpoints.stacked_parameters import StoredPart
from hf_soup.checkpoints.weight_files import WeightFiles
from hf_soup.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_PREFIX = "base_model.model."
_FACTOR = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_(?:embedding_)?[AB]|lora_magnitude_vector)(?:\.(?P<leaf>weight|bias))?"
)
_SCALES = (1e-3, 1e3)  # outside of these an alpha is a slip of the pen, or the adapter does nothing
_TOKENS = re.compile(r"(?P<module>.+)\.token_adapter\.trainable_tokens_delta")
_LEFTOVERS = (".original_module.", ".modules_to_save.")
"""With bias="all" PEFT also saves biases of heads under the names of its wrapper, and does not load them."""
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
    ROWS = "rows"
    """[tokens, width]: the rows `rows` are replaced by those of B (trainable_token_indices); there is no A and no scale."""
    MATRIX = "matrix"
    """[rows, columns] of a parameter, mostly of one expert: scale · B·A, with the factors that `factors` cuts for it."""
    EXPERTS = "experts"
    """[experts, rows, columns]: scale · B[e]·A[e] for every expert e."""


@dataclass(frozen=True)
class ExpertPart:
    """Which part of a parameter's update a tensor of the files takes.

    PEFT keeps A as [experts · rank, in] and B as [out, rank · experts], with the expert as the slower index of A's rows and
    the faster one of B's columns. `inputs_first`: in memory the parameter is [in, out].
    """

    experts: int
    inputs_first: bool
    stored: StoredPart
    all_experts: bool
    """Whether the tensor has the experts as its first axis."""


@dataclass(frozen=True)
class LoraUpdate:
    """The update of one tensor. `a`, `b`, `magnitude`: names in the adapter's file; `a` is None for a bias and for rows.

    `shape`: of the tensor as PEFT sees it, [out, in] (of a Conv1D too), [tokens, width] or [out, in, …]; for rows only theirs. `magnitude`: of
    DoRA, which also scales every output of W + ΔW to this length; such an update is not of low rank. `part`: for the kinds
    that parameters have; `shape` is then that of the tensor as it is stored.
    """

    module: str
    kind: UpdateKind
    scale: float
    rank: int
    shape: tuple[int, ...]
    a: str | None
    b: str
    magnitude: str | None = None
    part: ExpertPart | None = None
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class StackedFactors:
    """Factors of a parameter of `target_parameters`: which one, only the model's class tells.

    `module`: whose parameter it is. `depth`: PEFT wraps a module once for every parameter, the first innermost; this is how
    many wraps lie outside.
    """

    module: str
    depth: int
    a: TensorInfo
    b: TensorInfo


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
        self.stacked: list[StackedFactors] = []
        """Of `target_parameters`, in the order of the file."""
        problems = self._sort_out()
        if not problems and not self.updates and not self.replaced and not self.stacked:
            problems = [f"{self.label}: holds no tensors, it adapts nothing."]
        if problems:
            raise InputError(problems)

    @property
    def base_ref(self) -> tuple[str | None, str | None]:
        """(name, revision) of the base, as adapter_config.json gives them; both may be None."""
        return self.config.base_name, self.config.base_revision

    @property
    def is_low_rank(self) -> bool:
        """Whether all updates are: not with DoRA, not with replaced rows."""
        return not any(update.magnitude or update.kind is UpdateKind.ROWS for update in self.updates.values())

    def factors(self, update: LoraUpdate) -> tuple[Tensor, Tensor]:
        """Returns A [r, n] and B [m, r] in float32, kernels flattened. Raises ValueError where there are none, see `kind`.

        Of the kind EXPERTS: [experts, r, n] and [experts, m, r].
        """
        if update.a is None:
            raise ValueError(f"this update of '{update.module}' ({update.kind}) has no factors")
        if update.part is not None:
            return self._factors_of_part(update.a, update.b, update.part)
        a, b = self.tensors.read(update.a).float(), self.tensors.read(update.b).float()
        return a.flatten(1), b.flatten(1)

    def bias(self, update: LoraUpdate) -> Tensor:
        """Returns what is to be added to a bias, before it is scaled: [m], float32."""
        return self.tensors.read(update.b).float()

    def put_rows(self, update: LoraUpdate, start: int, out: Tensor) -> Tensor:
        """Writes the trained rows into elements [start, start + len(out)) of the flattened embeddings; returns `out`."""
        width, stop = update.shape[1], start + out.numel()
        for place, row in enumerate(update.rows):
            low, high = max(row * width, start), min((row + 1) * width, stop)
            if low < high:
                first = (place - row) * width
                out[low - start : high - start] = self.tensors.read_span(update.b, first + low, first + high)
        return out

    def magnitude(self, update: LoraUpdate) -> Tensor | None:
        """Returns the lengths of DoRA, [m], float32; None for a plain LoRA."""
        return self.tensors.read(update.magnitude).float().flatten() if update.magnitude else None

    def problems(self) -> list[str]:
        """Returns what speaks against using it: NaN, infinity, an adapter that was never trained, absurd scales.

        The first call reads every tensor in the adapter's file, which is downloaded for it.
        """
        return list(self._problems)

    @cached_property
    def _problems(self) -> tuple[str, ...]:
        import torch

        found = []
        of_b = {update.b for update in self.updates.values()} | {factors.b.name for factors in self.stacked}
        trained = not of_b or not self.is_low_rank
        for name in self.tensors.names():
            tensor = self.tensors.read(name)
            if not torch.isfinite(tensor).all():
                found.append(f"{self.label}: tensor '{name}' holds NaN or infinity; leave this adapter out.")
            trained = trained or (name in of_b and bool(tensor.any()))
        if not trained:
            found.append(f"{self.label}: every lora_B is zero, so the adapter was not trained; it adds nothing.")
        low, high = _SCALES
        odd = sorted({update.scale for update in self.updates.values() if not low <= update.scale <= high})
        if odd:
            found.append(
                f"{self.label}: scales its updates by {', '.join(f'{scale:g}' for scale in odd[:3])} (lora_alpha and r), which is not "
                f"between {low:g} and {high:g}."
            )
        return tuple(found)

    def bytes_to_cut(self, update: LoraUpdate) -> int:
        """Returns the memory that `factors` takes beside its results: factors of all experts are read for one."""
        if update.part is None or update.a is None:
            return 0
        return self.tensors.info(update.a).nbytes + self.tensors.info(update.b).nbytes

    def _factors_of_part(self, a_name: str, b_name: str, part: ExpertPart) -> tuple[Tensor, Tensor]:
        stored, (height, inputs) = part.stored, self.tensors.info(a_name).shape
        rank = height // part.experts
        b = self.tensors.read(b_name).unflatten(1, (rank, part.experts)).permute(2, 0, 1)
        if stored.expert is None:
            a = self.tensors.read(a_name).view(part.experts, rank, inputs)
        else:
            first = stored.expert * rank
            a = self.tensors.read_span(a_name, first * inputs, (first + rank) * inputs).view(1, rank, inputs)
            b = b[stored.expert].unsqueeze(0)
        left, right = (a.mT, b.mT) if part.inputs_first else (b, a)
        left, right = left[:, stored.rows.slice()].float(), right[:, :, stored.columns.slice()].float()
        if stored.turned:
            left, right = right.mT, left.mT
        return (right, left) if part.all_experts else (right[0], left[0])

    def _sort_out(self) -> list[str]:
        """Fills `updates`, `replaced` and `stacked` from the names in the file; returns what does not fit together."""
        parts: dict[str, dict[str, TensorInfo]] = {}
        problems = []
        for stored in self.tensors.names():
            info = self.tensors.info(stored)
            name = stored.removeprefix(_PREFIX)
            if any(part in name for part in _LEFTOVERS):
                continue
            if info.dtype not in FLOATING:
                problems.append(f"{self.label}: tensor '{stored}' is {info.dtype}, not a floating-point number.")
            elif match := _FACTOR.fullmatch(name):
                leaf = ".bias" if match["leaf"] == "bias" else ""
                parts.setdefault(match["module"], {})[match["part"] + leaf] = info
            elif match := _TOKENS.fullmatch(name):
                problems += self._add_rows(match["module"], info)
            elif ".lora_" in name or any(sign in name for sign in ("lora_down", "lora_up", ".lora.")):
                foreign = None if ".lora_A" in name or ".lora_B" in name else foreign_format([stored], self.label)
                problems.append(foreign or f"{self.label}: has '{stored}', a name that PEFT does not give a tensor.")
            else:
                self.replaced[name.replace(".token_adapter.base_layer.", ".").replace(".base_layer.", ".")] = stored
        for module, found in parts.items():
            problems += self._add_module(module, found)
        if self.config.trainable_tokens and not any(update.rows for update in self.updates.values()):
            problems.append(
                f"{self.label}: holds no rows of embeddings, {ADAPTER_CONFIG} names some (trainable_token_indices); the file is not "
                "complete."
            )
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
        if self._is_of_parameter(module, a):
            yield from self._add_stacked(module, a, b, sorted(set(parts) - {"lora_A", "lora_B"}))
            return
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

    def _add_rows(self, module: str, delta: TensorInfo) -> Iterator[str]:
        rows = self.config.rows_of(module)
        if rows is None or len(delta.shape) != 2 or delta.shape[0] != len(rows):
            says = "names no rows of it" if rows is None else f"names {len(rows)} rows of it"
            yield f"{self.label}: trains rows of '{module}', {list(delta.shape)}; trainable_token_indices of {ADAPTER_CONFIG} {says}."
        else:
            self.updates[f"{module}.weight"] = LoraUpdate(
                module, UpdateKind.ROWS, 1.0, 0, delta.shape, None, delta.name, rows=rows
            )

    def _is_of_parameter(self, module: str, a: TensorInfo) -> bool:
        """PEFT names no parameter, only its module. A bare name in `target_parameters` may be in any: those of odd rank."""
        if module.endswith(".base_layer"):
            return True
        owners = [name.rpartition(".")[0] for name in self.config.target_parameters]
        return any(
            (module == owner or module.endswith(f".{owner}")) if owner else a.shape[0] != self.config.rank_of(module)
            for owner in owners
        )

    def _add_stacked(self, module: str, a: TensorInfo, b: TensorInfo, others: list[str]) -> Iterator[str]:
        where = f"{self.label}: module '{module}'"
        if others:
            yield f"{where} has {others[0]} beside the factors of a parameter, which PEFT does not make."
        elif len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
            yield f"{where} has lora_A {list(a.shape)} and lora_B {list(b.shape)}, which cannot be multiplied."
        else:
            owner = re.sub(r"(\.base_layer)+$", "", module)
            self.stacked.append(StackedFactors(owner, module.removeprefix(owner).count("."), a, b))


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
    """Opens an adapter without its base. Raises InputError for a folder that is none, or that cannot be applied exactly.

    Also for one that means nothing without its base (target_parameters, trainable_token_indices); `open_checkpoint` takes those.
    """
    if not isinstance(ref, PinnedRef):
        pinned = resolve(ref, token=token, cache_dir=cache_dir)
        if len(pinned) != 1:
            raise InputError(f"'{ref}' names {len(pinned)} adapters, one is needed here.")
        ref = pinned[0]
    folder: ModelFolder = LocalFolder(ref) if ref.path is not None else HubFolder(ref, token, cache_dir)
    if ADAPTER_CONFIG not in folder.files:
        raise InputError(f"{folder.ref.label}: has no {ADAPTER_CONFIG}, so it is not an adapter that PEFT saved.")
    adapter = LoraAdapter(folder)
    apart = "adapts stacked experts (target_parameters)" if adapter.stacked else None
    if any(update.kind is UpdateKind.ROWS for update in adapter.updates.values()):
        apart = "trains single rows of the embeddings (trainable_token_indices)"
    if apart:
        raise InputError(
            f"{adapter.label}: {apart}, which can only be applied to its base, not handled as an adapter; name it as an ingredient "
            "of a soup, which does that."
        )
    return adapter


def _open_tensors(folder: ModelFolder) -> StoredCheckpoint:
    if "adapter_model.safetensors" in folder.files:
        return SafetensorsCheckpoint(folder, WeightFiles("safetensors", ("adapter_model.safetensors",)))
    if "adapter_model.bin" in folder.files:
        return PickleCheckpoint(folder, WeightFiles("pickle", ("adapter_model.bin",)))
    raise InputError(f"{folder.ref.label}: has {ADAPTER_CONFIG} and no adapter_model.safetensors; it has no weights.")
