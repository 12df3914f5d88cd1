"""What is asked of a combination: the weights of its sum, and how much of the sum is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hf_soup.checkpoints.lora_adapter import LoraAdapter, UpdateKind

Rank = int | Literal["auto"] | None
_ENERGY = 0.99
"""What `rank="auto"` keeps unless it is told."""


@dataclass(frozen=True)
class Size:
    """How much of the exact sum is kept: all (both None), a rank, or a share of the squared norm."""

    rank: int | None = None
    energy: float | None = None


def shares_of(count: int, weights: Sequence[float] | None, normalize: bool, problems: list[str]) -> list[float]:
    """Returns the weights as they enter the sum of `count` adapters, uniform without any; [] where they are wrong, which
    goes to `problems`."""
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(given) != count:
        problems.append(f"There are {count} adapters and {len(given)} weights; give one weight per adapter.")
    elif not all(map(math.isfinite, given)):
        problems.append("A weight is not a finite number.")
    elif given and not any(given):
        problems.append(
            "All weights are 0, and nothing would be left of the adapters; give one of them another weight."
        )
    elif normalize and abs(math.fsum(given)) < 1e-12:
        problems.append("The weights sum to 0 and cannot be divided by it; use them as they are with --no-normalize.")
    else:
        total = math.fsum(given) if normalize else 1.0
        return [weight / total for weight in given]
    return []


def size_of(
    adapters: Sequence[LoraAdapter],
    form: str,
    rank: Rank,
    energy: float | None,
    problems: list[str],
    *,
    complete: bool = True,
) -> Size:
    """Returns how much is kept by `form`, "concat" or "svd"; what is wrong goes to `problems`.

    `complete`: whether these are all adapters; else some could not be opened, and the largest rank is not known.
    """
    if form not in ("concat", "svd"):
        problems.append(f"as_='{form}': an adapter is made by 'concat' or 'svd'.")
        return Size()
    if form == "concat":
        if rank is not None or energy is not None:
            problems.append("rank and energy belong to the form svd; concat keeps everything.")
        return Size()
    if rank == "auto" or (rank is None and energy is not None):
        energy = _ENERGY if energy is None else energy
        if not 0 < energy <= 1:
            problems.append(f"energy={energy}: is the share of the squared norm to keep, above 0 and at most 1.")
        return Size(energy=energy)
    if energy is not None:
        problems.append("Give a rank or an energy, not both; rank='auto' takes the smallest rank with that energy.")
    whole = _largest_rank(adapters)
    if rank is None:
        ranks = [update.rank for adapter in adapters for update in adapter.updates.values()]
        return Size(min(max(ranks, default=1), whole))
    if rank < 1 and not complete:
        problems.append(f"rank={rank}: is at least 1.")
    elif complete and not 0 < rank <= whole:
        problems.append(
            f"rank={rank}: the exact sum of these adapters has rank {whole}; ask for 1 to {whole}, or for concat."
        )
    return Size(rank)


def _largest_rank(adapters: Sequence[LoraAdapter]) -> int:
    """The largest rank that the sum of any module can have: that of all factors together, or the module's smaller side."""
    sums: dict[str, int] = {}
    sides: dict[str, int] = {}
    for adapter in adapters:
        for update in adapter.updates.values():
            if update.kind is not UpdateKind.BIAS:
                sums[update.module] = sums.get(update.module, 0) + update.rank
                sides[update.module] = min(update.shape[0], math.prod(update.shape[1:]))
    return max((min(total, sides[module]) for module, total in sums.items()), default=0)
