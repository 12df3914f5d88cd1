"""What a report comes to, in plain sentences. What the rows do not decide is called undecided, never the absence of a difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hf_soup.ensembles.evidence import shown
from hf_soup.ensembles.evidence.differences import Difference
from hf_soup.ensembles.evidence.facts import DataFacts, Weight
from hf_soup.ensembles.evidence.left_out import LeftOut
from hf_soup.ensembles.evidence.rivals import LEAST, Rival, adjusted

JUDGED_BY = ("accuracy", "nll")
_NEXT_TO_NOTHING = 0.02
_WITH_FIGURES = 3


@dataclass(frozen=True)
class Other:
    """What the ensemble is compared with. `no_gain`: what to say where the ensemble was not found to be better."""

    title: str
    no_gain: str


def verdict(
    scores: str,
    facts: DataFacts,
    differences: Sequence[Difference],
    others: Mapping[str, Other],
    left_out: Sequence[LeftOut],
    weights: Sequence[Weight],
    rivals: Sequence[Difference] = (),
) -> str:
    """Returns the verdict on one set of data.

    `scores`: the sentence that says how the ensemble does. `differences`: of the ensemble against others, on that set; those
    against systems that are not in `others` are passed over. `rivals`: of the ensemble against all other systems, on that
    set; of those that are not in `others` the better ones are named.
    """
    sentences = [scores]
    for name, other in others.items():
        against = [each for each in differences if each.against == name]
        if against:
            sentences.append(compared(against, other))
    sentences += _better_rivals(adjusted(rivals), others)
    hurting = [each for each in left_out if each.gains]
    sentences += map(_hurting, hurting)
    sentences += _next_to_nothing(weights, {each.name for each in hurting})
    if facts.too_small:
        sentences.append(
            f"{facts.too_small}: what these show needs more rows to confirm it, and what they do not show may be there all the same."
        )
    if facts.one_class is not None:
        sentences.append(
            f"All rows of {facts.name} are of class {facts.one_class}: all this is about rows of that class, and says nothing about the "
            "others."
        )
    return " ".join(sentences)


def compared(differences: Sequence[Difference], other: Other) -> str:
    """Returns one sentence about the same two systems by several metrics."""
    of, against = differences[0].of, differences[0].against
    better = [each for each in differences if each.better == of]
    worse = [each for each in differences if each.better == against]
    open_ones = [each for each in differences if each.better is None]
    parts = []
    if better:
        parts.append("better by " + " and ".join(map(_measured, better)))
    if worse:
        parts.append("worse by " + " and ".join(map(_measured, worse)))
    if open_ones:
        parts.append(_undecided(open_ones))
    sentence = f"Against {other.title}: " + "; ".join(parts)
    return sentence + (f"; {other.no_gain}." if not better else ".")


def _undecided(differences: Sequence[Difference]) -> str:
    alike = [each for each in differences if each.value == 0 and each.detectable is None]
    others = [each for each in differences if each not in alike]
    parts = []
    if others:
        could = " and ".join(f"{_points(each.detectable, each.metric)} in {_title(each)}" for each in others)
        parts.append(
            f"these rows cannot tell them apart by {' or '.join(map(_measured, others))}; smallest difference they could: {could}"
        )
    if alike:
        names = " and ".join(_title(each) for each in alike)
        parts.append(f"both have the same {names}, row by row, so these rows say nothing about a difference in it")
    return "; ".join(parts)


def _better_rivals(rivals: Sequence[Rival], told: Collection[str]) -> list[str]:
    """One sentence; empty where none is better. The surest come first, with figures; of many the others by name."""
    better = sorted((each for each in rivals if each.ahead and each.name not in told), key=lambda each: each.least_p)
    if not better:
        return []
    named = [_by_what(each) for each in better[:_WITH_FIGURES]]
    more = [each.name for each in better[_WITH_FIGURES:]]
    metrics = " and ".join(dict.fromkeys(_title(each) for rival in rivals for each in rival.differences))
    return [
        f"The chosen one is worse than these others (p below .05, adjusted over all {len(rivals)} by {metrics}, Benjamini–Hochberg; less "
        f"than {_points(LEAST, 'accuracy')} or {_points(LEAST, 'nll')} is passed over): "
        f"{'; '.join([*named, *more])}. Whatever is picked because it does best on these rows needs other rows to confirm it."
    ]


def _by_what(rival: Rival) -> str:
    but = f", though better by {' and '.join(map(_measured, rival.behind))}" if rival.behind else ""
    return f"{rival.name}, by {' and '.join(map(_measured, rival.ahead))}{but}"


def _hurting(one: LeftOut) -> str:
    found = " and ".join(map(_measured, one.gains))
    return f"Without {one.name} the others do better, by {found}: leave it out."


def _next_to_nothing(weights: Sequence[Weight], told: set[str]) -> list[str]:
    light = [
        each
        for each in weights
        if each.high is not None and each.high < _NEXT_TO_NOTHING and each.name not in told and len(weights) > 1
    ]
    return [
        f"{each.name} counts for next to nothing: weight {each.value:.3f} [{each.low:.3f}, {each.high:.3f}]."
        for each in light
    ]


def _measured(each: Difference) -> str:
    unit = " points" if each.metric in shown.SHARES else ""
    interval = shown.interval(each.low, each.high, each.metric, with_sign=True)
    return f"{_title(each)} ({shown.signed(each.value, each.metric)}{unit} {interval})".replace(" )", ")")


def _points(number: float | None, metric: str) -> str:
    if number is None:
        return "unknown"
    return shown.value(number, metric) + (" points" if metric in shown.SHARES else "")


def _title(each: Difference) -> str:
    return shown.TITLES[each.metric]
