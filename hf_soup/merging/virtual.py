"""A merge as a checkpoint: every tensor is computed when it is read, and nothing is written."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints import Checkpoint, TensorInfo
from hf_soup.checkpoints.checkpoint import Origin
from hf_soup.merging.combination import Combination
from hf_soup.merging.record import ARITHMETIC
from hf_soup.merging.tensors import MergedTensor
from hf_soup.merging.threads import one_torch_thread

if TYPE_CHECKING:
    from torch import Tensor

    from hf_soup.merging.plan import Plan


class VirtualCheckpoint(Checkpoint):
    """What a merge would write, bit for bit, without writing it.

    `tensors`: by name. `sides`: whose config, tokenizer and processor go with it. `plan`: by which it can be written, where
    there is one.
    """

    def __init__(
        self,
        combination: Combination,
        tensors: Sequence[MergedTensor],
        config: dict[str, Any],
        sides: Checkpoint,
        plan: Plan | None = None,
    ) -> None:
        self.ref = None
        self.plan = plan
        self.combination = combination
        self.config = config
        self.sides = sides
        self.label = f"{combination.method.name} of {len(combination.models)} models"
        self.tensors = {tensor.info.name: tensor for tensor in tensors}
        self._surveys: dict[str, Any] = {}
        self._surveying = threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        return self._digest([source.fingerprint for source in self._sources()])

    @property
    def identity(self) -> str:
        return self._digest([source.identity for source in self._sources()])

    def origins(self) -> dict[str, Origin]:
        """Of what is copied, those of the checkpoint that it is copied from."""
        own, combination = self.identity, self.combination
        donor = combination.donor_checkpoint.origins()
        return {
            name: donor[tensor.source(combination.donor)] if tensor.copied else (own, name)
            for name, tensor in self.tensors.items()
        }

    def _sources(self) -> list[Checkpoint]:
        combination = self.combination
        return [*combination.models, *([combination.base] if combination.base is not None else [])]

    def _digest(self, sources: list[str]) -> str:
        combination = self.combination
        essence = {
            "arithmetic": ARITHMETIC,
            "method": combination.method.name,
            "parameters": combination.parameters.to_json(),
            "sources": sources,
            "draws": list(combination.fingerprints),
            "base": combination.base is not None,
            "donor": combination.donor,
            "dtypes": sorted({(name, tensor.info.dtype) for name, tensor in self.tensors.items()}),
            "device": combination.device.split(":")[0],
        }
        return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()

    def names(self) -> list[str]:
        return sorted(self.tensors)

    def info(self, name: str) -> TensorInfo:
        return self.tensors[name].info

    def side_folder(self) -> Path:
        return self.sides.side_folder()

    def read_span(self, name: str, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        if out is None:
            out = self.empty(name, stop - start)
        out = out[: stop - start]
        with one_torch_thread():
            self.combination.span(self.tensors[name], start, stop, self._survey(name), out)
        return out

    def _survey(self, name: str) -> Any:
        """Made once for each tensor: it reads the whole of it."""
        if self.combination.method.survey is None:
            return None
        with self._surveying:
            if name not in self._surveys:
                tensor = self.tensors[name]
                self._surveys[name] = self.combination.survey(tensor, self.combination.sources(tensor))
            return self._surveys[name]
