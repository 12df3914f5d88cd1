"""The one arithmetic: what a merge writes to disk and what a candidate computes on read are the same calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.checkpoints.dtypes import torch_dtype
from hf_soup.errors import NonFiniteWeights
from hf_soup.merging.tensors import MergedTensor, Rule
from hf_soup.methods import MergeMethod, Place

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_ELEMENTS = 65_536
"""Blocks of this many elements stay in a core's second-level cache: larger ones were up to twice as slow."""


class Combination:
    """A method with its parameters, over models in the order of the arithmetic.

    `donor`: index of the model that integer tensors are copied from, None for the base. Accumulates in float32, in
    float64 where an input is float64, and casts once to the tensor's output dtype.
    """

    def __init__(
        self,
        method: MergeMethod,
        parameters: dict[str, Any],
        models: Sequence[Checkpoint],
        base: Checkpoint | None,
        donor: int | None,
        device: str = "cpu",
    ) -> None:
        self.method = method
        self.parameters = parameters
        self.models = tuple(models)
        self.base = base
        self.donor = donor
        self.device = device

    def span(self, tensor: MergedTensor, start: int, stop: int) -> Tensor:
        """Returns elements [start, stop) of the flattened result, 1-D, on the CPU, in the output dtype.

        A method that is not elementwise takes whole tensors only. Raises NonFiniteWeights, naming the tensor and the
        model, when an input holds NaN or infinity or the result does not fit the output dtype.
        """
        import torch

        if tensor.rule is Rule.COPY:
            if self.donor is None:
                assert self.base is not None
                return self.base.read_span(str(tensor.base_source), start, stop)
            return self.models[self.donor].read_span(tensor.sources[self.donor], start, stop)
        whole = (start, stop) == (0, tensor.info.numel)
        assert self.method.elementwise or whole, f"{self.method.name} needs whole tensors"
        shape = (stop - start,) if self.method.elementwise else tensor.info.shape
        stored = [
            model.read_span(source, start, stop) for model, source in zip(self.models, tensor.sources, strict=True)
        ]
        wide = torch.float64 if any(block.dtype == torch.float64 for block in stored) else torch.float32
        blocks = [block.to(self.device, wide).reshape(shape) for block in stored]
        base = None
        if self.method.needs_base:
            assert self.base is not None
            base = self.base.read_span(str(tensor.base_source), start, stop).to(self.device, wide).reshape(shape)
        place = Place(tensor.info.name, start, [model.fingerprint for model in self.models])
        merged = self.method(blocks, base, None, place, self.parameters)
        out = merged.reshape(-1).to(torch_dtype(tensor.info.dtype)).cpu()
        # One sum is cheaper than a test of every element; it can only raise a false alarm, which is then looked into.
        if not torch.isfinite(out.sum(dtype=wide)):
            self._explain(tensor, stored, out, start)
        return out

    def _explain(self, tensor: MergedTensor, stored: Sequence[Tensor], out: Tensor, start: int) -> None:
        import torch

        name = tensor.info.name
        for model, block in zip(self.models, stored, strict=True):
            finite = torch.isfinite(block)
            if not finite.all():
                position = start + int((~finite).nonzero()[0])
                raise NonFiniteWeights(
                    f"{model.label}: tensor '{name}' holds {block[~finite][0].item()} at position {position}; leave this "
                    "model out, or repair it."
                )
        if not torch.isfinite(out).all():
            raise NonFiniteWeights(
                f"Tensor '{name}': the merged value does not fit {tensor.info.dtype}; choose a wider --dtype, such as "
                "float32 or bfloat16."
            )
