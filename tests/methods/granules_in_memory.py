"""A tensor of several models held in memory, as surveys see it, and as blocks to combine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hf_soup.methods import GRANULE, MergeMethod, Place


class Lazy(Sequence[Tensor]):
    """Models of which each is handed out anew, in order, and counted."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self.taken: list[int] = []

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, index: int) -> Tensor:  # type: ignore[override]
        tensor = self._tensors[index]
        self.taken.append(index)
        return tensor.clone()


class GranulesInMemory:
    """`sample_of`: which elements the sample holds; all of them by default."""

    def __init__(self, base: Tensor | None, models: Sequence[Tensor], sample_of: slice | None = None) -> None:
        self.base = base
        self.models = models
        self.numel = models[0].numel()
        self.n_models = len(models)
        self.reads = 0
        self._sample_of = sample_of

    def __len__(self) -> int:
        return -(-self.numel // GRANULE)

    def __getitem__(self, index: int) -> tuple[Tensor | None, Sequence[Tensor]]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self.reads += 1
        return self._cut(slice(index * GRANULE, (index + 1) * GRANULE))

    def sample(self, elements: int) -> tuple[Tensor | None, Sequence[Tensor]]:
        return self._cut(self._sample_of or slice(0, self.numel, max(1, self.numel // elements)))

    def _cut(self, which: slice) -> tuple[Tensor | None, Sequence[Tensor]]:
        return None if self.base is None else self.base[which], Lazy([model[which] for model in self.models])


def merged(
    method: MergeMethod,
    base: Tensor | None,
    models: Sequence[Tensor],
    block: int = GRANULE,
    tensor: str = "layer.weight",
    fingerprints: Sequence[str] | None = None,
    backwards: bool = False,
    **given: Any,
) -> Tensor:
    """Merges flat tensors block by block, with a survey where the method has one."""
    parameters = method.bind(len(models), given)
    survey = method.look(GranulesInMemory(base, models), parameters)
    fingerprints = fingerprints or [f"model {i}" for i in range(len(models))]
    out = torch.empty_like(models[0])
    starts = range(0, max(1, out.numel()), block)
    for start in reversed(starts) if backwards else starts:
        cut = slice(start, start + block)
        lazy = Lazy([model[cut] for model in models])
        place = Place(tensor, start, fingerprints)
        out[cut] = method(lazy, None if base is None else base[cut], survey, place, parameters)
        assert lazy.taken == list(range(len(models))), "each model once, in order"
    return out
