"""Factors whose bytes differ, judged by what they add to the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hf_soup.adapters.product_distance import product_distance
from hf_soup.checkpoints import Checkpoint
from hf_soup.publishing.verdict import TensorVerdict, Verdict

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 1e-5
"""The largest difference of two updates, as a share of their norm, at which they count as equal.

Factors are written in float32, whose rounding is about 1e-7 of the norm; singular values that nearly coincide add some.
"""
_OF_A_FACTOR = 1e-3
"""The largest relative difference of the norms of two factors: those of nearly equal singular values are less exact than the product."""
_FACTORS = ((".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B"))


def compare_updates(
    verdicts: Sequence[TensorVerdict], published: Checkpoint, derived: Checkpoint
) -> list[TensorVerdict]:
    """Returns the verdicts with those of unequal factors replaced by that on the product B·A of their module.

    The factors' own norms have to agree too: a product says nothing of a factor that overflows. Factors that are missing or
    have other shapes stay different, and so do tensors that are no factors.
    """
    found = {verdict.name: verdict for verdict in verdicts}
    for module, a, b in _pairs(derived):
        unequal = [found[name] for name in (a, b) if found[name].verdict is not Verdict.IDENTICAL]
        if not unequal or any(verdict.note for verdict in unequal):
            continue
        factors = [checkpoint.read(name).flatten(1) for checkpoint in (derived, published) for name in (b, a)]
        distance, norm = product_distance(*factors)
        alike = all(_alike(ours, theirs) for ours, theirs in zip(factors[:2], factors[2:], strict=True))
        verdict = Verdict.EQUAL if distance <= TOLERANCE * norm and alike else Verdict.DIFFERENT
        share = distance / norm if norm else distance
        note = f"{verdict}: the update B·A of module '{module}' differs by {share:.2g} of its norm"
        if not alike:
            note += "; its factors A and B have other norms, and may be too large or too small for 16 bits"
        found |= {one.name: replace(one, verdict=verdict, note=note) for one in unequal}
    return list(found.values())


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    """Signs and rotations leave the norm of a factor as it is; only a scale that the other one takes back does not."""
    return math.isclose(float(ours.double().norm()), float(theirs.double().norm()), rel_tol=_OF_A_FACTOR)


def _pairs(checkpoint: Checkpoint) -> Iterator[tuple[str, str, str]]:
    for name in checkpoint.names():
        for a, b in _FACTORS:
            if name.endswith(a):
                yield name.removesuffix(a).removeprefix("base_model.model."), name, name.removesuffix(a) + b
