"""Two checkpoints compared tensor by tensor, in spans, so that neither is ever whole in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hf_soup.checkpoints import Checkpoint
from hf_soup.merging.threads import one_torch_thread
from hf_soup.publishing.verdict import TensorVerdict, Verdict

if TYPE_CHECKING:
    from torch import Tensor

_SPAN_ELEMENTS = 1 << 20


@dataclass(frozen=True)
class _Difference:
    differing: int = 0
    beyond_rounding: int = 0
    largest: float = 0.0


def compare_tensors(
    published: Checkpoint, derived: Checkpoint, *, whole_tensors: bool, progress: Callable[[int], None]
) -> list[TensorVerdict]:
    """Returns a verdict for each tensor of either side, sorted by name.

    `whole_tensors`: the derivation cannot compute parts of a tensor. `progress` gets the bytes compared since its last
    call, from several threads.
    """
    there, wanted = set(published.names()), set(derived.names())
    verdicts = [
        TensorVerdict(
            name, Verdict.DIFFERENT, published.info(name).numel, note="is published, but is not in the derived model"
        )
        for name in there - wanted
    ]
    verdicts += [
        TensorVerdict(name, Verdict.DIFFERENT, derived.info(name).numel, note="is missing from what is published")
        for name in wanted - there
    ]
    with one_torch_thread(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for name in sorted(there & wanted):
            verdicts.append(_compare(pool, published, derived, name, whole_tensors, progress))
    return sorted(verdicts, key=lambda verdict: verdict.name)


def _compare(
    pool: ThreadPoolExecutor,
    published: Checkpoint,
    derived: Checkpoint,
    name: str,
    whole: bool,
    progress: Callable[[int], None],
) -> TensorVerdict:
    mine, theirs = derived.info(name), published.info(name)
    if (mine.dtype, mine.shape) != (theirs.dtype, theirs.shape):
        note = f"is {theirs.dtype} {list(theirs.shape)}, derived it is {mine.dtype} {list(mine.shape)}"
        return TensorVerdict(name, Verdict.DIFFERENT, theirs.numel, theirs.numel, note=note)

    def compare_span(span: tuple[int, int]) -> _Difference:
        found = _difference(published.read_span(name, *span), derived.read_span(name, *span))
        progress((span[1] - span[0]) * (mine.nbytes // mine.numel))
        return found

    parts = list(pool.map(compare_span, _spans(mine.numel, mine.numel if whole else _SPAN_ELEMENTS)))
    differing = sum(part.differing for part in parts)
    if differing == 0:
        return TensorVerdict(name, Verdict.IDENTICAL, mine.numel)
    verdict = Verdict.DIFFERENT if any(part.beyond_rounding for part in parts) else Verdict.ROUNDING
    largest = max(part.largest for part in parts)
    return TensorVerdict(name, verdict, mine.numel, differing, largest)


def _spans(numel: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, numel, max(step, 1)):
        yield start, min(start + step, numel)


def _difference(left: Tensor, right: Tensor) -> _Difference:
    """Counts elements whose bits differ, and those that are not neighbours among the numbers of their dtype."""
    import torch

    if torch.equal(left.view(torch.uint8), right.view(torch.uint8)):
        return _Difference()
    if not left.is_floating_point():
        unequal = left != right
        distance = (left.to(torch.float64) - right.to(torch.float64)).abs()
        return _Difference(int(unequal.sum()), int(unequal.sum()), float(distance.max()))
    left_rank, right_rank = _rank(left), _rank(right)
    # Bits, not values: -0.0 and 0.0 are equal numbers of unequal bytes, and their ranks are neighbours.
    unequal = left_rank != right_rank
    steps = (left_rank - right_rank).abs()
    finite = torch.isfinite(left) & torch.isfinite(right)
    beyond = unequal & ((steps > 1) | ~finite)
    distance = (left.to(torch.float64) - right.to(torch.float64)).abs().nan_to_num(torch.inf, torch.inf)
    return _Difference(int(unequal.sum()), int(beyond.sum()), float(distance.max()))


def _rank(values: Tensor) -> Tensor:
    """Returns each number's place among all numbers of its dtype, so that neighbours differ by one.

    The bits of non-negative numbers are in order already; those of negative ones run the other way, below zero.
    """
    import torch

    integer = {2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    bits = values.view(integer)
    lowest = torch.iinfo(integer).min
    if integer is torch.int64:
        return torch.where(bits >= 0, bits, lowest - bits - 1)
    bits = bits.to(torch.int64)
    return torch.where(bits >= 0, bits, lowest - bits - 1)
