"""The bias report in words and tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hf_soup.scoring.biases.cost_per_brier_point import CostPerBrierPoint
from hf_soup.scoring.biases.error_correlation import ErrorCorrelation
from hf_soup.scoring.biases.estimate import Estimate
from hf_soup.scoring.biases.heaping import NO_TEST_OF_HEAPING
from hf_soup.scoring.biases.learning_curve import MEAN, MEDIAN, LearningCurve
from hf_soup.scoring.comparison_sentence import number, p_cell, p_value
from hf_soup.scoring.multiple import Adjusted
from hf_soup.scoring.shown_numbers import NOTHING, counted, decimal, percent, points
from hf_soup.text_table import text_table

if TYPE_CHECKING:
    from hf_soup.scoring.bias_report import BiasReport, Finding

NOTHING_TESTED = (
    "Nothing could be tested: a test needs numbers from at least two questions (or groups of them) that are not all the same. Whether "
    "there is a bias cannot be told from these data."
)
_TESTED = ["n", "95 % interval", "p", "p (BH)", "detectable"]
_MOST_PAIRS = 12  # members whose correlations are printed; all of them are in the document


def sections(report: BiasReport) -> list[str]:
    """Returns paragraphs and tables, those alone for which there are data. Probabilities are in percentage points."""
    parts = [_found(report), _base_rates(report)]
    if report.acquiescence:
        parts.append(_acquiescence(report))
    if report.paraphrases:
        parts.append(_paraphrases(report))
    parts += [_heaping(report), _confidence(report)]
    if report.error_correlation is not None:
        parts.append(_errors(report.error_correlation))
    if report.learning_curve is not None:
        parts.append(_curve(report.learning_curve))
    if report.cost_per_brier_point is not None:
        parts.append(_costs(report.cost_per_brier_point))
    return [*parts, "\n".join(report.notes)]


def finding_sentence(finding: Finding) -> str:
    """Returns what was found, with its interval and p; of numbers that are probabilities in percentage points."""
    e = finding.estimate
    shown = decimal if e.null or finding.measure.startswith("variance") else points
    interval = f", 95 % interval {_interval(e, shown)}" if e.interval else ""
    adjusted = f", adjusted p {p_value(finding.adjusted_p)}" if finding.adjusted_p is not None else ""
    measure = finding.measure + (f", tested against {e.null:g}:" if e.null else "")
    return f"{finding.check.replace('_', ' ')}, {finding.name}: {measure} {shown(e.value)} (n = {e.n}{interval}{adjusted})"


def how_adjusted(adjusted: Adjusted) -> str:
    """Returns how many tests there are and how their p were adjusted, to be followed by what they found.

    >>> from hf_soup.scoring.multiple import benjamini_hochberg
    >>> how_adjusted(benjamini_hochberg(["a", "b"], [0.01, 0.2], looks=3))
    '2 tests, p adjusted over all of them (Benjamini–Hochberg, 3 looks),'
    """
    looks = f", {adjusted.looks} looks" if adjusted.looks > 1 else ""
    return f"{counted(adjusted.tests, 'test')}, p adjusted over all of them (Benjamini–Hochberg{looks}),"


def _found(report: BiasReport) -> str:
    if not report.adjusted.tests:
        return NOTHING_TESTED
    found = [finding_sentence(each) for each in report.findings if each.found]
    of = f"Of {how_adjusted(report.adjusted)}"
    if not found:
        return f"{of} none found a bias that chance does not explain; what each would have found stands beside it."
    return "\n".join([f"{of} {len(found)} found what chance does not explain:", *(f"  {each}" for each in found)])


def _base_rates(report: BiasReport) -> str:
    body = [
        [
            each.name,
            percent(each.mean),
            percent(each.base_rate),
            points(each.excess.value),
            *_tested(report, each.excess),
        ]
        for each in report.mean_against_base_rate
    ]
    return _titled("Mean forecast against base rate", ["mean", "ended yes", "excess", *_TESTED], body)


def _acquiescence(report: BiasReport) -> str:
    body = [
        [
            each.name,
            percent(each.mean),
            percent(each.mean_of_negated),
            points(each.lean.value),
            *_tested(report, each.lean),
            percent(each.inconsistency),
        ]
        for each in report.acquiescence
    ]
    header = ["p", "p_not", "p + p_not − 1", *_TESTED, "mean |…|"]
    return _titled("Acquiescence, from negated pairs (above 0: yes is said too readily)", header, body)


def _paraphrases(report: BiasReport) -> str:
    body = [
        [
            each.name,
            points(each.shift.value),
            *_tested(report, each.shift),
            percent(each.mean_absolute),
            percent(each.root_mean_square),
            percent(each.by_sampling),
            NOTHING if each.beyond_sampling.n == 0 else percent(each.wording_deviation),
            *_p(report, each.beyond_sampling),
        ]
        for each in report.paraphrases
    ]
    header = ["shift", *_TESTED, "mean |Δ|", "RMS Δ", "by sampling", "due to words", "p", "p (BH)"]
    return _titled("Other wordings (Δ: other wording − question)", header, body)


def _heaping(report: BiasReport) -> str:
    rows = report.heaping
    body = [
        [
            heap.name if number == 0 else "",
            str(heap.counts.forecasts) if number == 0 else "",
            each.numbers,
            percent(each.share),
            percent(each.expected),
            NOTHING if each.index != each.index else f"{each.index:.2f}",
            *_tested(report, each.excess)[1:],
        ]
        for heap in rows
        for number, each in enumerate(heap.round_numbers)
    ]
    last = rows[-1].counts
    said = [
        f"{rows[-1].name}: to the last digit {last.exactly_50} of {last.forecasts} forecasts are 50 % ({last.exactly_49_or_51} are 49 or "
        f"51 %), {last.multiples_of_5} multiples of 5, {last.multiples_of_10} of 10, 0 and 100 % included. The table takes each forecast to "
        "the nearest whole percentage."
    ]
    if any(each.excess.test is None for heap in rows for each in heap.round_numbers):
        said.append(NO_TEST_OF_HEAPING)
    header = ["forecasts", "at", "share", "expected", "index", *_TESTED[1:]]
    return "\n".join([_titled("Round numbers, without 0 and 100 %", header, body), *said])


def _confidence(report: BiasReport) -> str:
    rows = report.confidence
    body = [
        [
            each.name,
            decimal(each.slope.value) if each.slope else NOTHING,
            *(_tested(report, each.slope, decimal) if each.slope else [NOTHING] * len(_TESTED)),
            percent(each.sureness),
            percent(each.right),
            points(each.surplus.value),
            *_tested(report, each.surplus)[1:],
            _brier(each.calibration_index),
            _brier(each.by_chance),
        ]
        for each in rows
    ]
    header = [
        "slope",
        "n",
        "95 % interval",
        "p (against 1)",
        "p (BH)",
        "detectable",
        "sure",
        "right",
        "surplus",
        *_TESTED[1:],
        "cal. index",
        "by chance",
    ]
    title = "Confidence (slope below 1 and surplus above 0: too sure)"
    without = [f"{each.name}: no slope, {each.why_no_slope}." for each in rows if each.why_no_slope]
    if len(rows) > 1:
        without.append(
            f"{rows[-1].name}: the mean of calibrated members is not sure enough by nature, the more so the more each knows for itself."
        )
    return "\n".join([_titled(title, header, body), *dict.fromkeys(without)])


def _errors(e: ErrorCorrelation) -> str:
    parts = []
    if len(e.members) <= _MOST_PAIRS:
        body = [
            [
                f"{at}. {name}",
                *("" if j >= at - 1 else decimal(e.of_errors[at - 1, j]) for j in range(len(e.members))),
            ]
            for at, name in enumerate(e.members, 1)
        ]
        header = [str(at) for at in range(1, len(e.members) + 1)]
        parts.append(_titled("Correlation of errors p − y", header, body))
    interval = f" (95 % interval {decimal(e.interval[0])} to {decimal(e.interval[1])})" if e.interval else ""
    parts.append(
        f"Errors on {e.n} question{'s' if e.n != 1 else ''} correlate by {decimal(e.mean_of_errors)} on average{interval}; shared outcomes alone would give "
        f"{decimal(e.by_shared_outcomes)}. Deviations from the members' mean correlate by {decimal(e.mean_of_deviations)}; those of unrelated "
        f"members by {decimal(e.unrelated_deviations)}.\n"
        f"Averaging: Brier score of the members {number(e.member_brier)} − their diversity {number(e.diversity)} = "
        f"{number(e.brier_of_mean)}, that of their mean, exactly."
    )
    return "\n".join([*parts, *e.pitfalls])


def _curve(c: LearningCurve) -> str:
    lines = [(aggregate, samples) for aggregate in (MEAN, MEDIAN) for samples in range(1, c.samples + 1)]
    sizes = [point.members for point in c.line(MEAN, 1)]
    body = []
    for size in sizes:
        points = [c.point(aggregate, size, samples) for aggregate, samples in lines]
        body.append(
            [
                str(size),
                *(
                    NOTHING if each is None else f"{number(each.brier)} ± {number(each.standard_error)}"
                    for each in points
                ),
            ]
        )
    header = [f"{aggregate} × {samples}" for aggregate, samples in lines]
    words = (
        f"Expected Brier score ± standard error over questions of crowds drawn from this one, on the same {c.n} resolved "
        f"question{'s' if c.n != 1 else ''}. Columns: aggregate × samples of each member. Differences between cells are far more certain than the cells: they "
        "have the same questions."
    )
    gains = [c.point(MEAN, size, 1) for size in (sizes[-1],)]
    gains.append(c.point(MEAN, sizes[-1], c.samples))
    said = [
        f"{each.members} member{'s' if each.members != 1 else ''} × {each.samples}: {number(each.gain)} ± {number(each.gain_error)}"
        for each in dict.fromkeys(gains)
        if each is not None and each.members * each.samples > 1
    ]
    gain = f"\nGain of the mean over one member with one sample: {'; '.join(said)}." if said else ""
    end = f"\n{why}" if (why := c.why_it_ends()) else ""
    return f"{_titled('How many members, how many samples', header, body, first='members')}\n{words}{end}{gain}"


def _costs(c: CostPerBrierPoint) -> str:
    point = number(c.point).rstrip("0")
    body = [
        [
            each.name,
            _dollars(each.dollars),
            _dollars(each.per_question),
            number(each.gain.value),
            _dollars(each.per_point),
        ]
        for each in c.by_member
    ]
    parts = [
        _titled(
            "Cost by member (gain: over 50 % on every question)",
            ["dollars", "a question", "gain", f"for {point} Brier"],
            body,
        )
    ]
    if c.by_number:
        body = [
            [
                f"{each.members} × {each.samples}",
                _dollars(each.per_question),
                number(each.gain),
                number(each.gain_error),
                _dollars(each.per_point),
            ]
            for each in c.by_number
        ]
        header = ["a question", "gain", "± s.e.", f"for {point} Brier"]
        parts.append(
            _titled(
                "Cost by members × samples, mean (gain: over one member with one sample)", header, body, first="crowd"
            )
        )
    if c.unknown:
        parts.append(
            f"The price of {', '.join(c.unknown)} is not known, so the cost by size of the crowd is not either; give it when asking "
            "(--prices)."
        )
    return "\n\n".join(parts)


def _titled(title: str, header: Sequence[str], body: Sequence[Sequence[str]], first: str = "") -> str:
    return f"{title}\n{text_table([[first, *header], *body])}"


def _tested(report: BiasReport, estimate: Estimate, shown: Callable[[float], str] | None = None) -> list[str]:
    """The cells under `_TESTED`."""
    shown = shown or points
    detectable = NOTHING if estimate.detectable is None else shown(estimate.detectable).lstrip("+")
    return [str(estimate.n), _interval(estimate, shown), *_p(report, estimate), detectable]


def _p(report: BiasReport, estimate: Estimate) -> list[str]:
    """By itself, and adjusted over all tests of the report."""
    return [p_cell(estimate.test.p if estimate.test else None), p_cell(report.adjusted_p(estimate))]


def _interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    return NOTHING if estimate.interval is None else f"{shown(estimate.interval[0])} to {shown(estimate.interval[1])}"


def _brier(value: float) -> str:
    return NOTHING if value != value else number(value)


def _dollars(value: float | None) -> str:
    return NOTHING if value is None else f"${value:.4g}"
