"""What a better score costs: dollars a question, and for every .01 Brier gained, by member and by size of the crowd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.biases.estimate import Estimate, estimates
from hf_soup.scoring.biases.learning_curve import MEAN, LearningCurve
from hf_soup.scoring.table import mean_of_samples

POINT = 0.01
"""The Brier score that "a point" of these prices is."""
_ALWAYS_HALF = 0.25


@dataclass(frozen=True)
class MemberCost:
    """`dollars`: of all its answers, `per_question`: over all questions of the table; None where nobody knows the price.

    `gain`: .25, the Brier score of 50 % on every question, − its own. `per_point`: dollars a question for each .01 of it; None
    without a price, and where the gain's interval does not lie above 0.
    """

    name: str
    dollars: float | None
    per_question: float | None
    gain: Estimate
    per_point: float | None


@dataclass(frozen=True)
class CrowdCost:
    """A crowd of `members` members with `samples` samples each, drawn from this one, and the mean of its forecasts.

    `per_question`: dollars; `gain`: in Brier score over one member with one sample, `gain_error` its standard error; `per_point`:
    the dollars a question beyond those of one member with one sample, for each .01 of the gain; None where the gain is not
    above twice its error.
    """

    members: int
    samples: int
    per_question: float
    gain: float
    gain_error: float
    per_point: float | None


@dataclass(frozen=True)
class CostPerBrierPoint:
    """`by_number`: empty where the price of a member is `unknown`, since a crowd that may hold it has none then."""

    by_member: tuple[MemberCost, ...]
    by_number: tuple[CrowdCost, ...]
    unknown: tuple[str, ...]
    point: float = POINT


def cost_per_brier_point(
    members: tuple[str, ...],
    values: np.ndarray,
    outcomes: np.ndarray,
    groups: np.ndarray,
    dollars: Mapping[str, float | None],
    curve: LearningCurve | None,
) -> CostPerBrierPoint:
    """Returns prices of values [Q, M, S] with outcomes [Q]. `dollars`: what each member's forecasts cost in all, absent or None
    where that is not known. A sample is taken to cost what a member's samples cost on average."""
    means = mean_of_samples(values)
    gains = estimates(_ALWAYS_HALF - (means - outcomes[:, None]) ** 2, groups)
    n_questions = len(outcomes)
    by_member = []
    for name, gain in zip(members, gains, strict=True):
        total = dollars.get(name)
        each = None if total is None else total / n_questions
        shown = gain.interval is not None and gain.interval[0] > 0
        by_member.append(
            MemberCost(name, total, each, gain, each * POINT / gain.value if each is not None and shown else None)
        )
    unknown = tuple(each.name for each in by_member if each.per_question is None)
    samples = (~np.isnan(values)).sum(axis=2).max(axis=0)
    one_sample = [
        each.per_question / count
        for each, count in zip(by_member, samples, strict=True)
        if each.per_question is not None and count
    ]
    by_number: tuple[CrowdCost, ...] = ()
    if curve is not None and not unknown and one_sample:
        by_number = _by_number(curve, float(np.mean(one_sample)))
    return CostPerBrierPoint(tuple(by_member), by_number, unknown)


def _by_number(curve: LearningCurve, one_sample: float) -> tuple[CrowdCost, ...]:
    found = []
    for point in curve.points:
        if point.aggregate != MEAN:
            continue
        calls = point.members * point.samples
        shown = calls > 1 and point.gain > 2 * point.gain_error
        found.append(
            CrowdCost(
                members=point.members,
                samples=point.samples,
                per_question=calls * one_sample,
                gain=point.gain,
                gain_error=point.gain_error,
                per_point=(calls - 1) * one_sample * POINT / point.gain if shown else None,
            )
        )
    return tuple(found)
