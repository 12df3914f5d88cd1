"""Task vectors: what fine-tuning changed, model minus base."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from torch import Tensor


def task_vectors(models: Iterable[Tensor], base: Tensor) -> Iterator[Tensor]:
    """Yields xᵢ − base of one model after the other, in the memory of xᵢ, which the caller may change too."""
    for x in models:
        yield x.sub_(base)


def sum_of(vectors: Iterable[Tensor], factors: Sequence[float]) -> Tensor:
    """Returns Σ fᵢ vᵢ in the memory of the first vector; each is taken once, in order, and changed."""
    terms = (vector if f == 1.0 else vector.mul_(f) for f, vector in zip(factors, vectors, strict=True))
    total = next(terms)
    for term in terms:
        total.add_(term)
    return total


def added(base: Tensor, change: Tensor, scale: float) -> Tensor:
    """Returns base + scale · change, in the memory of `change`."""
    return (change if scale == 1.0 else change.mul_(scale)).add_(base)
