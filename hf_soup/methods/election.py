"""The sign election of TIES: at each position the sign with more mass wins, and only values of that sign are merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor


def elected(vectors: Iterable[Tensor], weight: Sequence[float], normalize: bool) -> Tensor:
    """Returns what task vectors say where they agree with the elected sign.

    vectors: of one shape, one for each weight; each is taken once, in order, and changed. With yᵢ = wᵢ dᵢ the sign
    s = sgn Σ yᵢ is elected (a sum of exactly zero elects +). Returns Σ yᵢ over sgn yᵢ = s, with `normalize` divided by Σ wᵢ
    over the same i: the paper's mean where weights are equal. Zero where all vectors are zero; NaN where one is NaN.
    Source: TIES-Merging, arXiv 2306.01708, algorithm 1 (elect, disjoint merge).
    """
    vectors = iter(vectors)
    first = next(vectors)
    vectors = chain([first], vectors)
    if not normalize:
        return _winners_twice(*_sums(_weighted(vectors, weight))).mul_(0.5)
    if weight[0] > 0 and len(set(weight)) == 1:  # the weights cancel
        if first.device.type == "cpu":
            return _mean_of_winners(vectors, len(weight), first.shape)
        weight = [1.0] * len(weight)
    return _weighted_mean_of_winners(vectors, weight)


def _weighted(vectors: Iterable[Tensor], weight: Sequence[float]) -> Iterator[Tensor]:
    for vector, w in zip(vectors, weight, strict=True):
        yield vector if w == 1.0 else vector.mul_(w)


def _sums(vectors: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns Σ y and Σ |y|."""
    first = next(vectors)
    total, mass = first, first.abs()
    for vector in vectors:
        total.add_(vector)
        mass.add_(vector.abs_())
    return total, mass


def _winners_twice(total: Tensor, mass: Tensor) -> Tensor:
    """Returns twice Σ y over the winning side, in the memory of `mass`: it is Σ y + s Σ |y|."""
    return torch.copysign(mass, total, out=mass).add_(total)


def _mean_of_winners(vectors: Iterable[Tensor], n_models: int, shape: tuple[int, ...]) -> Tensor:
    """The mean on a CPU for equal weights. numpy compares and counts in bytes, many times faster than torch in floats."""
    positive, negative = np.zeros((2, *shape), np.uint8 if n_models < 128 else np.uint32)

    def counted() -> Iterator[Tensor]:
        nonlocal positive, negative
        for vector in vectors:
            values = vector.numpy()
            positive += (values > 0).view(np.uint8)
            negative += (values < 0).view(np.uint8)
            yield vector

    total, mass = _sums(counted())
    # Differences wrap around below zero, and back again in the sum.
    count = (positive - negative) * (total.numpy() >= 0).view(np.uint8) + negative
    count += (count == 0).view(np.uint8)
    count += count
    return _winners_twice(total, mass).div_(torch.from_numpy(count.astype(total.numpy().dtype)))


def _weighted_mean_of_winners(vectors: Iterable[Tensor], weight: Sequence[float]) -> Tensor:
    """The weighted mean, by arithmetic alone, which is fast on every device."""
    sides: list[Tensor] = []

    def counted() -> Iterator[Tensor]:
        for vector, w in zip(_weighted(vectors, weight), weight, strict=True):
            if not sides:
                sides.extend([torch.zeros_like(vector), torch.zeros_like(vector)])
            sides[0].add_(vector.clamp(min=0).sign_().mul_(w))
            sides[1].add_(vector.clamp(max=0).sign_().mul_(-w))
            yield vector

    total, mass = _sums(counted())
    plus = total.sign().add_(0.5).sign_().add_(1).mul_(0.5)  # 1 where + is elected, else 0
    divisor = sides[0].mul_(plus).add_(sides[1].mul_(1 - plus))
    # Weights of both signs can cancel, up to rounding; then the sum stays as it is.
    divisor = torch.hardshrink(divisor, 1e-6 * max(abs(w) for w in weight))
    divisor.add_(1 - divisor.abs().sign_())
    return _winners_twice(total, mass).div_(divisor.mul_(2))
