"""Whether forecasts pile up at round numbers: how many there are, and how many neighbouring numbers would make one expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hf_soup.scoring.biases.estimate import Estimate, column_means, estimates

_DIGITS = 8
_LEAST_EXPECTED = 20
_LEAST_FOUND = 5
NO_TEST_OF_HEAPING = (
    "Where “–” stands for p, fewer than 20 forecasts were to be expected at these numbers, or fewer than 5 lie there, or nothing varies: "
    "t is too sure of rare events."
)


@dataclass(frozen=True)
class Heaping:
    """How many of `forecasts` are round numbers: exactly 50 %, 49 or 51 %, multiples of 5 and of 10 percentage points."""

    forecasts: int
    exactly_50: int
    exactly_49_or_51: int
    multiples_of_5: int
    multiples_of_10: int


@dataclass(frozen=True)
class RoundNumbers:
    """`numbers`: "multiples of 5 %", "multiples of 10 %", "50 %", each without 0 and 100 %, where forecasts may well pile up.

    `share`: of all forecasts, those nearest to one of them (in whole percentages). `expected`: what a density without piles would
    give, from the windows around them. `excess`: share − expected. `index`: share / expected, 1 without heaping, 5 where every
    forecast is a multiple of 5, 10 for the other two (Whipple's index of heaped ages, divided by 100); NaN where the windows hold
    no forecast. Where fewer than 20 forecasts are expected there is no test: t is too sure of rare events.
    """

    numbers: str
    share: float
    expected: float
    index: float
    excess: Estimate


@dataclass(frozen=True)
class HeapingOf:
    """`histogram`: int64 [101], how many forecasts are nearest to each whole percentage from 0 to 100."""

    name: str
    counts: Heaping
    histogram: np.ndarray
    round_numbers: tuple[RoundNumbers, ...]


def heaping(values: np.ndarray) -> Heaping:
    """Returns how many of the forecasts, an array of any shape with NaN for none, are round numbers."""
    percent = np.round(100 * values[~np.isnan(values)], _DIGITS)
    return Heaping(
        forecasts=len(percent),
        exactly_50=int((percent == 50).sum()),
        exactly_49_or_51=int(((percent == 49) | (percent == 51)).sum()),
        multiples_of_5=int((percent % 5 == 0).sum()),
        multiples_of_10=int((percent % 10 == 0).sum()),
    )


def heaping_of(names: Sequence[str], values: np.ndarray, groups: np.ndarray) -> tuple[HeapingOf, ...]:
    """Returns a row for each member of values [Q, M, S], and one for all forecasts together, with the last of `names` [M + 1].

    A window around a multiple of 5 holds it and two whole percentages on either side, one around a multiple of 10 (or 50 %) five
    on either side, the outer ones by half: where the density is a straight line within the window, a fifth or a tenth of it
    is expected at the round number. Clustered by `groups` [Q]. Source: Whipple's index, as in Siegel & Swanson 2004, chapter 7.
    """
    n_members, n_samples = values.shape[1:]
    # One column a member: the resamples of groups are drawn once for all of them.
    by_member = values.transpose(0, 2, 1).reshape(-1, n_members)
    return (
        *_heaping_of(names[:-1], by_member, np.repeat(groups, n_samples)),
        *_heaping_of(names[-1:], values.reshape(-1, 1), np.repeat(groups, n_members * n_samples)),
    )


def _heaping_of(names: Sequence[str], values: np.ndarray, groups: np.ndarray) -> list[HeapingOf]:
    """Of each column of values [N, C]."""
    given = ~np.isnan(values)
    nearest = np.floor(np.round(100 * np.where(given, values, 0.0), _DIGITS) + 0.5).astype(np.int64)
    by_numbers = []
    for numbers, at, expected in _ROUND:
        found = [np.where(given, each[nearest], np.nan) for each in (at, expected)]
        excess = estimates(found[0] - found[1], groups)
        by_numbers.append(
            [_round_numbers(numbers, *each) for each in zip(*map(column_means, found), excess, strict=True)]
        )
    return [
        HeapingOf(
            name=name,
            counts=heaping(values[:, column]),
            histogram=np.bincount(nearest[given[:, column], column], minlength=101),
            round_numbers=tuple(each[column] for each in by_numbers),
        )
        for column, name in enumerate(names)
    ]


def _round_numbers(numbers: str, share: float, expected: float, excess: Estimate) -> RoundNumbers:
    if excess.n * share < _LEAST_FOUND - 0.5:  # a count, from a mean
        excess = replace(excess, test=None, detectable=None, interval=None)
    elif excess.n * expected < _LEAST_EXPECTED:
        excess = replace(excess, test=None, detectable=None)
    return RoundNumbers(numbers, share, expected, share / expected if expected else np.nan, excess)


def _windows(every: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """float64 [101] each: 1 at the round numbers; the share of a forecast there that is expected at one."""
    at, expected = np.zeros(101), np.zeros(101)
    for number in range(first, last + 1, every):
        at[number] = 1.0
        window = np.arange(number - every // 2, number + every // 2 + 1)
        weight = np.ones(len(window))
        if every % 2 == 0:
            weight[[0, -1]] = 0.5
        expected[window] += weight / every
    return at, expected


_ROUND = (
    ("multiples of 5 %", *_windows(5, 5, 95)),
    ("multiples of 10 %", *_windows(10, 10, 90)),
    ("50 %", *_windows(10, 50, 50)),
)
