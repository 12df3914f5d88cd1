"""Whether probabilities went through a softmax twice, as those of AWARE-NET's published code did.

q = softmax(p) of probabilities p is undone exactly: p_c = ln q_c + (1 − Σ ln q) / C. Where every row undoes to probabilities, and
many of them to nearly certain ones, q is hardly a model's own: a modest model does not stop at the bound e / (e + C − 1).
"""

from __future__ import annotations

import numpy as np

from hf_soup.ensembles.tiers import row_blocks

_ROUNDING = 1e-3
_NEARLY_CERTAIN = 0.95
_SHARE_OF_ROWS = 0.1
_FEWEST_ROWS = 10


def looks_softmaxed_twice(probabilities: np.ndarray, labels: np.ndarray | None = None) -> bool:
    """For one member, [rows, classes]; rows of NaN are passed over.

    With `labels` [rows] it must also be right more often than it says, by three standard errors: the second softmax takes its
    confidence away.
    """
    known = certain = right = 0
    confidence = 0.0
    for block in row_blocks(len(probabilities), probabilities.shape[1]):
        values = probabilities[block].astype(np.float64)
        spoken = ~np.isnan(values[:, 0])
        values = values[spoken]
        if (values <= 0).any():
            return False
        logs = np.log(values)
        undone = logs + (1 - logs.sum(axis=1, keepdims=True)) / values.shape[1]
        if (undone < -_ROUNDING).any():
            return False
        known += len(values)
        certain += int((undone.max(axis=1) >= _NEARLY_CERTAIN).sum())
        confidence += float(values.max(axis=1).sum())
        if labels is not None:
            right += int((values.argmax(axis=1) == labels[block][spoken]).sum())
    if known < _FEWEST_ROWS or certain < _SHARE_OF_ROWS * known:
        return False
    mean = confidence / known
    return labels is None or right / known > mean + 3 * np.sqrt(mean * (1 - mean) / known)
