"""Study 2 of arXiv 2402.19379 in words and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hf_soup.scoring.comparison_sentence import comparison_sentence, number, p_value, signed
from hf_soup.scoring.crowd_blend import CROWD_WEIGHT
from hf_soup.scoring.documents import document
from hf_soup.scoring.study2 import Change, MemberUpdate, Study2, study2
from hf_soup.scoring.study2_data import TwoTurns
from hf_soup.text_table import text_table


@dataclass(frozen=True)
class Study2Result:
    study: Study2

    @property
    def warnings(self) -> tuple[str, ...]:
        """For beside the text, each once; the protocol's own notes are in it."""
        found = [
            warning for each in self._all for pair in (each.accuracy, each.against_plain) for warning in pair.warnings
        ]
        return tuple(dict.fromkeys(found))

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each member, and for the median of them; scores are Brier's, widths and distances are fractions."""
        return [_row(each, adjusted) for each, (adjusted, _) in self._adjusted()]

    def to_json(self) -> dict[str, Any]:
        return {
            **document(self.study),
            "sentences": {each.name: self._sentences(each, p) for each, p in self._adjusted()},
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        return self.table()

    def table(self) -> str:
        """Returns scores, widths and movement of every member, and each comparison in words."""
        names = ", ".join(each.name for each in self.study.members)
        parts = [
            f"Study 2. Machine: {names}. Human: the crowd's forecast that was shown. A forecast is the middle of its interval.",
            text_table([_SCORES, *map(_scores, self._all)]),
            text_table([_MOVES, *map(_moves, self._all)]),
            f"Weighted average: {self.study.weighted}.\n{self.study.adjusted.sentence()}",
            *("\n".join(self._sentences(each, p)) for each, p in self._adjusted()),
        ]
        return "\n\n".join([*parts, "\n".join(self.study.notes)])

    @property
    def _all(self) -> tuple[MemberUpdate, ...]:
        return (*self.study.members, *([self.study.median] if self.study.median else []))

    def _adjusted(self) -> list[tuple[MemberUpdate, tuple[float | None, float | None]]]:
        """Each with its adjusted p: of the change in accuracy, and against the plain average. The median is in no family of tests."""
        p = self.study.adjusted.adjusted
        found: list[tuple[float | None, float | None]] = list(zip(p[::2], p[1::2], strict=True))
        found += [(None, None)] * (len(self._all) - len(found))
        return list(zip(self._all, found, strict=True))

    def _sentences(self, each: MemberUpdate, adjusted: tuple[float | None, float | None]) -> list[str]:
        return [
            _relative(each),
            comparison_sentence(each.accuracy, adjusted[0]),
            comparison_sentence(each.against_plain, adjusted[1]),
            comparison_sentence(each.against_weighted),
            comparison_sentence(each.against_crowd),
            f"{each.name}, width of the interval: {_change(each.width)}",
            _movement(each),
        ]


def study2_result(
    turns: TwoTurns, *, crowd_weight: float = CROWD_WEIGHT, bound: float | None = None, looks: int = 1
) -> Study2Result:
    """Returns Study 2 of these answers; see `study2`."""
    return Study2Result(study2(turns, crowd_weight=crowd_weight, bound=bound, looks=looks))


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
        _points(each.width.before),
        _points(each.width.after),
        _percent(each.crowd_inside),
        str(each.movement.towards),
        str(each.movement.away),
        str(each.movement.stayed),
        _percent(each.movement.share_of_the_way),
    ]


def _relative(each: MemberUpdate) -> str:
    if np.isnan(each.relative_change):
        return f"{each.name}: no change in accuracy can be given, n = {each.accuracy.n}."
    lower = each.relative_change >= 0
    return (
        f"{each.name}: after the crowd's was shown its Brier score is {abs(100 * each.relative_change):.1f} % "
        f"{'lower' if lower else 'higher'} than before ({number(each.accuracy.second_mean)} before, "
        f"{number(each.accuracy.first_mean)} after, n = {each.accuracy.n})."
    )


def _change(change: Change) -> str:
    """`12.0 points before, 6.0 after, change −6.0 (…)`; points are percentage points."""
    if not change.n:
        return "no answers."
    words = (
        f"{_points(change.before)} points before, {_points(change.after)} after, change {_signed(change.difference)}"
    )
    if change.test is None or change.interval is None or change.detectable is None:
        return f"{words}, n = {change.n}, too few groups or no variation for a test."
    low, high = change.interval
    return (
        f"{words} (95 % interval {_signed(low)} to {_signed(high)}; paired t({change.test.df:g}) = {change.test.t:.2f}, p "
        f"{p_value(change.test.p)}, n = {change.n}; smallest detectable change {_points(change.detectable)})."
    )


def _movement(each: MemberUpdate) -> str:
    m = each.movement
    if not m.n:
        return f"{each.name}: no first forecast differed from the crowd's, so that none could move towards it."
    return (
        f"{each.name} moved {_percent(m.share_of_the_way)} of the way to the crowd's: {m.towards} of {m.n} forecasts towards it, "
        f"{m.away} away, {m.stayed} stayed. Distance from it: {_change(m.distance)}"
    )


def _points(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.0f} %"


def _row(each: MemberUpdate, adjusted: float | None) -> dict[str, Any]:
    low, high = each.accuracy.interval or (float("nan"), float("nan"))
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
        "adjusted_p": adjusted,
        "detectable": each.accuracy.detectable,
        "relative_change": each.relative_change,
        "plain_average_brier": each.against_plain.second_mean,
        "weighted_average_brier": each.against_weighted.second_mean,
        "crowd_brier": each.against_crowd.second_mean,
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
