"""Murphy's decomposition of the Brier score into reliability, resolution and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.calibration_index import bin_numbers

_DIGITS = 10


@dataclass(frozen=True)
class Murphy:
    """brier = reliability − resolution + uncertainty + within_bins, exactly.

    `reliability`: smaller is better. `resolution`: how far the bins' shares of yes lie from the base rate, larger is better.
    `uncertainty`: base rate · (1 − base rate), the same for all forecasters of these questions. `within_bins`: what differs
    inside the bins, 0 where every distinct forecast is a bin of its own.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    bins: int | None
    n: int


def murphy(p: np.ndarray, y: np.ndarray, bins: int | None = None) -> Murphy:
    """Returns the decomposition of p, y: [Q]; where one is NaN the question is left out.

    `bins` None: every distinct value (rounded to 10 digits) is a bin, and the three terms add up; with few forecasts of each
    value resolution and reliability are then both too high. With bins of equal width they are steadier, and the rest is in
    `within_bins`. Sources: Murphy 1973; Stephenson, Coelho, Jolliffe 2008 for the terms within bins.

    >>> parts = murphy(np.array([0.25, 0.25, 0.75, 0.75]), np.array([0.0, 1.0, 1.0, 1.0]))
    >>> parts.reliability, parts.resolution, parts.uncertainty
    (0.0625, 0.0625, 0.1875)
    """
    scored = ~(np.isnan(p) | np.isnan(y))
    p, y = p[scored], y[scored]
    if not len(p):
        nan = float("nan")
        return Murphy(nan, nan, nan, nan, nan, bins, 0)
    which = np.unique(np.round(p, _DIGITS), return_inverse=True)[1] if bins is None else bin_numbers(p, bins)
    n = np.bincount(which)
    safe = np.where(n == 0, 1, n)
    forecast, yes = (np.bincount(which, weights=each) / safe for each in (p, y))
    inside_p, inside_y = p - forecast[which], y - yes[which]
    return Murphy(
        brier=float(((p - y) ** 2).mean()),
        reliability=float((n * (forecast - yes) ** 2).sum() / len(p)),
        resolution=float((n * (yes - y.mean()) ** 2).sum() / len(p)),
        uncertainty=float(y.mean() * (1 - y.mean())),
        within_bins=float((inside_p**2 - 2 * inside_p * inside_y).mean()),
        bins=bins,
        n=len(p),
    )
