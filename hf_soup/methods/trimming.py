"""Which entries of a task vector are kept: exactly so many of the largest, found without sorting and in bounded memory.

Of bfloat16 checkpoints many differences are equal, so the threshold alone does not say it: of the entries that equal it
the first ones are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hf_soup.methods.blocks import GRANULE, Granules

_GROUP = 3  # models that one pass looks at together, so that memory does not grow with their number
_BUFFER = 3 << 20  # bytes of values inside a bracket, for each of them
_BIN_BITS = 17  # of a histogram, for values that do not fit the buffer: 1 MiB a model
_SMALL = 2 * GRANULE  # elements; below, all values are held and no sample is needed


class Trim(NamedTuple):
    """What is kept: |d| > threshold everywhere, and |d| = threshold where the position is below `cut`.

    A threshold of zero keeps everything, with any cut: zeros add nothing.
    """

    threshold: float
    cut: int

    def apply(self, vector: Tensor, start: int) -> Tensor:
        """Sets to zero what is not kept in a 1-D block that begins at `start`; returns the block. NaN stays."""
        if self.threshold == 0:
            return vector
        ties = min(max(self.cut - start, 0), len(vector))
        kept, strict = vector[:ties], vector[ties:]
        if len(kept):
            number = np.float32 if vector.dtype == torch.float32 else np.float64
            torch.hardshrink(kept, float(np.nextafter(number(self.threshold), number(0))), out=kept)
        if len(strict):
            torch.hardshrink(strict, self.threshold, out=strict)
        return vector


def trims(granules: Granules, density: Sequence[float]) -> list[Trim]:
    """Returns for each model how to keep its int(density · n) largest |x − base|, at least one where density > 0.

    Reads each model's tensor once, seldom two or three times, and the base once for every three models: a sample gives a bracket for the threshold, one pass counts what is
    above it and holds what is inside, and a selection among these is exact. A bracket that was missed, or whose content
    is too much to hold, is replaced by a narrower one. NaN counts as smaller than everything.
    """
    n = granules.numel
    found = {}
    keep = {}
    for model, share in enumerate(density):
        quota = max(1, int(share * n)) if share > 0 else 0
        if quota == 0:
            found[model] = Trim(float("inf"), 0)
        elif quota >= n:
            found[model] = Trim(0.0, 0)
        else:
            keep[model] = quota
    brackets = _brackets(granules, keep)
    models = list(keep)
    for first in range(0, len(models), _GROUP):
        group = models[first : first + _GROUP]
        searches = {m: _Search(keep[m], brackets[m]) for m in group}
        while searches:
            _pass(granules, searches)
            found |= {m: trim for m, s in searches.items() if (trim := s.conclude(granules, m)) is not None}
            searches = {m: s for m, s in searches.items() if m not in found}
    return [found[model] for model in range(len(density))]


def _brackets(granules: Granules, keep: dict[int, int]) -> dict[int, tuple[Any, Any]]:
    """Returns for each model two values between which the threshold very likely lies."""
    n = granules.numel
    if not keep:
        return {}
    if n <= _SMALL:
        base, _ = granules[0]
        assert base is not None
        number = base.numpy().dtype.type
        return {model: (number(0), number(np.inf)) for model in keep}
    base, models = granules.sample(min(max(n >> 6, 1 << 15), 1 << 18))
    assert base is not None
    brackets = {}
    for model, quota in keep.items():
        values = np.nan_to_num((models[model] - base).abs_().numpy(), nan=0.0, posinf=np.inf, copy=False)
        number = values.dtype.type
        size = len(values)
        rank = quota / n * size
        # Eight standard deviations of a random sample: neighbours in a tensor are alike, and a miss costs a pass.
        slack = 8 * (rank * (1 - quota / n)) ** 0.5 + 2
        high, low = size - 1 - int(rank - slack), size - 1 - int(rank + slack)
        upper, lower = number(np.inf), number(0)
        if rank > slack and high < size:
            values.partition(high)
            upper = values[high]
            values = values[: high + 1]
        if low >= 0:
            values.partition(low)
            lower = values[low]
        brackets[model] = (lower, upper)
    return brackets


def _pass(granules: Granules, searches: dict[int, _Search]) -> None:
    for search in searches.values():
        search.begin()
    scratch: Tensor | None = None
    for index in range(len(granules)):
        base, models = granules[index]
        assert base is not None
        if scratch is None:
            scratch = torch.empty_like(base)
        for model, search in searches.items():
            search.see(torch.sub(models[model], base, out=scratch[: len(base)]).abs_().numpy())


class _Search:
    """The threshold of one model: the bracket [low, high] that holds it, and what a pass finds there."""

    def __init__(self, keep: int, bracket: tuple[Any, Any]) -> None:
        self.keep = keep
        self.low, self.high = bracket
        self.number = type(self.low)
        self.bits: Any = np.uint32 if self.number is np.float32 else np.uint64
        self.buffer = np.empty(_BUFFER // self.low.nbytes, self.number)

    def begin(self) -> None:
        self.above = 0  # values greater than `high`
        self.inside = 0  # values in the bracket; zeros are not counted
        self.held = 0  # of these, how many the buffer holds, in the order of their positions
        self.ends: list[int] = []  # after each granule: `held`, or of a bracket of one value `inside`
        self.bins: np.ndarray | None = None

    def see(self, magnitudes: np.ndarray) -> None:
        """Takes in the |x − base| of the next granule."""
        over = magnitudes > self.high
        self.above += int(np.count_nonzero(over))
        within = magnitudes >= self.low if self.low > 0 else magnitudes > 0
        within ^= over
        if self.low == self.high:
            self.inside += int(np.count_nonzero(within))
            self.ends.append(self.inside)
            return
        values = np.compress(within, magnitudes)
        self.inside += len(values)
        if self.held + len(values) > len(self.buffer):
            self._empty_buffer()
        self.buffer[self.held : self.held + len(values)] = values
        self.held += len(values)
        self.ends.append(self.held)

    def conclude(self, granules: Granules, model: int) -> Trim | None:
        """Returns the result, or None after narrowing the bracket for another pass."""
        wanted = self.keep - self.above
        if wanted == 0:
            return Trim(float(self.high), 0)
        if wanted < 0:
            self.low, self.high = np.nextafter(self.high, self.number(np.inf)), self.number(np.inf)
            return None
        if wanted > self.inside:
            if self.low == 0:
                return Trim(0.0, 0)
            self.low, self.high = self.number(0), np.nextafter(self.low, self.number(0))
            return None
        if self.low == self.high:
            granule = int(np.searchsorted(self.ends, wanted))
            before = self.ends[granule - 1] if granule else 0
            return self._trim(granules, model, self.low, self.inside, wanted, granule, before)
        if self.bins is not None:
            return self._narrow(granules, model, wanted)
        held = self.buffer[: self.held]
        threshold = np.partition(held, self.held - wanted)[self.held - wanted]
        quota = wanted - int(np.count_nonzero(held > threshold))
        ties = np.flatnonzero(held == threshold)
        granule = int(np.searchsorted(self.ends, ties[quota - 1], side="right"))
        before = int(np.searchsorted(ties, self.ends[granule - 1])) if granule else 0
        return self._trim(granules, model, threshold, len(ties), quota, granule, before)

    def _trim(
        self, granules: Granules, model: int, threshold: Any, ties: int, quota: int, granule: int, before: int
    ) -> Trim:
        """`quota` of `ties` equal values are kept; `before` of them lie before `granule`, fewer than the quota."""
        if quota == ties:
            return Trim(float(threshold), granules.numel)
        while True:
            base, models = granules[granule]
            assert base is not None
            places = np.flatnonzero((models[model] - base).abs_().numpy() == threshold)
            if before + len(places) >= quota:
                return Trim(float(threshold), granule * GRANULE + int(places[quota - before - 1]) + 1)
            before += len(places)
            granule += 1

    def _empty_buffer(self) -> None:
        """Counts what the buffer holds by its leading bits, which order positive floats as numbers are ordered."""
        low, high = int(self.low.view(self.bits)), int(self.high.view(self.bits))
        self.shift = max(0, (high - low).bit_length() - _BIN_BITS)
        if self.bins is None:
            self.bins = np.zeros(((high - low) >> self.shift) + 1, np.int64)
        for start in range(0, self.held, GRANULE):  # in pieces, for their places are longer than the values
            values = self.buffer[start : min(start + GRANULE, self.held)]
            places = (values.view(self.bits) - self.bits(low)) >> self.bits(self.shift)
            self.bins += np.bincount(places.astype(np.intp), minlength=len(self.bins))
        self.held = 0

    def _narrow(self, granules: Granules, model: int, wanted: int) -> Trim | None:
        self._empty_buffer()
        assert self.bins is not None
        from_top = np.cumsum(self.bins[::-1])
        place = int(np.searchsorted(from_top, wanted))
        count = int(self.bins[::-1][place])
        first = int(self.low.view(self.bits)) + ((len(self.bins) - 1 - place) << self.shift)
        low = self.bits(first).view(self.number)
        if self.shift == 0:
            return self._trim(granules, model, low, count, wanted - (int(from_top[place]) - count), 0, 0)
        last = min(first + (1 << self.shift) - 1, int(self.high.view(self.bits)))
        self.low, self.high = low, self.bits(last).view(self.number)
        return None
