"""Adapters that are too much alike, and heads that are too little: what a merge of full models asks of its probe."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from hf_soup.adapters.replaced import replacements
from hf_soup.checkpoints.lora_adapter import LoraAdapter
from hf_soup.merging.probe import RELATED


def doubled(adapters: Sequence[LoraAdapter]) -> list[str]:
    """Returns a sentence for every adapter that holds the same numbers as an earlier one, and scales them alike."""
    return [
        f"{other.label} holds the same weights as {one.label}; name each adapter once and give it a weight instead."
        for one, other in combinations(adapters, 2)
        if _are_the_same(one, other)
    ]


def different_heads(adapters: Sequence[LoraAdapter]) -> list[str]:
    """Returns a warning where two adapters replace a matrix by ones that did not start from one: those farthest apart."""
    import torch

    far = []
    for one, other in combinations(adapters, 2):
        ours, theirs = replacements(one), replacements(other)
        for name in ours.keys() & theirs.keys():
            a, b = one.tensors.read(ours[name]).double(), other.tensors.read(theirs[name]).double()
            if a.ndim > 1 and a.shape == b.shape:
                cosine = float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0))
                if cosine < RELATED:
                    far.append((cosine, one.label, other.label))
    if not far:
        return []
    cosine, one_label, other_label = min(far)
    return [
        f"The heads did not start from one head (cosine {cosine:.2f} between {one_label} and {other_label}): averaging them has been "
        "seen to cost nothing and to cost ten points; let held-out data decide."
    ]


def _are_the_same(one: LoraAdapter, other: LoraAdapter) -> bool:
    """The fingerprints of folders are samples, so equal ones are looked at in full."""
    import torch

    if one.tensors.fingerprint != other.tensors.fingerprint or _scales(one) != _scales(other):
        return False
    return all(torch.equal(one.tensors.read(name), other.tensors.read(name)) for name in one.tensors.names())


def _scales(adapter: LoraAdapter) -> dict[str, float]:
    return {name: update.scale for name, update in adapter.updates.items()}
