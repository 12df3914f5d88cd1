"""How a method sees a tensor: in granules of fixed size, so that its result does not depend on how the work was cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

GRANULE = 262_144
"""Elements. Sums over a tensor are taken granule by granule, in order, in float64; blocks begin at multiples of it. Smaller
ones cost workers more waiting for each other than they gain in the caches (65,536: 2 to 3 times the time with two workers)."""


@dataclass(frozen=True)
class Place:
    """Where a block lies.

    `start`: index of its first element in the flattened tensor, a multiple of GRANULE. `fingerprints`: of the models, in
    the order of the models; with the tensor's name and the position they are all that a random draw may depend on.
    """

    tensor: str
    start: int
    fingerprints: Sequence[str]


class Granules(Protocol):
    """One tensor of all models, granule after granule, read as often as a survey asks for it.

    A granule is `(base, models)`: 1-D tensors on the CPU, float32 (float64 where an input is float64), GRANULE elements or
    fewer at the end; base is None for a method without one. `models` is read when it is indexed or iterated, into a tensor
    that the caller may change, so that one model at a time is in memory.
    """

    numel: int
    n_models: int

    def __len__(self) -> int:
        """The number of granules."""

    def __getitem__(self, index: int) -> tuple[Tensor | None, Sequence[Tensor]]:
        """Granule number `index`, from 0."""

    def sample(self, elements: int) -> tuple[Tensor | None, Sequence[Tensor]]:
        """About `elements` values from places spread over the tensor, the same ones of every model; all of a small tensor.

        For guesses that are checked afterwards: no result may depend on it.
        """
