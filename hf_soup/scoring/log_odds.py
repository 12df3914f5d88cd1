"""Log odds of probabilities, and back. Their clip is a parameter wherever they are used, and is reported with the result."""

from __future__ import annotations

import numpy as np

CLIP = 0.01
"""The default: forecasts below 1 % count as 1 %, those above 99 % as 99 %; 0 and 1 have no finite log odds."""


def log_odds(probabilities: np.ndarray, clip: float = CLIP) -> np.ndarray:
    """Returns ln(p / (1 − p)) of p clipped to [clip, 1 − clip], in the shape of `probabilities`; NaN stays NaN.

    >>> log_odds(np.array([0.5, 0.0])).round(3)
    array([ 0.   , -4.595])
    """
    clipped = np.clip(probabilities, clip, 1 - clip)
    return np.log(clipped) - np.log1p(-clipped)


def from_log_odds(values: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + e^−x), without overflow for any x; NaN stays NaN."""
    from scipy.special import expit

    return expit(values)
