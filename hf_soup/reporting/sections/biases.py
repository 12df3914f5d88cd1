"""Whether forecasts lean to one side, pile up at round numbers, are too sure of themselves, or err together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hf_soup.reporting.figures.error_correlation import error_correlation_map
from hf_soup.reporting.figures.heaping import heaping_histogram
from hf_soup.reporting.figures.learning_curve import learning_curve_plot
from hf_soup.reporting.figures.mean_and_base_rate import mean_and_base_rate
from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Block, Grid, Points, Prose, Section, listed
from hf_soup.reporting.sections.cells import p, score
from hf_soup.scoring.bias_report import BiasReport, Finding
from hf_soup.scoring.bias_sections import NOTHING_TESTED, how_adjusted
from hf_soup.scoring.biases.error_correlation import ErrorCorrelation
from hf_soup.scoring.biases.estimate import Estimate
from hf_soup.scoring.biases.heaping import NO_TEST_OF_HEAPING
from hf_soup.scoring.biases.learning_curve import MEAN, LearningCurve
from hf_soup.scoring.comparison_sentence import number
from hf_soup.scoring.crowd_blend import interim_notes
from hf_soup.scoring.shown_numbers import NOTHING, counted, decimal, percent, points

_TESTED = ("95 % interval", "p", "p adjusted", "detectable", "n")
_SHOWN = 12


def biases(found: Findings) -> Section:
    """Returns what was found first, then the checks one by one, with what each would have found."""
    bias = found.bias
    blocks: list[Block] = [*_found(bias)]
    if any(each.excess.n for each in bias.mean_against_base_rate):
        blocks += [_base_rates(bias), _confidence(bias)]
    if bias.acquiescence:
        blocks.append(_acquiescence(bias))
    if bias.paraphrases:
        blocks.append(_paraphrases(bias))
    blocks += _heaping(bias)
    if any(each.excess.n for each in bias.mean_against_base_rate):
        blocks.append(mean_and_base_rate(bias.mean_against_base_rate))
    blocks.append(heaping_histogram(bias.heaping[-1].histogram))
    if bias.error_correlation is not None:
        blocks.append(error_correlation_map(bias.error_correlation))
    if (curve := bias.learning_curve) is not None and curve.groups > 1 and curve.members * curve.samples > 1:
        blocks.append(learning_curve_plot(curve))
        blocks.append(Prose(_curve(curve)))
    if bias.error_correlation is not None:
        blocks += [Prose(_errors(bias.error_correlation)), Points(bias.error_correlation.pitfalls)]
    warned = [each for each in bias.warnings if each not in interim_notes(found.table)]  # that stands above all
    blocks.append(Points((*bias.notes, *(each[:1].upper() + each[1:] for each in warned))))
    return Section("biases", "Biases", tuple(blocks))


def _found(bias: BiasReport) -> list[Block]:
    if not bias.adjusted.tests:
        return [Prose(NOTHING_TESTED)]
    of = f"Of {how_adjusted(bias.adjusted)}"
    found = [each for each in bias.findings if each.found]
    if not found:
        return [
            Prose(f"{of} none found a bias that chance does not explain; what each would have found stands beside it.")
        ]
    by_measure: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        by_measure.setdefault((each.check.replace("_", " "), each.measure), []).append(each)
    lines = [
        f"{check[:1].upper()}{check[1:]}, {measure}{_against(group[0])}: {listed([_short_finding(each) for each in group], _SHOWN)}."
        for (check, measure), group in by_measure.items()
    ]
    said = (
        f"{of} {len(found)} found what chance does not explain; intervals and what would have been found stand in the tables "
        "below. Differences are in percentage points."
    )
    return [Prose(said), Points(tuple(lines))]


def _short_finding(finding: Finding) -> str:
    in_points = not finding.estimate.null and not finding.measure.startswith("variance")
    value = finding.estimate.value
    return f"{member_name(finding.name)} {points(value) if in_points else _short(value)}"


def _against(finding: Finding) -> str:
    """What it is without a bias, where that is not 0."""
    return f", tested against {finding.estimate.null:g}" if finding.estimate.null else ""


def _base_rates(bias: BiasReport) -> Grid:
    rows = [
        (
            member_name(each.name),
            points(each.excess.value),
            *_tested(bias, each.excess),
            percent(each.mean),
            percent(each.base_rate),
        )
        for each in bias.mean_against_base_rate
    ]
    return Grid(
        "Mean forecast against base rate, in percentage points",
        ("forecaster", "excess", *_TESTED, "mean", "ended yes"),
        tuple(rows),
    )


def _confidence(bias: BiasReport) -> Grid:
    rows = [
        (
            member_name(each.name),
            NOTHING if each.slope is None else _short(each.slope.value),
            *(_tested(bias, each.slope, _short) if each.slope else [NOTHING] * len(_TESTED)),
            percent(each.sureness),
            percent(each.right),
            points(each.surplus.value),
            *_p(bias, each.surplus),
        )
        for each in bias.confidence
    ]
    return Grid(
        "Confidence: a slope below 1, and a surplus above 0, is too sure",
        (
            "forecaster",
            "slope",
            "95 % interval",
            "p (against 1)",
            "p adjusted",
            "detectable",
            "n",
            "sure",
            "right",
            "surplus",
            "p of surplus",
            "p of surplus, adjusted",
        ),
        tuple(rows),
    )


def _acquiescence(bias: BiasReport) -> Grid:
    rows = [
        (
            member_name(each.name),
            points(each.lean.value),
            *_tested(bias, each.lean),
            percent(each.mean),
            percent(each.mean_of_negated),
        )
        for each in bias.acquiescence
    ]
    return Grid(
        "Acquiescence, from pairs of a question and its opposite: above 0, yes is said too readily",
        ("forecaster", "p + p_not − 1", *_TESTED, "p", "p_not"),
        tuple(rows),
    )


def _paraphrases(bias: BiasReport) -> Grid:
    rows = [
        (
            member_name(each.name),
            points(each.shift.value),
            *_tested(bias, each.shift),
            percent(each.mean_absolute),
            percent(each.by_sampling),
            NOTHING if each.beyond_sampling.n == 0 else percent(each.wording_deviation),
            *_p(bias, each.beyond_sampling),
        )
        for each in bias.paraphrases
    ]
    return Grid(
        "Other wordings of the same question, in percentage points",
        (
            "forecaster",
            "shift",
            *_TESTED,
            "mean change",
            "by sampling",
            "due to words",
            "p of words",
            "p of words, adjusted",
        ),
        tuple(rows),
    )


def _heaping(bias: BiasReport) -> list[Block]:
    rows = [
        (
            f"{member_name(heap.name)}: {each.numbers}",
            percent(each.share),
            percent(each.expected),
            points(each.excess.value),
            *_tested(bias, each.excess),
        )
        for heap in (bias.heaping[-1], *bias.heaping[:-1])
        for each in heap.round_numbers
    ]
    counts = bias.heaping[-1].counts
    said = (
        f"To the last digit {counts.exactly_50:,} of {counted(counts.forecasts, 'forecast')} are 50 %, {counts.exactly_49_or_51:,} 49 or "
        f"51 %, {counts.multiples_of_5:,} multiples of 5, 0 and 100 % included. The table takes each forecast to the nearest whole "
        "percentage."
    )
    if any(each.excess.test is None for heap in bias.heaping for each in heap.round_numbers):
        said = f"{said} {NO_TEST_OF_HEAPING}"
    header = ("numbers", "share", "expected", "excess", *_TESTED)
    return [Grid("Round numbers, without 0 and 100 %", header, tuple(rows), long=True), Prose(said)]


def _errors(errors: ErrorCorrelation) -> str:
    interval = (
        f" (95 % interval {_short(errors.interval[0])} to {_short(errors.interval[1])})" if errors.interval else ""
    )
    return (
        f"Errors on {counted(errors.n, 'question')} correlate by {_short(errors.mean_of_errors)} on average{interval}; shared outcomes "
        f"alone would give {_short(errors.by_shared_outcomes)}. Deviations from the members' mean correlate by "
        f"{_short(errors.mean_of_deviations)}, those of unrelated members by {_short(errors.unrelated_deviations)}. What averaging "
        f"gains: Brier score of the members {score(errors.member_brier)} − their diversity {score(errors.diversity)} = "
        f"{score(errors.brier_of_mean)}, that of their mean."
    )


def _curve(curve: LearningCurve) -> str:
    most = curve.line(MEAN, curve.samples)[-1]
    end = f" {why}" if (why := curve.why_it_ends()) else ""
    return (
        f"Expected Brier scores of crowds drawn from this one, on the same {counted(curve.n, 'resolved question')}. The mean of "
        f"{counted(most.members, 'member')} with {counted(most.samples, 'sample')} each gains {number(most.gain)} ± "
        f"{number(most.gain_error)} (standard error) over one member with one sample.{end}"
    )


def _tested(bias: BiasReport, estimate: Estimate, shown: Callable[[float], str] | None = None) -> Sequence[str]:
    """The cells under `_TESTED`."""
    shown = shown or points
    interval = (
        NOTHING if estimate.interval is None else f"{shown(estimate.interval[0])} to {shown(estimate.interval[1])}"
    )
    detectable = NOTHING if estimate.detectable is None else shown(estimate.detectable).lstrip("+")
    return [interval, *_p(bias, estimate), detectable, f"{estimate.n:,}"]


def _p(bias: BiasReport, estimate: Estimate) -> Sequence[str]:
    """By itself, and adjusted over all tests of biases."""
    return [p(estimate.test.p if estimate.test else None), p(bias.adjusted_p(estimate))]


def _short(value: float) -> str:
    return decimal(value, 2)
