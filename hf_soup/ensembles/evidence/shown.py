"""How numbers of a report are written: shares in percent, everything else with four digits."""

from __future__ import annotations

import math

from hf_soup.evaluation.estimates import Estimate

SHARES = frozenset({"accuracy", "f1_macro", "auc", "ece"})
TITLES = {"accuracy": "accuracy", "f1_macro": "F1", "auc": "AUC", "nll": "NLL", "brier": "Brier", "ece": "ECE"}


def title(metric: str) -> str:
    """
    >>> title("f1_macro"), title("nll")
    ('F1 %', 'NLL')
    """
    return TITLES[metric] + (" %" if metric in SHARES else "")


def value(number: float | None, metric: str) -> str:
    """
    >>> value(0.8431, "accuracy"), value(0.356, "nll"), value(None, "nll")
    ('84.31', '0.3560', '–')
    """
    if number is None or not math.isfinite(number):
        return "–"
    return f"{100 * number:.2f}" if metric in SHARES else f"{number:.4f}"


def signed(number: float | None, metric: str) -> str:
    """
    >>> signed(-0.012, "accuracy"), signed(0.0, "nll")
    ('−1.20', '0.0000')
    """
    if number is None or not math.isfinite(number):
        return "–"
    plain = value(abs(number), metric)
    zero = not plain.strip("0.")
    return plain if zero else ("−" if number < 0 else "+") + plain


def interval(low: float | None, high: float | None, metric: str, *, with_sign: bool = False) -> str:
    """
    >>> interval(-0.01, 0.02, "accuracy", with_sign=True), interval(None, None, "nll")
    ('[−1.00, +2.00]', '')
    """
    if low is None or high is None:
        return ""
    write = signed if with_sign else value
    return f"[{write(low, metric)}, {write(high, metric)}]"


def estimated(estimate: Estimate | None, metric: str) -> str:
    """`84.31 [82.10, 86.32]`; of an ECE the most that a perfectly calibrated model would show, `3.10 (≤ 1.94)`."""
    if estimate is None:
        return "–"
    shown = value(estimate.value, metric)
    if metric == "ece":
        return shown if estimate.high is None else f"{shown} (≤ {value(estimate.high, metric)})"
    return f"{shown} {interval(estimate.low, estimate.high, metric)}".rstrip()


def amount(number: float | None) -> str:
    """
    >>> amount(22_713_986), amount(None)
    ('22.7 M', '–')
    """
    if number is None:
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return f"{number:g}"


def latency(seconds: float | None) -> str:
    """
    >>> latency(0.0048), latency(None)
    ('4.80 ms', '–')
    """
    return "–" if seconds is None else f"{1000 * seconds:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"
