"""Weighted sums of low-rank updates, as one low-rank update: exactly, or the best one of a smaller rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hf_soup.errors import NonFiniteWeights

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TOO_LARGE = "the weighted sum is too large for {}; use smaller weights, and look at the scales of these adapters (lora_alpha and r)"


class Update(Protocol):
    """What an adapter adds to one tensor: scale · B · A.

    `a`: (r, n), for a convolution (r, in, height, width); `b`: (m, r), for a convolution (m, r, 1, 1). Of an embedding,
    whose weight is transposed against the product, both lie as PEFT stores them: a (r, words), b (width, r).
    """

    @property
    def a(self) -> Tensor: ...
    @property
    def b(self) -> Tensor: ...
    @property
    def scale(self) -> float: ...


@dataclass(frozen=True)
class Factors:
    """An update whose scale is 1. Shapes as in `Update`."""

    a: Tensor
    b: Tensor
    scale: float = 1.0

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])


@dataclass(frozen=True)
class Truncation:
    """The best update of a rank, and what it keeps.

    `energy`: Σσ² of the kept singular values over Σσ² of all, 1.0 for a sum that is zero. `squared_norm`: Σσ² of all, that
    is ‖Σ wᵢ sᵢ Bᵢ Aᵢ‖²; the squared Frobenius error is (1 - energy) of it, the least possible one (Eckart and Young, 1936).
    """

    factors: Factors
    energy: float
    squared_norm: float

    @property
    def rank(self) -> int:
        return self.factors.rank


def concatenated(updates: Sequence[Update], weights: Sequence[float]) -> Factors:
    """Returns the update of rank Σ rᵢ whose product is Σ wᵢ sᵢ Bᵢ Aᵢ, for any real weights.

    A = [A₁; A₂; …], B = [w₁s₁B₁, w₂s₂B₂, …]: rows and columns are put beside each other, so ranks and scales may differ.
    Elements come in float32, or float64 where a factor has it; those of A are unchanged, those of B rounded once. Terms of
    weight 0 are left out unless all are. Raises ValueError for factors of different tensors, and for a grouped
    convolution, whose update is no product of two matrices; NonFiniteWeights for a result that its dtype does not hold.
    """
    import torch

    terms = _terms(updates, weights)
    dtype = torch.promote_types(_dtype([u.a for u, _ in terms]), _dtype([u.b for u, _ in terms]))
    a = torch.cat([update.a.to(dtype) for update, _ in terms], 0)
    b = torch.cat([_scaled(update.b, weight * update.scale, dtype) for update, weight in terms], 1)
    return _finite(Factors(a, b))


def truncated(
    updates: Sequence[Update], weights: Sequence[float], *, rank: int | None = None, energy: float | None = None
) -> Truncation:
    """Returns the best update of a rank (in the Frobenius norm) for Σ wᵢ sᵢ Bᵢ Aᵢ, without building that matrix.

    One of the two: `rank`, of which at most min(m, n, Σ rᵢ) is used; or `energy` in (0, 1], the share of Σσ² to keep, for
    which the smallest rank is taken. From Q-R decompositions of the stacked factors, B = Q₁R₁ and Aᵀ = Q₂R₂, and the
    singular values of the small core R₁R₂ᵀ of Σ rᵢ rows and columns; the orthogonal Q are applied, never formed. All in float64;
    comes back in the dtype of `concatenated`, each singular value shared evenly between A and B. Raises what `concatenated` raises.
    """
    import torch

    if (rank is None) == (energy is None):
        raise ValueError("one of rank and energy decides how much is kept")
    whole = concatenated(updates, weights)
    left, right = _Orthogonal(_matrix(whole.b)), _Orthogonal(_matrix(whole.a).T)
    core = left.r @ right.r.T
    if not core.isfinite().all():
        raise NonFiniteWeights(_TOO_LARGE.format("float64"))
    u, sigma, vh = torch.linalg.svd(core, full_matrices=False)
    squares = sigma.square()
    squared_norm = float(squares.sum())
    kept = kept_rank(squares, rank, energy)
    root = sigma[:kept].sqrt()
    a = right.apply(vh[:kept].T * root).T.to(whole.a.dtype)
    b = left.apply(u[:, :kept] * root).to(whole.b.dtype)
    factors = Factors(a.reshape(kept, *whole.a.shape[1:]), b.reshape(b.shape[0], kept, *whole.b.shape[2:]))
    share = float(squares[:kept].sum()) / squared_norm if squared_norm else 1.0
    return Truncation(_finite(factors), share, squared_norm)


class _Orthogonal:
    """Q-R of a tall or wide matrix, in float64; Q is kept as reflections, which costs less than the matrix itself."""

    def __init__(self, matrix: Tensor) -> None:
        import torch

        self._rows = matrix.shape[0]
        self._reflections, self._tau = torch.geqrf(matrix.double())
        self.r = self._reflections[: min(matrix.shape)].triu()

    def apply(self, columns: Tensor) -> Tensor:
        """Returns Q times `columns`."""
        import torch

        padded = columns.new_zeros(self._rows, columns.shape[1])
        padded[: columns.shape[0]] = columns
        return torch.ormqr(self._reflections[:, : len(self._tau)], self._tau, padded)


def _terms(updates: Sequence[Update], weights: Sequence[float]) -> list[tuple[Update, float]]:
    terms = list(zip(updates, weights, strict=True))
    if not terms:
        raise ValueError("there is no update")
    for update, weight in terms:
        if not math.isfinite(weight * update.scale):
            raise ValueError(f"weight {weight} and scale {update.scale} have no finite product")
        if update.b.shape[1] != update.a.shape[0] or math.prod(update.b.shape[2:]) != 1:
            raise ValueError(f"A {list(update.a.shape)} and B {list(update.b.shape)} are not factors of one product")
        first = terms[0][0]
        if update.a.shape[1:] != first.a.shape[1:] or update.b.shape[0] != first.b.shape[0]:
            raise ValueError(
                f"A {list(update.a.shape)} and B {list(update.b.shape)} change another tensor than A {list(first.a.shape)} "
                f"and B {list(first.b.shape)}"
            )
    return [term for term in terms if term[1] != 0] or terms[:1]


def kept_rank(squares: Tensor, rank: int | None, energy: float | None) -> int:
    """How many of the falling squares are kept; at least one, because PEFT knows no rank 0."""
    if rank is not None:
        return max(1, min(rank, len(squares)))
    assert energy is not None
    total = float(squares.sum())
    reached = (squares.cumsum(0) >= energy * total).nonzero()
    return int(reached[0]) + 1 if len(reached) else len(squares)


def _dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    import torch

    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def _scaled(tensor: Tensor, factor: float, dtype: torch.dtype) -> Tensor:
    """The product is rounded once: a factor that float32 does not hold is not rounded before."""
    return tensor.to(dtype) if factor == 1 else tensor.double().mul_(factor).to(dtype)


def _finite(factors: Factors) -> Factors:
    if not (factors.a.isfinite().all() and factors.b.isfinite().all()):
        raise NonFiniteWeights(_TOO_LARGE.format(str(factors.b.dtype).removeprefix("torch.")))
    return factors


def _matrix(tensor: Tensor) -> Tensor:
    return tensor.flatten(1)
