"""Reading an adapter's tensors so that NaN does not travel on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_soup.checkpoints.checkpoint import Checkpoint
from hf_soup.errors import NonFiniteWeights

if TYPE_CHECKING:
    from torch import Tensor


def read_finite(checkpoint: Checkpoint, name: str) -> Tensor:
    """Returns a tensor as it is stored. Raises NonFiniteWeights, naming model and tensor, for NaN or infinity in it."""
    tensor = checkpoint.read(name)
    if not tensor.isfinite().all():
        raise NonFiniteWeights(
            f"{checkpoint.label}: tensor '{name}' has NaN or infinity; leave this model out or repair it."
        )
    return tensor
