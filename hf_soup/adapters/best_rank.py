"""The best low-rank approximation of one dense matrix, for matrices too large for a full singular value decomposition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_soup.adapters.low_rank import Factors, Truncation, kept_rank

if TYPE_CHECKING:
    from torch import Tensor

_OVERSAMPLED = 12
_PASSES = 4
_SKETCHED_FROM = 8  # times as many rows and columns as the sketch has: below, the exact way is as fast


def best_low_rank(matrix: Tensor, *, rank: int | None = None, energy: float | None = None) -> Truncation:
    """Returns the rank-R update nearest to a matrix [m, n] (Frobenius norm), or the smallest one that keeps an energy.

    Exact from the eigenvectors of the smaller Gram matrix, in float64. Where only a rank is asked for that is small beside
    m and n, a randomised range finder with power iterations takes their place (Halko, Martinsson and Tropp, 2011,
    arXiv 0909.4061, algorithm 4.4; fixed seed). Energies are measured on the result in both cases, not estimated.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    turned = matrix.double() if wide else matrix.double().T
    squared_norm = float(turned.square().sum())
    if rank is not None and min(matrix.shape) > _SKETCHED_FROM * (rank + _OVERSAMPLED):
        basis = _sketched(turned, rank)
    else:
        basis = _exact(turned, rank, energy)
    rest = basis.T @ turned
    kept = float(rest.square().sum())
    root = rest.norm(dim=1).sqrt().clamp_min(1e-150)  # each singular value is shared evenly between A and B
    left, right = (basis * root).float(), (rest / root[:, None]).float()
    factors = (
        Factors(right.contiguous(), left.contiguous()) if wide else Factors(left.T.contiguous(), right.T.contiguous())
    )
    return Truncation(factors, min(1.0, kept / squared_norm) if squared_norm else 1.0, squared_norm)


def _exact(matrix: Tensor, rank: int | None, energy: float | None) -> Tensor:
    import torch

    values, vectors = torch.linalg.eigh(matrix @ matrix.T)
    squares = values.flip(0).clamp_min(0)
    return vectors.flip(1)[:, : kept_rank(squares, rank, energy)]


def _sketched(matrix: Tensor, rank: int) -> Tensor:
    import torch

    generator = torch.Generator().manual_seed(0)
    sketch = torch.randn(matrix.shape[1], rank + _OVERSAMPLED, generator=generator, dtype=matrix.dtype)
    basis = torch.linalg.qr(matrix @ sketch).Q
    for _ in range(_PASSES):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
    return basis @ torch.linalg.svd(basis.T @ matrix, full_matrices=False).U[:, :rank]
