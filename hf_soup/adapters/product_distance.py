"""How far two low-rank updates are apart, whatever their factors look like, without building either matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def product_distance(b: Tensor, a: Tensor, other_b: Tensor, other_a: Tensor) -> tuple[float, float]:
    """Returns ‖B·A − B'·A'‖ and ‖B·A‖ (Frobenius), in float64.

    `b`: [m, r], `a`: [r, n], kernels flattened; those of the other update may have another r. The factors of one product
    are not unique, signs and rotations cancel: this compares what is added to the weights. With the Q-R decompositions
    [B, −B'] = Q₁R₁ and [A; A']ᵀ = Q₂R₂ the difference is Q₁R₁R₂ᵀQ₂ᵀ, and its norm that of the small R₁R₂ᵀ.
    """
    import torch

    left = torch.cat([b.double(), -other_b.double()], 1)
    right = torch.cat([a.double(), other_a.double()], 0)
    return _norm(left, right), _norm(b.double(), a.double())


def _norm(b: Tensor, a: Tensor) -> float:
    import torch

    left, right = torch.linalg.qr(b, mode="r").R, torch.linalg.qr(a.T, mode="r").R
    return float(torch.linalg.norm(left @ right.T))
