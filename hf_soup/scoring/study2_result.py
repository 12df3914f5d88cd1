"""Study 2 of arXiv 2402.19379 in words and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.comparison import Comparison
from hf_soup.scoring.comparison_sentence import comparison_sentence, number, p_value, signed, t_value
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT
from hf_soup.scoring.documents import document
from hf_soup.scoring.shown_numbers import counted, decimal, percent, points
from hf_soup.scoring.study2 import MEDIAN, Change, MemberUpdate, Study2, study2
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.text_table import text_table


@dataclass(frozen=True, repr=False)
class Study2Result:
    study: Study2

    @property
    def warnings(self) -> tuple[str, ...]:
        """For beside the text, each once; the protocol's own notes are in it."""
        about: dict[str, list[str]] = {}
        for each in self._all:
            for warning in dict.fromkeys([*each.accuracy.warnings, *each.against_plain.warnings]):
                about.setdefault(warning, []).append(each.name)
        return tuple(f"{', '.join(names)}: {warning}" for warning, names in about.items())

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each member, and for the median of them; scores are Brier's, widths and distances are fractions.

        `change`: second − first, below 0 where the second is better; `relative_gain`: (first − second) / first, above 0 there.
        """
        return list(map(_row, self._all))

    def to_json(self) -> dict[str, Any]:
        return {
            **document(self.study),
            "sentences": {each.name: _sentences(each) for each in self._all},
            "adjustment": self._adjustment(),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<Study2Result (members: {len(self.study.members)}, resolved questions: {self.study.resolved}); print it for the tables>"

    def table(self) -> str:
        """Returns scores, widths and movement of every member, and each comparison in words."""
        names = ", ".join(each.name for each in self.study.members)
        parts = [
            f"Study 2. Machine: {names}. Human: the crowd's forecast that was shown. A forecast is the middle of its interval.",
            text_table([_SCORES, *map(_scores, self._all)]),
            text_table([_MOVES, *map(_moves, self._all)]),
            "\n".join(
                [
                    f"{counted(self.study.resolved, 'question')} resolved, {self.study.open} open, {self.study.annulled} annulled.",
                    f"Weighted average: {self.study.weighted}.",
                    *self._adjustment(),
                ]
            ),
            *("\n".join(_sentences(each)) for each in self._all),
        ]
        return "\n\n".join([*parts, "\n".join(self.study.notes)])

    @property
    def _all(self) -> tuple[MemberUpdate, ...]:
        return (*self.study.members, *([self.study.median] if self.study.median else []))

    def _adjustment(self) -> list[str]:
        s = self.study
        others = "weighted average, crowd" + (f", everything of the {MEDIAN}" if s.median else "")
        return [
            f"Members' change and plain average: {s.primary.sentences()}",
            f"Beside them ({others}): {s.secondary.sentences('comparison')}",
            f"Widths and distances: {s.changes.sentence('change')}",
        ]


def study2_result(
    turns: TwoTurns, *, crowd_weight: float = CROWD_WEIGHT, bound: float | None = None, looks: int = 1
) -> Study2Result:
    """Returns Study 2 of these answers; see `study2`."""
    return Study2Result(study2(turns, crowd_weight=crowd_weight, bound=bound, looks=looks))


def _sentences(each: MemberUpdate) -> list[str]:
    return [
        _relative(each),
        comparison_sentence(each.accuracy),
        comparison_sentence(each.against_plain),
        comparison_sentence(each.against_weighted),
        comparison_sentence(each.against_crowd),
        f"{each.name}, width of the interval: {_change(each.width)}",
        _movement(each),
    ]


_SCORES = ["Brier", "n", "first", "second", "change", "plain average", "weighted average", "crowd", "incomplete"]
_MOVES = ["", "n", "width before", "after", "crowd inside", "towards", "away", "stayed", "share of the way"]


def _scores(each: MemberUpdate) -> list[str]:
    return [
        each.name,
        str(each.accuracy.n),
        number(each.accuracy.second_mean),
        number(each.accuracy.first_mean),
        signed(each.accuracy.difference) if each.accuracy.n else "–",
        number(each.against_plain.second_mean),
        number(each.against_weighted.second_mean),
        number(each.against_crowd.second_mean),
        str(each.incomplete),
    ]


def _moves(each: MemberUpdate) -> list[str]:
    return [
        each.name,
        str(each.width.n),
        _width(each.width.before),
        _width(each.width.after),
        percent(each.crowd_inside),
        str(each.movement.towards),
        str(each.movement.away),
        str(each.movement.stayed),
        percent(each.movement.share_of_the_way),
    ]


def _relative(each: MemberUpdate) -> str:
    if np.isnan(each.relative_gain):
        return f"{each.name}: no change in accuracy can be given, n = {each.accuracy.n}."
    lower = each.relative_gain >= 0
    return (
        f"{each.name}: after the crowd's was shown its Brier score is {abs(100 * each.relative_gain):.1f} % "
        f"{'lower' if lower else 'higher'} than before ({number(each.accuracy.second_mean)} before, "
        f"{number(each.accuracy.first_mean)} after, n = {each.accuracy.n})."
    )


def _change(change: Change) -> str:
    """`12.0 points before, 6.0 after, change −6.0 (…)`; points are percentage points."""
    if not change.n:
        return "no answers."
    words = f"{_width(change.before)} points before, {_width(change.after)} after, change {points(change.difference)}"
    if change.test is None or change.interval is None or change.detectable is None or change.adjusted_p is None:
        return f"{words}, n = {change.n}, too few groups or no variation for a test."
    low, high = change.interval
    return (
        f"{words} (95 % interval {points(low)} to {points(high)}; paired t({change.test.df:g}) = {t_value(change.test.t)}, p "
        f"{p_value(change.test.p)}, adjusted p {p_value(change.adjusted_p)}, n = {change.n}; smallest detectable change {_width(change.detectable)})."
    )


def _movement(each: MemberUpdate) -> str:
    m = each.movement
    if not m.n:
        return f"{each.name}: no first forecast differed from the crowd's, so that none could move towards it."
    return (
        f"{each.name} moved {percent(m.share_of_the_way)} of the way to the crowd's: {m.towards} of {counted(m.n, 'forecast')} towards it, "
        f"{m.away} away, {m.stayed} stayed. Distance from it: {_change(m.distance)}"
    )


def _width(value: float) -> str:
    return decimal(100 * value, 1)


def _row(each: MemberUpdate) -> dict[str, Any]:
    low, high = each.accuracy.interval or (float("nan"), float("nan"))
    symmetry = each.accuracy.symmetry
    return {
        "member": each.name,
        "n": each.accuracy.n,
        "incomplete": each.incomplete,
        "first_brier": each.accuracy.second_mean,
        "second_brier": each.accuracy.first_mean,
        "change": each.accuracy.difference,
        "low": low,
        "high": high,
        "p": each.accuracy.test.p if each.accuracy.test else None,
        "adjusted_p": each.accuracy.adjusted_p,
        "detectable": each.accuracy.detectable,
        "symmetry_wilcoxon_p": symmetry.p if symmetry else None,
        "relative_gain": each.relative_gain,
        **_against("plain_average", each.against_plain),
        **_against("weighted_average", each.against_weighted),
        **_against("crowd", each.against_crowd),
        "n_width": each.width.n,
        "width_before": each.width.before,
        "width_after": each.width.after,
        "crowd_inside": each.crowd_inside,
        "towards": each.movement.towards,
        "away": each.movement.away,
        "stayed": each.movement.stayed,
        "share_of_the_way": each.movement.share_of_the_way,
        "distance_before": each.movement.distance.before,
        "distance_after": each.movement.distance.after,
    }


def _against(what: str, compared: Comparison) -> dict[str, Any]:
    """What the second forecast was compared with: its score, and the test of the difference."""
    return {
        f"{what}_brier": compared.second_mean,
        f"{what}_p": compared.test.p if compared.test else None,
        f"{what}_adjusted_p": compared.adjusted_p,
        f"{what}_detectable": compared.detectable,
    }
