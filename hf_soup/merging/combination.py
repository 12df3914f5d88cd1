"""The one arithmetic: what a merge writes to disk and what a candidate computes on read are the same calls."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.checkpoints.dtypes import torch_dtype
from hf_soup.errors import NonFiniteWeights
from hf_soup.merging.sources import Read, Scratch, SourceGranules, TensorSources, Widened, widened
from hf_soup.merging.tensor_parameters import TensorParameters
from hf_soup.merging.tensors import MergedTensor, Rule
from hf_soup.methods import GRANULE, MergeMethod, Place

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Combination:
    """A method with its parameters, over models in the order of the arithmetic.

    `donor`: index of the model that integer tensors are copied from, None for the base. `fingerprints`: what random methods
    draw by; of a recorded merge the recorded ones. Accumulates in float32, in float64 where an input is float64, and casts
    once to the tensor's output dtype.
    """

    def __init__(
        self,
        method: MergeMethod,
        parameters: TensorParameters,
        models: Sequence[Checkpoint],
        base: Checkpoint | None,
        donor: int | None,
        device: str = "cpu",
        fingerprints: Sequence[str] | None = None,
    ) -> None:
        self.method = method
        self.parameters = parameters
        self.models = tuple(models)
        self.base = base
        self.donor = donor
        self.device = device
        self.fingerprints = tuple(fingerprints or [model.fingerprint for model in models])

    def sources(self, tensor: MergedTensor) -> TensorSources:
        """Returns how to read the tensor from the models themselves, for one thread.

        All blocks are read into the same memory: what a core has in its cache is not exchanged for other memory, and
        however many models there are, it is one block.
        """
        scratch = Scratch(pinned=self.device.startswith("cuda"))
        models = [_reader(model, name, scratch) for model, name in zip(self.models, tensor.sources, strict=True)]
        base = _reader(self.base, str(tensor.base_source), scratch) if self.base is not None else None
        donor = models[self.donor] if self.donor is not None else base
        assert donor is not None
        return TensorSources(tuple(models), base if self.method.needs_base else None, donor)

    @property
    def donor_checkpoint(self) -> Checkpoint:
        donor = self.models[self.donor] if self.donor is not None else self.base
        assert donor is not None
        return donor

    def stream(self) -> AbstractContextManager[Any]:
        """What one worker computes within: on a GPU a queue of its own, so that one copies while another computes."""
        if not self.device.startswith("cuda"):
            return nullcontext()
        import torch

        return torch.cuda.stream(torch.cuda.Stream(self.device))

    def survey(self, tensor: MergedTensor, sources: TensorSources, stop: threading.Event | None = None) -> Any:
        """Makes the first pass that some methods need; None for the others and for tensors that are copied.

        Raises Interrupted soon after `stop` is set.
        """
        if self.method.survey is None or tensor.copied or tensor.info.numel == 0:
            return None
        granules = SourceGranules(tensor.info.numel, sources, _wide(tensor), stop)
        return self.method.look(granules, self.parameters.of(tensor.info.name))

    def block(self, tensor: MergedTensor, sources: TensorSources, start: int, stop: int, survey: Any) -> Tensor:
        """Returns elements [start, stop) of the flattened result, 1-D, on the CPU, in the output dtype.

        `start` is a multiple of GRANULE; a method that is not elementwise takes whole tensors only. Raises
        NonFiniteWeights, naming the tensor and the model, when an input holds NaN or infinity or the result does not fit
        the output dtype.
        """
        if tensor.copied:
            return self._copied(tensor, sources, start, stop)
        whole = (start, stop) == (0, tensor.info.numel)
        assert self.method.elementwise or whole, f"{self.method.name} needs whole tensors"
        assert start % GRANULE == 0
        shape = None if self.method.elementwise else tensor.info.shape
        wide = _wide(tensor)
        models = Widened(sources.models, start, stop, wide, self.device, shape)
        base = None
        if sources.base is not None:
            base = widened(sources.base(start, stop), wide, self.device, shape)
        place = Place(tensor.info.name, start, self.fingerprints)
        merged = self.method(models, base, survey, place, self.parameters.of(tensor.info.name))
        out = merged.reshape(-1).to(torch_dtype(tensor.info.dtype)).cpu()
        if not _fits(merged, tensor.info.dtype):
            self._explain(tensor, sources, start, stop)
        return out

    def span(self, tensor: MergedTensor, start: int, stop: int, survey: Any, out: Tensor) -> None:
        """Fills `out` with elements [start, stop) of the flattened result, which may begin and end anywhere."""
        sources = self.sources(tensor)
        if not self.method.elementwise and not tensor.copied:
            out.copy_(self.block(tensor, sources, 0, tensor.info.numel, survey)[start:stop])
            return
        for first in range(start // GRANULE * GRANULE, stop, GRANULE):
            last = min(first + GRANULE, tensor.info.numel)
            block = self.block(tensor, sources, first, last, survey)
            low, high = max(first, start), min(last, stop)
            out[low - start : high - start] = block[low - first : high - first]

    def _copied(self, tensor: MergedTensor, sources: TensorSources, start: int, stop: int) -> Tensor:
        block = sources.donor(start, stop)
        if tensor.rule is Rule.COMBINE and not _fits(block, tensor.info.dtype):
            self._explain(tensor, sources, start, stop)
        return block

    def _explain(self, tensor: MergedTensor, sources: TensorSources, start: int, stop: int) -> None:
        import torch

        name = tensor.info.name
        advice = "leave this model out, or repair it"
        read = [*zip(self.models, sources.models, strict=True)]
        if sources.base is not None and self.base is not None:
            read.append((self.base, sources.base))
        if tensor.shared:
            read = [(self.donor_checkpoint, sources.donor)]
            if len(self.models) > 1:
                advice = "all models have it from one place, which must be repaired"
        for model, source in read:
            block = source(start, stop)
            finite = torch.isfinite(block)
            if not finite.all():
                position = start + int((~finite).nonzero()[0])
                raise NonFiniteWeights(
                    f"{model.label}: tensor '{name}' holds {block[~finite][0].item()} at position {position}; {advice}."
                )
        raise NonFiniteWeights(
            f"Tensor '{name}': the merged value does not fit {tensor.info.dtype}; choose a wider --dtype, such as "
            "float32 or bfloat16."
        )


def _reader(checkpoint: Checkpoint, name: str, scratch: Scratch) -> Read:
    dtype = torch_dtype(checkpoint.info(name).dtype)
    fill = checkpoint.filler(name)

    def read(start: int, stop: int) -> Tensor:
        block, content = scratch.take(stop - start, dtype)
        if fill is None:
            return checkpoint.read_span(name, start, stop, out=block)
        fill(start, content)
        return block

    return read


def _wide(tensor: MergedTensor) -> torch.dtype:
    import torch

    return torch.float64 if tensor.double else torch.float32


def _fits(merged: Tensor, code: str) -> bool:
    """Whether all numbers are finite, also after they are rounded to the dtype of that code."""
    import torch

    if not merged.numel():
        return True
    lowest, highest = torch.aminmax(merged)  # NaN where there is one
    largest = max(-float(lowest), float(highest))
    return largest < _OVERFLOW[code] and not math.isnan(float(lowest))


_OVERFLOW = {
    "F64": math.inf,
    "F32": (2 - 2**-24) * 2.0**127,
    "BF16": (2 - 2**-8) * 2.0**127,
    "F16": (2 - 2**-11) * 2.0**15,
}
"""The smallest magnitude that is rounded to infinity (halfway between the largest number and the next power of two)."""
