"""Which layer a tensor belongs to, and how deep in the model that layer lies.

Rule: the layer of a tensor is the first number in its dotted name that follows one of `LISTS`, as in `model.layers.7.`,
`encoder.layer.7.`, `transformer.h.7.`, `decoder.block.7.` or `blocks.7.`. What stands before the number is the stack. Each
stack, such as encoder and decoder, counts its own layers. All other tensors lie outside the layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

LISTS = ("layers", "layer", "h", "block", "blocks", "stages")
_COUNT_FIELDS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


@dataclass(frozen=True)
class Layers:
    """`counts`: for each stack, the number of its layers."""

    counts: Mapping[str, int]

    @classmethod
    def of(cls, tensor_names: Iterable[str], layers: int | None = None) -> Layers:
        """Counts the layers: the largest number + 1.

        `layers`: what config.json says. It wins where there is one stack, since a checkpoint may hold layers beyond the
        model's own, for the prediction of several tokens; those lie as deep as the last layer.
        """
        counts: dict[str, int] = {}
        for name in tensor_names:
            if place := layer_of(name):
                counts[place[0]] = max(counts.get(place[0], 0), place[1] + 1)
        if layers is not None and len(counts) == 1:
            counts = dict.fromkeys(counts, layers)
        return cls(counts)

    def depth(self, tensor: str) -> Fraction:
        """Returns 0 for the first layer to 1 for the last; 0 for tensors outside the layers and for a single layer."""
        place = layer_of(tensor)
        last = self.counts.get(place[0], 1) - 1 if place else 0
        return min(Fraction(place[1], last), Fraction(1)) if place and last > 0 else Fraction(0)


def layer_of(tensor: str) -> tuple[str, int] | None:
    """Returns (stack, layer), or None for a tensor outside the layers.

    >>> layer_of("model.layers.7.mlp.experts.3.w1.weight")
    ('model.layers', 7)
    """
    parts = tensor.split(".")
    for place, (before, part) in enumerate(pairwise(parts), start=1):
        if before in LISTS and part.isascii() and part.isdigit():
            return ".".join(parts[:place]), int(part)
    return None


def layer_count(config: Mapping[str, Any]) -> int | None:
    """Returns the number of layers that config.json names, of the text part where a model has several; None: it names none."""
    for level in (config.get("text_config") or {}, config):
        for field in _COUNT_FIELDS:
            if isinstance(level.get(field), int):
                return int(level[field])
    return None
