"""Study 2 of arXiv 2402.19379 as a protocol: what members do with the human median, and whether averaging would do better.

A member gives an interval, is shown the human median, and gives a second one. Its forecast is the middle of the interval.
The paper found both its models more accurate afterwards, and less accurate than the plain average of their first forecast with
the human median: so that average is the comparison, beside a weighted one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hf_soup.errors import InputError
from hf_soup.scoring.bootstrap import bootstrap_means
from hf_soup.scoring.comparison import Column, Comparison, compare_pairs
from hf_soup.scoring.comparison_family import Family, family_of
from hf_soup.scoring.comparison_tests import TTest, clustered_mean, t_test
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT, interim_note
from hf_soup.scoring.detectable import smallest_detectable
from hf_soup.scoring.equivalence import refuse_bound
from hf_soup.scoring.log_odds import CLIP, from_log_odds, log_odds
from hf_soup.scoring.multiple import Adjusted, benjamini_hochberg
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.scoring.table import mean_of_samples

MEDIAN = "median of members"
_PRIMARY = ("accuracy", "against_plain")
_COMPARISONS = (*_PRIMARY, "against_weighted", "against_crowd")
_SAME = 1e-9  # a forecast that already was the crowd's cannot move towards it


@dataclass(frozen=True)
class Change:
    """A paired change of something that is no score: `after` − `before` over `n` questions, clustered by group.

    `adjusted_p`: over all changes of the study that are no scores.
    """

    before: float
    after: float
    difference: float
    interval: tuple[float, float] | None
    test: TTest | None
    detectable: float | None
    n: int
    adjusted_p: float | None = None


@dataclass(frozen=True)
class Movement:
    """How far the forecasts moved towards the crowd's, over the `n` questions where they differed from it at first.

    `share_of_the_way`: Σ (second − first)(crowd − first) / Σ (crowd − first)²; 0 stayed, 1 took the crowd's, above 1 went past it,
    below 0 moved away. Unlike a mean of single ratios it is not ruled by forecasts that were close to the crowd's.
    `towards`, `away`, `stayed`: questions. `distance`: |forecast − crowd|, before and after.
    """

    share_of_the_way: float
    towards: int
    away: int
    stayed: int
    n: int
    distance: Change


@dataclass(frozen=True)
class MemberUpdate:
    """One member, or the median of them, over resolved questions for the scores and over all for width and movement.

    `accuracy`: Brier score of the second forecast against the first. `relative_gain`: (first − second) / first, as in the
    abstract, above 0 where the second is better; NaN where the first was perfect. `width`: of the interval. `crowd_inside`: share
    of first intervals that held the crowd's. `against_plain`, `against_weighted`: second forecast against the average of first
    forecast and crowd; `against_crowd`: against the crowd alone. `incomplete`: questions without both answers or without a crowd.
    """

    name: str
    accuracy: Comparison
    relative_gain: float
    width: Change
    crowd_inside: float
    movement: Movement
    against_plain: Comparison
    against_weighted: Comparison
    against_crowd: Comparison
    incomplete: int


@dataclass(frozen=True)
class Study2:
    """`primary`: the members' changes in accuracy and comparisons with the plain average, adjusted together. `secondary`: all other
    comparisons of scores, which are the members' with the weighted average and the crowd, and those of the median of the members,
    adjusted together. `changes`: how the p of widths and distances were adjusted. All are the comparisons of `members` and `median`.

    `weighted`: the weighted average in words. `resolved`, `open`, `annulled`: questions with both answers of some member and a crowd.
    """

    members: tuple[MemberUpdate, ...]
    median: MemberUpdate | None
    primary: Family
    secondary: Family
    changes: Adjusted
    weighted: str
    resolved: int
    open: int
    annulled: int
    notes: tuple[str, ...]


def study2(
    turns: TwoTurns,
    *,
    crowd_weight: float = CROWD_WEIGHT,
    clip: float = CLIP,
    bound: float | None = None,
    looks: int = 1,
) -> Study2:
    """Returns Study 2 of these answers.

    The plain average is (first + crowd) / 2; the weighted one is in log odds, clipped to [clip, 1 − clip], with `crowd_weight` for
    the crowd. `bound`: for TOST in every comparison, in Brier points, stated before looking. Only samples with both answers, on
    questions with a crowd, count. Raises InputError for a weight outside [0, 1] or a bound that is none.
    """
    if not 0 <= crowd_weight <= 1:
        raise InputError(f"crowd_weight: {crowd_weight} does not lie between 0 and 1.")
    if not 0 < clip < 0.5:
        raise InputError(f"clip: {clip} must be above 0 and below 0.5.")
    if bound is not None:
        refuse_bound(bound)
    used = turns.complete() & ~np.isnan(turns.crowd)[:, None, None]
    ends = {
        name: mean_of_samples(np.where(used, getattr(turns, name), np.nan))
        for name in ("first_low", "first_high", "second_low", "second_high")
    }
    first = (ends["first_low"] + ends["first_high"]) / 2
    second = (ends["second_low"] + ends["second_high"]) / 2

    def update(
        name: str, first: np.ndarray, second: np.ndarray, low: list[np.ndarray], high: list[np.ndarray]
    ) -> MemberUpdate:
        return _update(turns, name, first, second, low, high, crowd_weight, clip, bound)

    members = tuple(
        update(
            name,
            first[:, m],
            second[:, m],
            [ends["first_low"][:, m], ends["second_low"][:, m]],
            [ends["first_high"][:, m], ends["second_high"][:, m]],
        )
        for m, name in enumerate(turns.members)
    )
    median = None
    if len(turns.members) > 1:
        of = {name: _median(each) for name, each in ends.items()}
        median = update(
            MEDIAN,
            _median(first),
            _median(second),
            [of["first_low"], of["second_low"]],
            [of["first_high"], of["second_high"]],
        )
    updates = [*members, *([median] if median else [])]
    firsts = [(m, name) for m in range(len(members)) for name in _PRIMARY]
    others = [(m, name) for m in range(len(updates)) for name in _COMPARISONS if (m, name) not in firsts]
    primary = family_of([getattr(updates[m], name) for m, name in firsts], looks=looks)
    secondary = family_of([getattr(updates[m], name) for m, name in others], looks=looks)
    for (m, name), judged in zip([*firsts, *others], [*primary.comparisons, *secondary.comparisons], strict=True):
        change: dict[str, Any] = {name: judged}
        updates[m] = replace(updates[m], **change)
    updates, changes = _with_adjusted_changes(updates, looks)
    some = used.any(axis=(1, 2))
    return Study2(
        members=tuple(updates[: len(members)]),
        median=updates[len(members)] if median else None,
        primary=primary,
        secondary=secondary,
        changes=changes,
        resolved=int((some & ~np.isnan(turns.outcomes)).sum()),
        open=int((some & turns.open).sum()),
        annulled=int((some & np.isnan(turns.outcomes) & turns.is_annulled).sum()),
        weighted=f"log odds, crowd {crowd_weight:g}, machine {1 - crowd_weight:g}, clipped to {clip:g}–{1 - clip:g}",
        notes=_notes(turns, used),
    )


def _with_adjusted_changes(updates: list[MemberUpdate], looks: int) -> tuple[list[MemberUpdate], Adjusted]:
    """Widths and distances of all, adjusted together."""
    changes = [change for each in updates for change in (each.width, each.movement.distance)]
    names = [f"{each.name}, {what}" for each in updates for what in ("width", "distance")]
    adjusted = benjamini_hochberg(names, [each.test.p if each.test else None for each in changes], looks=looks)
    judged = iter([replace(each, adjusted_p=p) for each, p in zip(changes, adjusted.adjusted, strict=True)])
    return [
        replace(each, width=next(judged), movement=replace(each.movement, distance=next(judged))) for each in updates
    ], adjusted


def _update(
    turns: TwoTurns,
    name: str,
    first: np.ndarray,
    second: np.ndarray,
    lows: list[np.ndarray],
    highs: list[np.ndarray],
    crowd_weight: float,
    clip: float,
    bound: float | None,
) -> MemberUpdate:
    answered = ~np.isnan(first)
    crowd = np.where(answered, turns.crowd, np.nan)
    weighted = from_log_odds(crowd_weight * log_odds(crowd, clip) + (1 - crowd_weight) * log_odds(first, clip))
    before, after = Column(f"{name} (first)", first), Column(f"{name} (second)", second)
    accuracy, against_plain, against_weighted, against_crowd = compare_pairs(
        [
            (after, before),
            (after, Column("plain average with the crowd", (first + crowd) / 2)),
            (after, Column("weighted average with the crowd", weighted)),
            (after, Column("crowd", crowd)),
        ],
        np.where(answered, turns.outcomes, np.nan),
        turns.groups,
        bound=bound,
    )
    inside = (lows[0] <= crowd) & (crowd <= highs[0])
    return MemberUpdate(
        name=name,
        accuracy=accuracy,
        relative_gain=-accuracy.difference / accuracy.second_mean if accuracy.second_mean else float("nan"),
        width=_change(highs[0] - lows[0], highs[1] - lows[1], turns.groups),
        crowd_inside=float(inside[answered].mean()) if answered.any() else float("nan"),
        movement=_movement(first, second, crowd, turns.groups),
        against_plain=against_plain,
        against_weighted=against_weighted,
        against_crowd=against_crowd,
        incomplete=int((~answered).sum()),
    )


def _movement(first: np.ndarray, second: np.ndarray, crowd: np.ndarray, groups: np.ndarray) -> Movement:
    gap = crowd - first
    differed = np.abs(gap) > _SAME
    gap, moved = gap[differed], (second - first)[differed]
    stayed = np.abs(moved) <= _SAME
    towards = ~stayed & (np.sign(moved) == np.sign(gap))
    distance = [np.where(differed, np.abs(each - crowd), np.nan) for each in (first, second)]
    return Movement(
        share_of_the_way=float((moved * gap).sum() / (gap**2).sum()) if len(gap) else float("nan"),
        towards=int(towards.sum()),
        away=int((~towards & ~stayed).sum()),
        stayed=int(stayed.sum()),
        n=len(gap),
        distance=_change(distance[0], distance[1], groups),
    )


def _change(before: np.ndarray, after: np.ndarray, groups: np.ndarray) -> Change:
    mean = clustered_mean(after - before, groups)
    interval = bootstrap_means((after - before)[:, None], groups).of(0) if mean.testable else None
    both = ~np.isnan(after - before)
    return Change(
        before=float(before[both].mean()) if mean.n else float("nan"),
        after=float(after[both].mean()) if mean.n else float("nan"),
        difference=mean.mean,
        interval=interval,
        test=t_test(mean.mean, mean.standard_error, mean.df) if mean.testable else None,
        detectable=smallest_detectable(mean.standard_error, mean.df) if mean.testable else None,
        n=mean.n,
    )


def _median(values: np.ndarray) -> np.ndarray:
    """The median over members [Q, M] → [Q], NaN where there is none."""
    given = ~np.isnan(values).all(axis=1)
    medians = np.full(len(values), np.nan)
    medians[given] = np.nanmedian(values[given], axis=1)
    return medians


def _notes(turns: TwoTurns, used: np.ndarray) -> tuple[str, ...]:
    notes = [
        "The second forecasts were made after the crowd's was shown: they are no forecasts of models alone.",
        "The paper's two percentages (17 and 28 in the abstract, 18 and 32 in notes on the journal's version) do not agree; those "
        "here are computed from these data.",
    ]
    answered = ~np.isnan(turns.first_low) | ~np.isnan(turns.first_high) | ~np.isnan(turns.second_low)
    if left_out := int((answered & ~used).sum()):
        have = "sample has" if left_out == 1 else "samples have"
        verb = "is" if left_out == 1 else "are"
        notes.append(f"{left_out} {have} one of the two answers only, or no crowd to show, and {verb} left out.")
    some = used.any(axis=(1, 2))
    n_open, annulled = (
        int((some & each).sum()) for each in (turns.open, np.isnan(turns.outcomes) & turns.is_annulled)
    )
    if n_open or annulled:
        notes.append(
            f"Brier scores are of the {int((some & ~np.isnan(turns.outcomes)).sum())} resolved questions. Widths and movement need no "
            f"outcome, and are of all {int(some.sum())} with both answers and a crowd: {n_open} of them open, {annulled} annulled."
        )
    return (*notes, *interim_note(n_open, int(some.sum())))
