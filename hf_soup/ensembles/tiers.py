"""The first tier: members become what is weighed, families or the members themselves, in blocks of rows.

Tier 1 of AWARE-NET (arXiv 2505.00312) is p_A(x) = (1/n) Σᵢ p_Aᵢ(x) over the n members of family A. Here also the mean of logits:
softmax((1/n) Σᵢ ln p_Aᵢ), which needs no logits, because a constant that softmax took off is taken off again.
A temperature T turns probabilities p into softmax(ln p / T).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from hf_soup.errors import InputError

Tier1 = Literal["mean", "logit_mean", "soup"]
Shape = Literal["tiered", "flat"]

FLOOR = 1e-12
"""Probabilities below it count as this much where a logarithm is taken, so that a zero is a large loss and not an infinite one."""
_BLOCK_ELEMENTS = 2**17  # a megabyte of float64: stays in the cache of a core


def row_blocks(rows: int, elements_per_row: int) -> Iterator[slice]:
    """Splits rows so that an array with so many elements a row stays small."""
    size = max(1, _BLOCK_ELEMENTS // max(1, elements_per_row))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def log_of(probabilities: np.ndarray) -> np.ndarray:
    """Natural logarithm, float64, of probabilities not below `FLOOR`; NaN stays."""
    return np.log(np.maximum(probabilities, FLOOR, dtype=np.float64))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in place; returns its argument, float64."""
    logits -= logits.max(axis=-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=-1, keepdims=True)
    return logits


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(ln p / T) over the last axis, float64; for T = 1 the probabilities as they are."""
    if temperature == 1.0:
        return probabilities.astype(np.float64)
    return softmax(log_of(probabilities) / temperature)


@dataclass(frozen=True)
class Tiers:
    """How M members become the K inputs of the second tier.

    `inputs_members[k]`: places of the members of input k. `member_temperatures` [M], before they are joined;
    `input_temperatures` [K], after.
    """

    names: tuple[str, ...]
    inputs_members: tuple[tuple[int, ...], ...]
    tier1: Tier1
    member_temperatures: tuple[float, ...]
    input_temperatures: tuple[float, ...]

    @classmethod
    def of(
        cls, families: Mapping[str, Sequence[str]], shape: Shape, tier1: Tier1, temperatures: Mapping[str, float]
    ) -> Self:
        """`families`: the names of their members, in the order of the members' probabilities. Empty temperatures: none.

        Raises InputError for temperatures that are neither those of all members nor those of all families.
        """
        members = [member for names in families.values() for member in names]
        family_of = {member: family for family, names in families.items() for member in names}
        by_member, by_input = dict.fromkeys(members, 1.0), dict.fromkeys(families, 1.0)
        if temperatures and set(temperatures) == set(members):
            by_member = {member: temperatures[member] for member in members}
        elif temperatures and set(temperatures) == set(families):
            by_input = {family: temperatures[family] for family in families}
        elif temperatures:
            raise InputError(
                f"Temperatures are given for {', '.join(temperatures)}; they must be those of all members "
                f"({', '.join(members)}) or of all families ({', '.join(families)})."
            )
        if shape == "flat":  # a family's temperature is then that of each of its members
            by_member = {member: by_member[member] * by_input[family_of[member]] for member in members}
            alone = tuple((place,) for place in range(len(members)))
            return cls(tuple(members), alone, tier1, tuple(by_member.values()), (1.0,) * len(members))
        ends = np.cumsum([len(names) for names in families.values()]).tolist()
        groups = [tuple(range(end - len(names), end)) for end, names in zip(ends, families.values(), strict=True)]
        return cls(tuple(families), tuple(groups), tier1, tuple(by_member.values()), tuple(by_input.values()))

    def inputs(self, values: np.ndarray) -> np.ndarray:
        """Returns float64 [K, n, C] for the members' probabilities [M, n, C]; a row of NaN where no member of an input speaks."""
        joined = np.empty((len(self.names), *values.shape[1:]))
        for place, members in enumerate(self.inputs_members):
            each = [tempered(values[member], self.member_temperatures[member]) for member in members]
            joined[place] = tempered(_joined(each, self.tier1), self.input_temperatures[place])
        return joined


def _joined(members: list[np.ndarray], tier1: Tier1) -> np.ndarray:
    """The mean of those that speak about a row. A soup is one member already."""
    if len(members) == 1:
        return members[0]
    if tier1 == "logit_mean":
        return softmax(_mean([log_of(member) for member in members]))
    return _mean(members)


def _mean(members: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(members[0].shape)
    speaking = np.zeros((len(total), 1))
    for member in members:
        silent = np.isnan(member[:, :1])
        total += np.where(silent, 0.0, member)
        speaking += ~silent
    with np.errstate(invalid="ignore"):
        return total / np.where(speaking == 0, np.nan, speaking)
