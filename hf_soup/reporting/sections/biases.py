"""Whether forecasts lean to one side, pile up at round numbers, are too sure of themselves, or err together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hf_soup.reporting.figures.error_correlation import error_correlation_map
from hf_soup.reporting.figures.heaping import heaping_histogram
from hf_soup.reporting.figures.learning_curve import learning_curve_plot
from hf_soup.reporting.figures.mean_and_base_rate import mean_and_base_rate
from hf_soup.reporting.findings import Findings
from hf_soup.reporting.names import member_name
from hf_soup.reporting.page import Block, Grid, Points, Prose, Section, counted, listed
from hf_soup.reporting.sections.cells import NOTHING, p, score
from hf_soup.scoring.bias_report import BiasReport, Finding
from hf_soup.scoring.biases.error_correlation import ErrorCorrelation
from hf_soup.scoring.biases.estimate import Estimate
from hf_soup.scoring.biases.learning_curve import MEAN, LearningCurve
from hf_soup.scoring.comparison_sentence import number

_TESTED = ("95 % interval", "p", "detectable", "n")
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
    blocks.append(_heaping(bias))
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
    blocks.append(Points((*bias.notes, *(each[:1].upper() + each[1:] for each in bias.warnings))))
    return Section("biases", "Biases", tuple(blocks))


def _found(bias: BiasReport) -> list[Block]:
    over = f"{counted(bias.adjusted.tests, 'test')}, p adjusted over all of them (Benjamini–Hochberg)"
    found = [each for each in bias.findings if each.found]
    if not found:
        return [
            Prose(
                f"Of {over}, none found a bias that chance does not explain; what each would have found stands beside it."
            )
        ]
    by_measure: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        by_measure.setdefault((each.check.replace("_", " "), each.measure), []).append(each)
    lines = [
        f"{check[:1].upper()}{check[1:]}, {measure}: {listed([_short_finding(each) for each in group], _SHOWN)}."
        for (check, measure), group in by_measure.items()
    ]
    said = (
        f"Of {over}, {len(found)} found what chance does not explain; intervals and what would have been found stand in the tables "
        "below. Differences are in percentage points."
    )
    return [Prose(said), Points(tuple(lines))]


def _short_finding(finding: Finding) -> str:
    in_points = not finding.estimate.null and not finding.measure.startswith("variance")
    value = finding.estimate.value
    return f"{member_name(finding.name)} {_points(value) if in_points else _decimal(value)}"


def _base_rates(bias: BiasReport) -> Grid:
    rows = [
        (
            member_name(each.name),
            _points(each.excess.value),
            *_tested(each.excess),
            _percent(each.mean),
            _percent(each.base_rate),
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
            NOTHING if each.slope is None else _decimal(each.slope.value),
            *(_tested(each.slope, _decimal) if each.slope else [NOTHING] * len(_TESTED)),
            _percent(each.sureness),
            _percent(each.right),
            _points(each.surplus.value),
            p(each.surplus.test.p if each.surplus.test else None),
        )
        for each in bias.confidence
    ]
    return Grid(
        "Confidence: a slope below 1, and a surplus above 0, is too sure",
        ("forecaster", "slope", *_TESTED, "sure", "right", "surplus", "p of surplus"),
        tuple(rows),
    )


def _acquiescence(bias: BiasReport) -> Grid:
    rows = [
        (
            member_name(each.name),
            _points(each.lean.value),
            *_tested(each.lean),
            _percent(each.mean),
            _percent(each.mean_of_negated),
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
            _points(each.shift.value),
            *_tested(each.shift),
            _percent(each.mean_absolute),
            _percent(each.by_sampling),
            NOTHING if each.beyond_sampling.n == 0 else _percent(each.wording_deviation),
        )
        for each in bias.paraphrases
    ]
    return Grid(
        "Other wordings of the same question, in percentage points",
        ("forecaster", "shift", *_TESTED, "mean change", "by sampling", "due to words"),
        tuple(rows),
    )


def _heaping(bias: BiasReport) -> Grid:
    rows = [
        (
            f"{member_name(heap.name)}: {each.numbers}",
            _percent(each.share),
            _percent(each.expected),
            _points(each.excess.value),
            *_tested(each.excess),
        )
        for heap in (bias.heaping[-1], *bias.heaping[:-1])
        for each in heap.round_numbers
    ]
    counts = bias.heaping[-1].counts
    caption = (
        f"Round numbers without 0 and 100 %; of {counts.forecasts:,} forecasts {counts.exactly_50:,} are exactly 50 %, "
        f"{counts.exactly_49_or_51:,} are 49 or 51 %"
    )
    return Grid(caption, ("numbers", "share", "expected", "excess", *_TESTED), tuple(rows), long=True)


def _errors(errors: ErrorCorrelation) -> str:
    interval = (
        f" (95 % interval {_decimal(errors.interval[0])} to {_decimal(errors.interval[1])})" if errors.interval else ""
    )
    return (
        f"Errors on {counted(errors.n, 'question')} correlate by {_decimal(errors.mean_of_errors)} on average{interval}; shared outcomes "
        f"alone would give {_decimal(errors.by_shared_outcomes)}. Deviations from the members' mean correlate by "
        f"{_decimal(errors.mean_of_deviations)}, those of unrelated members by {_decimal(errors.unrelated_deviations)}. What averaging "
        f"gains: Brier score of the members {score(errors.member_brier)} − their diversity {score(errors.diversity)} = "
        f"{score(errors.brier_of_mean)}, that of their mean."
    )


def _curve(curve: LearningCurve) -> str:
    most = curve.line(MEAN, curve.samples)[-1]
    left_out = (
        f"; {counted(curve.left_out, 'question')} that fewer than {curve.members} members answered left out"
        if curve.left_out
        else ""
    )
    return (
        f"Expected Brier scores of crowds drawn from this one, on the same {counted(curve.n, 'resolved question')}{left_out}. The mean of "
        f"{counted(most.members, 'member')} with {counted(most.samples, 'sample')} each gains {number(most.gain)} ± "
        f"{number(most.gain_error)} (standard error) over one member with one sample."
    )


def _tested(estimate: Estimate, shown: Callable[[float], str] | None = None) -> Sequence[str]:
    shown = shown or _points
    interval = (
        NOTHING if estimate.interval is None else f"{shown(estimate.interval[0])} to {shown(estimate.interval[1])}"
    )
    detectable = NOTHING if estimate.detectable is None else shown(estimate.detectable).lstrip("+")
    return [interval, p(estimate.test.p if estimate.test else None), detectable, f"{estimate.n:,}"]


def _percent(value: float) -> str:
    return NOTHING if value != value else f"{100 * value:.1f} %"


def _points(value: float) -> str:
    return NOTHING if value != value else f"{100 * value:+.1f}".replace("-", "−")


def _decimal(value: float) -> str:
    return NOTHING if value != value else f"{value:.2f}".replace("-", "−")
