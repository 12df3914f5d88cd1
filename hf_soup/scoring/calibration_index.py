"""How far forecasts lie from what happened: bins of a reliability diagram, calibration index and expected calibration error.

Bins are of equal width, 10 unless told otherwise; the bins of arXiv 2402.19379 are not known. Both measures are above zero
even for perfect forecasters, since |·| and squares turn noise into error: `calibration_index_by_chance` says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.errors import InputError

BINS = 10
_DIGITS = 10  # 0.1 + 0.2 belongs into the bin that begins at 0.3


@dataclass(frozen=True)
class ReliabilityBin:
    """Forecasts from `low` up to, not including, `high` (the last bin includes 1), with Wilson's 95 % interval of the share."""

    low: float
    high: float
    n: int
    mean_forecast: float
    share_yes: float
    share_low: float
    share_high: float


def reliability_bins(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """Returns the bins that hold forecasts, in ascending order. p, y: [Q]; where one is NaN the question is left out."""
    from scipy.stats import binomtest

    found = []
    binned = binned_totals(p, y, bins)
    for which in np.flatnonzero(binned.n):
        n, yes = int(binned.n[which]), round(binned.yes[which])
        wilson = binomtest(yes, n).proportion_ci(0.95, method="wilson")
        found.append(
            ReliabilityBin(
                low=which / bins,
                high=(which + 1) / bins,
                n=n,
                mean_forecast=float(binned.forecast[which] / n),
                share_yes=yes / n,
                share_low=float(wilson.low),
                share_high=float(wilson.high),
            )
        )
    return tuple(found)


def calibration_index(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Returns Σ nₖ (p̄ₖ − ȳₖ)² / n: 0 is perfect. NaN without forecasts. Source: Tetlock 2005, technical appendix."""
    n, gap = _gaps(p, y, bins)
    return float((n * gap**2).sum() / n.sum()) if n.sum() else float("nan")


def expected_calibration_error(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Returns Σ nₖ |p̄ₖ − ȳₖ| / n of the probability of yes. NaN without forecasts. Source: Naeini et al. 2015."""
    n, gap = _gaps(p, y, bins)
    return float((n * np.abs(gap)).sum() / n.sum()) if n.sum() else float("nan")


def calibration_index_by_chance(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Returns the calibration index that these forecasts would have on average if each were the true probability.

    Σₖ (Σ_{i∈k} pᵢ(1 − pᵢ) / nₖ) / n, for independent outcomes: what noise alone gives at this n.
    """
    scored = ~(np.isnan(p) | np.isnan(y))
    if not scored.any():
        return float("nan")
    kept = p[scored]
    which = bin_numbers(kept, bins)
    n = np.bincount(which, minlength=bins)
    variance = np.bincount(which, weights=kept * (1 - kept), minlength=bins)
    return float((variance / np.where(n == 0, 1, n)).sum() / len(kept))


@dataclass(frozen=True)
class BinnedTotals:
    """Per bin: how many forecasts, their sum, and how many of the questions became yes."""

    n: np.ndarray
    forecast: np.ndarray
    yes: np.ndarray


def binned_totals(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> BinnedTotals:
    """Returns the totals of every bin, also of empty ones. Raises InputError where `bins` is below 1."""
    if bins < 1:
        raise InputError(f"bins: {bins} is below 1.")
    scored = ~(np.isnan(p) | np.isnan(y))
    p, y = p[scored], y[scored]
    which = bin_numbers(p, bins)
    return BinnedTotals(
        np.bincount(which, minlength=bins),
        np.bincount(which, weights=p, minlength=bins),
        np.bincount(which, weights=y, minlength=bins),
    )


def bin_numbers(p: np.ndarray, bins: int) -> np.ndarray:
    """Returns int64 [Q]: the bin of equal width of each probability; 1 belongs to the last one."""
    return np.minimum(np.floor(np.round(p * bins, _DIGITS)).astype(np.int64), bins - 1)


def _gaps(p: np.ndarray, y: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    binned = binned_totals(p, y, bins)
    return binned.n, (binned.forecast - binned.yes) / np.where(binned.n == 0, 1, binned.n)
