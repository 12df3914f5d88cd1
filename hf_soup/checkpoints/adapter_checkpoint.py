"""A base with a LoRA adapter as one checkpoint: W + s·B·A is computed when rows of W are read, and never stored."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints.adapter_fit import FittedAdapter, fit_adapter
from hf_soup.checkpoints.checkpoint import TensorInfo
from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate, UpdateKind
from hf_soup.checkpoints.lora_config import ADAPTER_CONFIG
from hf_soup.checkpoints.overlaid_folder import OverlaidFolder
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.weight_files import WeightFiles, read_config
from hf_soup.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_TILE_ELEMENTS = 65_536
_SCALES = (1e-3, 1e3)  # outside of these an alpha is a slip of the pen, or the adapter does nothing


class AdapterCheckpoint(StoredCheckpoint):
    """Several adapters may share one `base` object; it is read through it, by any number of threads.

    Tensors that the adapter does not touch are the base's. Products are computed in float64, in tiles of whole rows that do
    not depend on what is asked for, and rounded once to the stored dtype: the same bits whatever the blocks and threads, and, but
    for odds of 1e-10 per number, on every machine. Memory of one reading thread: the factors of one tensor and about 2 MiB.
    config.json is that of the base, or of the adapter's repository where it has one of the same model type, with the class, the
    number of labels and of tokens that the adapter's full tensors make of it. Tokenizer and processor files come from the
    adapter's repository where they are there, else from the base.
    """

    def __init__(self, adapter: LoraAdapter, base: StoredCheckpoint) -> None:
        if base.streams:
            raise InputError(
                f"{adapter.label}: is an adapter, which is applied while weights are read from this disk; merge without streaming."
            )
        self.adapter = adapter
        self.base = base
        own = read_config(adapter.folder)
        own.pop(
            "quantization_config", None
        )  # of the training run (QLoRA); the base that is read here is not quantised
        fits = own.get("model_type") is not None and own.get("model_type") == base.config.get("model_type")
        self.fitted: FittedAdapter = fit_adapter(adapter, base, own if fits else None)
        self.config = self.fitted.config
        written = {}
        if self.config != (read_config(adapter.folder) if fits else base.config):
            written["config.json"] = (json.dumps(self.config, indent=2, sort_keys=True) + "\n").encode()
        elif own and not fits:
            written["config.json"] = base.folder.local_path("config.json").read_bytes()
        self.folder = OverlaidFolder(adapter.folder, base.folder, written)
        self.weights = WeightFiles(adapter.tensors.weights.format, (*adapter.tensors.weights.paths, ADAPTER_CONFIG))
        self.ref = adapter.folder.ref
        self.label = adapter.label
        self._factors = threading.local()
        self._column_norms: dict[str, Tensor] = {}
        self._measuring = threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        return self._digest(self.base.fingerprint, self.adapter.tensors.fingerprint)

    @property
    def identity(self) -> str:
        return self._digest(self.base.identity, self.adapter.tensors.identity)

    def sampled_digest(self) -> str:
        return self._digest(self.base.fingerprint, self.adapter.tensors.sampled_digest())

    def _digest(self, *weights: str) -> str:
        scales = {name: update.scale for name, update in sorted(self.fitted.updates.items())}
        return hashlib.sha256(repr((*weights, scales)).encode()).hexdigest()

    def files_to_download(self) -> dict[tuple[str, str], int]:
        return self.base.files_to_download() | super().files_to_download()

    def fetch(self) -> Path:
        """Brings the weights of base and adapter to this disk; returns the adapter's folder."""
        self.base.fetch()
        return super().fetch()

    def names(self) -> list[str]:
        return sorted(self.fitted.infos)

    def info(self, name: str) -> TensorInfo:
        return self.fitted.infos[name]

    def filler(self, name: str) -> Callable[[int, memoryview], None] | None:
        if name in self.fitted.updates or name in self.fitted.replaced:
            return None
        return self.base.filler(self.fitted.base_names[name])

    def will_read(self, name: str, start: int, stop: int) -> None:
        if name not in self.fitted.replaced:
            self.base.will_read(self.fitted.base_names[name], start, stop)

    def read_span(self, name: str, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        if name not in self.fitted.updates and name not in self.fitted.replaced:
            return self.base.read_span(self.fitted.base_names[name], start, stop, out)
        if out is None:
            out = self.empty(name, stop - start)
        out = out[: stop - start]
        update = self.fitted.updates.get(name)
        if update is None:
            return out.copy_(self._stored(name, start, stop))
        if update.kind is UpdateKind.BIAS:
            added = self._bias(name, update)[start:stop]
            return out.copy_(self._stored(name, start, stop).double().add_(added))
        width = self._width(name)
        for first, last in _tiles(start // width, -(-stop // width), width, self.info(name).shape[0]):
            tile = self._rows(name, update, first, last).flatten()
            low, high = max(first * width, start), min(last * width, stop)
            out[low - start : high - start] = tile[low - first * width : high - first * width]
        return out

    def problems(self) -> list[str]:
        """Reads the adapter's own tensors: NaN, infinity, an adapter that was never trained, absurd scales."""
        import torch

        found = []
        for name in self.adapter.tensors.names():
            if not torch.isfinite(self.adapter.tensors.read(name)).all():
                found.append(f"{self.label}: tensor '{name}' holds NaN or infinity; leave this adapter out.")
        updates = self.adapter.updates.values()
        zero = [update.b for update in updates if not self.adapter.tensors.read(update.b).any()]
        if updates and len(zero) == len(updates) and not any(update.magnitude for update in updates):
            found.append(f"{self.label}: every lora_B is zero, so the adapter was not trained; it adds nothing.")
        low, high = _SCALES
        odd = sorted({update.scale for update in updates if not low <= update.scale <= high})
        if odd:
            found.append(
                f"{self.label}: scales its updates by {', '.join(f'{scale:g}' for scale in odd[:3])} (lora_alpha and r), which is not "
                f"between {low:g} and {high:g}."
            )
        return found

    def _width(self, name: str) -> int:
        info = self.info(name)
        return info.numel // info.shape[0]

    def _stored(self, name: str, start: int, stop: int) -> Tensor:
        """The tensor without the update: the adapter's own where it replaces it."""
        if name in self.fitted.replaced:
            return self.adapter.tensors.read_span(self.fitted.replaced[name], start, stop)
        return self.base.read_span(self.fitted.base_names[name], start, stop)

    def _rows(self, name: str, update: LoraUpdate, first: int, last: int) -> Tensor:
        """Returns rows [first, last) of the updated tensor in float64, [last - first, width]."""
        rows = self._sum(name, update, first, last)
        magnitude = self._factors_of(name, update)[2]
        if magnitude is None:
            return rows
        if self._is_turned(name, update):
            return rows.mul_(magnitude / self._norms_of_columns(name, update))
        return rows.mul_((magnitude[first:last] / rows.norm(dim=1)).unsqueeze(1))

    def _sum(self, name: str, update: LoraUpdate, first: int, last: int) -> Tensor:
        left, right, _ = self._factors_of(name, update)
        width = self._width(name)
        stored = self._stored(name, first * width, last * width)
        return stored.double().reshape(last - first, width).addmm_(left[first:last].double(), right)

    def _is_turned(self, name: str, update: LoraUpdate) -> bool:
        """Whether the outputs, whose lengths DoRA sets, are the columns of the stored tensor."""
        return update.kind is UpdateKind.EMBEDDING or name in self.fitted.transposed

    def _norms_of_columns(self, name: str, update: LoraUpdate) -> Tensor:
        """Takes one pass over the tensor, once."""
        import torch

        with self._measuring:
            if name not in self._column_norms:
                rows, width = self.info(name).shape[0], self._width(name)
                squares = torch.zeros(width, dtype=torch.float64)
                for first, last in _tiles(0, rows, width, rows):
                    squares += self._sum(name, update, first, last).square_().sum(dim=0)
                self._column_norms[name] = squares.sqrt_()
            return self._column_norms[name]

    def _factors_of(self, name: str, update: LoraUpdate) -> tuple[Tensor, Tensor, Tensor | None]:
        """Returns [rows, r] and, scaled, in float64, [r, width] for the tensor as it is stored, and the lengths of DoRA.

        Those of the tensor that a thread read last are kept.
        """
        if getattr(self._factors, "name", None) != name:
            a, b = self.adapter.factors(update)
            left, right = (a.T, b.T) if self._is_turned(name, update) else (b, a)
            magnitude = self.adapter.magnitude(update)
            self._factors.found = (
                left,
                right.double() * update.scale,
                None if magnitude is None else magnitude.double(),
            )
            self._factors.name = name
        found: tuple[Tensor, Tensor, Tensor | None] = self._factors.found
        return found

    def _bias(self, name: str, update: LoraUpdate) -> Tensor:
        return self.adapter.bias(update).double() * update.scale


def _tiles(first: int, stop: int, width: int, rows: int) -> Iterator[tuple[int, int]]:
    """The fixed tiles that hold rows [first, stop): a product's last bits may depend on how many rows it has."""
    height = max(1, _TILE_ELEMENTS // width)
    for start in range(first // height * height, stop, height):
        yield start, min(start + height, rows)
