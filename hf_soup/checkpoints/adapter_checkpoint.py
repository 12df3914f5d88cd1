"""A base with a LoRA adapter as one checkpoint: W + s·B·A is computed when rows of W are read, and never stored."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hf_soup.checkpoints.adapter_fit import FittedAdapter, fit_adapter
from hf_soup.checkpoints.checkpoint import Origin, TensorInfo
from hf_soup.checkpoints.dtypes import ITEM_SIZE
from hf_soup.checkpoints.lora_adapter import LoraAdapter, LoraUpdate, UpdateKind
from hf_soup.checkpoints.lora_config import ADAPTER_CONFIG
from hf_soup.checkpoints.overlaid_folder import OverlaidFolder
from hf_soup.checkpoints.row_tiles import BLOCK_ELEMENTS, TILE_ELEMENTS, HeldRows, tiled, tiled_elements, tiles
from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint
from hf_soup.checkpoints.weight_files import WeightFiles, read_config

if TYPE_CHECKING:
    from torch import Tensor

_THREAD = HeldRows()


@dataclass(frozen=True)
class ReadingMemory:
    """Bytes that reading an adapter takes beside what it returns.

    `factors`: of each reading thread. `rows`: of each reading thread too, but once, however many adapters it reads. `kept`: of
    the process, as long as the adapter is there.
    """

    factors: int
    rows: int
    kept: int


@dataclass(frozen=True, eq=False)
class _Factors:
    """In float64, [rows, r] and, scaled, [r, width] for the tensor as it is stored; the lengths of DoRA, where there are any."""

    left: Tensor
    right: Tensor
    magnitude: Tensor | None


_WITHOUT_FACTORS = (UpdateKind.BIAS, UpdateKind.ROWS)


class AdapterCheckpoint(StoredCheckpoint):
    """Several adapters may share one `base` object; it is read through it, by any number of threads.

    Tensors that the adapter does not touch are the base's. Products are computed in float64, in tiles of whole rows that do
    not depend on what is asked for, and rounded once to the stored dtype: the same bits whatever the blocks and threads, and, but
    for odds of 1e-10 per number, on every machine. Adapters of one base that are read block by block in turn share what is read
    of it, see HeldRows; `memory` says what all of this takes. Over a base that streams, `base_span` says what is to be there of
    it before it is read here.
    config.json is that of the base, or of the adapter's repository where it has one of the same model type, with the class, the
    number of labels and of tokens that the adapter's full tensors make of it. Tokenizer and processor files come from the
    adapter's repository where they are there, else from the base.
    """

    def __init__(self, adapter: LoraAdapter, base: StoredCheckpoint, *, label: str | None = None) -> None:
        self.adapter = adapter
        self.base = base
        self.streams = base.streams
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
        self.label = label or adapter.label
        self._factors = threading.local()
        self._prepared: weakref.WeakValueDictionary[str, _Factors] = weakref.WeakValueDictionary()
        self._preparing = threading.Lock()
        self._column_norms: dict[str, Tensor] = {}
        self._measuring = threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        return self._digest(self.base.fingerprint, self.adapter.tensors.fingerprint)

    @property
    def identity(self) -> str:
        return self._digest(self.base.identity, self.adapter.tensors.identity)

    def sampled_digest(self) -> str:
        return self.sampled_digest_over(self.base.fingerprint)

    def sampled_digest_over(self, base_fingerprint: str) -> str:
        """The same over a base of that fingerprint: one model has another where its files have no digests of the Hub."""
        return self._digest(base_fingerprint, self.adapter.tensors.sampled_digest())

    def _digest(self, *weights: str) -> str:
        scales = {n: (update.scale, update.rows, update.part) for n, update in sorted(self.fitted.updates.items())}
        return hashlib.sha256(repr((*weights, scales)).encode()).hexdigest()

    def files_to_download(self) -> dict[tuple[str, str], int]:
        return self.base.files_to_download() | self.adapter.tensors.files_to_download()

    def fetch(self) -> Path:
        """Brings the weights of base and adapter to this disk; returns the adapter's folder."""
        self.base.fetch()
        return super().fetch()

    def names(self) -> list[str]:
        return sorted(self.fitted.infos)

    def info(self, name: str) -> TensorInfo:
        return self.fitted.infos[name]

    def origins(self) -> dict[str, Origin]:
        """Of what the adapter does not touch, the base's."""
        own, base, fitted = self.identity, self.base.origins(), self.fitted
        touched = fitted.updates.keys() | fitted.replaced.keys()
        return {name: (own, name) if name in touched else base[fitted.base_names[name]] for name in self.names()}

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
        if update.kind is UpdateKind.ROWS:
            return self.adapter.put_rows(update, start, out.copy_(self._stored(name, start, stop)))
        rows, width = self._matrix(name)
        for block in range(start // BLOCK_ELEMENTS * BLOCK_ELEMENTS, stop, BLOCK_ELEMENTS):
            low, high = max(block, start), min(block + BLOCK_ELEMENTS, stop)
            first, last = tiled(low // width, -(-high // width), width, rows)
            for row, tile in self._tiles(name, update, first, last):
                offset = row * width
                begin, end = max(offset, low), min(offset + tile.numel(), high)
                if begin < end:  # the other expert of a tile may be outside of what is asked for
                    out[begin - start : end - start] = tile.view(-1)[begin - offset : end - offset]
        return out

    def base_span(self, name: str, start: int, stop: int) -> tuple[str, int, int] | None:
        """Returns the name and the elements of the base's tensor that `read_span` of the same elements reads, None for none."""
        if name in self.fitted.replaced:
            return None
        update = self.fitted.updates.get(name)
        if start < stop and update is not None and update.kind not in _WITHOUT_FACTORS:
            rows, width = self._matrix(name)
            first, last = tiled(start // width, -(-stop // width), width, rows)
            start, stop = first * width, last * width
        return self.fitted.base_names[name], start, stop

    def stream_problems(self) -> list[str]:
        """A sentence where the base would have to be read twice, which it cannot be while it streams."""
        turned = [
            name
            for name, update in self.fitted.updates.items()
            if update.magnitude and self._is_turned(name, update) and name not in self.fitted.replaced
        ]
        if not self.streams or not turned:
            return []
        return [
            f"{self.label}: sets the lengths of columns of '{turned[0]}' (DoRA), for which the whole tensor is read twice; merge "
            "without streaming."
        ]

    @cached_property
    def memory(self) -> ReadingMemory:
        factors, rows, kept = 0, 0, 0
        for name, update in self.fitted.updates.items():
            if update.kind in _WITHOUT_FACTORS:
                continue
            height, width = self._matrix(name)
            lengths = (width if self._is_turned(name, update) else height) if update.magnitude else 0
            # While they are widened, they are there in float32 too.
            rights = self.info(name).shape[0] if update.kind is UpdateKind.EXPERTS else 1
            held = 12 * (update.rank * (height + width * rights) + lengths)
            factors = max(factors, held + self.adapter.bytes_to_cut(update))
            stored = ITEM_SIZE[self.info(name).dtype]
            rows = max(rows, tiled_elements(width) * stored + 8 * max(TILE_ELEMENTS, width))
            kept += 8 * width if lengths and self._is_turned(name, update) else 0
        return ReadingMemory(factors, rows, kept)

    def _matrix(self, name: str) -> tuple[int, int]:
        """Returns (rows, width) of an updated tensor, as the product sees it: experts lie below each other."""
        info, update = self.info(name), self.fitted.updates[name]
        rows = math.prod(info.shape[:-1]) if update.kind is UpdateKind.EXPERTS else info.shape[0]
        return rows, info.numel // rows

    def _stored(self, name: str, start: int, stop: int) -> Tensor:
        """The tensor without the update: the adapter's own where it replaces it."""
        if name in self.fitted.replaced:
            return self.adapter.tensors.read_span(self.fitted.replaced[name], start, stop)
        return self.base.read_span(self.fitted.base_names[name], start, stop)

    def _tiles(self, name: str, update: LoraUpdate, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """Yields rows [first, last), whole tiles, of the updated tensor: (first row, [rows, width] in float64).

        A tile is in memory that the thread uses again for the next one.
        """
        magnitude = self._factors_of(name, update).magnitude
        turned = self._is_turned(name, update)
        lengths = magnitude / self._norms_of_columns(name, update) if magnitude is not None and turned else None
        for row, tile in self._sums(name, update, first, last):
            if lengths is not None:
                tile.mul_(lengths)
            elif magnitude is not None:
                tile.mul_((magnitude[row : row + tile.shape[0]] / tile.norm(dim=1)).unsqueeze(1))
            yield row, tile

    def _sums(self, name: str, update: LoraUpdate, first: int, last: int) -> Iterator[tuple[int, Tensor]]:
        """Yields the tiles before DoRA sets their lengths."""
        _, width = self._matrix(name)
        factors = self._factors_of(name, update)
        stored = self._stored_rows(name, first, last)
        for begin, end in self._borders(name, first, last):
            part = stored[begin - first : end - first]
            right = factors.right[begin // self.info(name).shape[1]] if factors.right.dim() == 3 else factors.right
            yield begin, _THREAD.room(end - begin, width).copy_(part).addmm_(factors.left[begin:end], right)

    def _borders(self, name: str, first: int, last: int) -> list[tuple[int, int]]:
        """Each tile is of one expert."""
        rows, width = self._matrix(name)
        whole = tiles(first, last, width, rows)
        if self.fitted.updates[name].kind is not UpdateKind.EXPERTS:
            return list(whole)
        height = self.info(name).shape[1]
        return [
            (max(begin, expert * height), min(end, (expert + 1) * height))
            for begin, end in whole
            for expert in range(begin // height, -(-end // height))
        ]

    def _stored_rows(self, name: str, first: int, last: int) -> Tensor:
        """Returns rows of the tensor without the update, [last - first, width]; not to be changed."""
        _, width = self._matrix(name)
        if name in self.fitted.replaced:
            return self._stored(name, first * width, last * width).view(last - first, width)
        return _THREAD.read(self.base, self.fitted.base_names[name], first, last, width)

    def _is_turned(self, name: str, update: LoraUpdate) -> bool:
        """Whether the outputs, whose lengths DoRA sets, are the columns of the stored tensor."""
        return update.kind is UpdateKind.EMBEDDING or name in self.fitted.transposed

    def _norms_of_columns(self, name: str, update: LoraUpdate) -> Tensor:
        """Takes one pass over the tensor, once."""
        import torch

        with self._measuring:
            if name not in self._column_norms:
                rows, width = self._matrix(name)
                squares = torch.zeros(width, dtype=torch.float64)
                for first, last in tiles(0, rows, width, rows):
                    for _, tile in self._sums(name, update, first, last):
                        squares += tile.square_().sum(dim=0)
                self._column_norms[name] = squares.sqrt_()
            return self._column_norms[name]

    def _factors_of(self, name: str, update: LoraUpdate) -> _Factors:
        """Returns those of the tensor that this thread read last without preparing them anew; threads share them."""
        mine = self._factors
        if getattr(mine, "name", None) != name:
            mine.name = mine.found = None  # those of the tensor before go first
            with self._preparing:
                found = self._prepared.get(name)
                if found is None:
                    found = self._prepared[name] = self._prepare(name, update)
            mine.name, mine.found = name, found
        kept: _Factors = mine.found
        return kept

    def _prepare(self, name: str, update: LoraUpdate) -> _Factors:
        a, b = self.adapter.factors(update)
        left, right = (a.T, b.T) if self._is_turned(name, update) else (b, a)
        if update.kind is UpdateKind.EXPERTS:
            left = left.flatten(0, 1)
        magnitude = self.adapter.magnitude(update)
        return _Factors(
            left.double(), right.double().mul_(update.scale), None if magnitude is None else magnitude.double()
        )

    def _bias(self, name: str, update: LoraUpdate) -> Tensor:
        return self.adapter.bias(update).double() * update.scale
