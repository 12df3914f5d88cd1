"""How alike the members' errors are, and what averaging them gained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hf_soup.scoring.table import mean_of_samples

_LEAST_COMMON = 3
_NO_VARIATION = 1e-12

PITFALLS = (
    "Errors p − y of all members hold the same outcome y, which nobody could know, so they correlate strongly even where the members "
    "have nothing else in common: compare their mean with what shared outcomes alone would give, and do not read a number of "
    "“effectively independent” models from it.",
    "Deviations from the members' mean hold no outcome, but they add up to 0 on every question, so that unrelated members correlate "
    "by −1/(M − 1) and not by 0.",
    "Neither correlation says what averaging gains; the diversity does, exactly.",
)


@dataclass(frozen=True)
class ErrorCorrelation:
    """M members on resolved questions. Matrices are float64 [M, M], each pair on the `common` (int64 [M, M]) questions that both
    answered; NaN where these are too few or one does not vary.

    `of_errors`: Pearson correlation of p − y; `mean_of_errors` and `interval` (95 %, see `error_correlation`): the mean over pairs.
    `by_shared_outcomes`: what that mean would be if members deviated from their mean independently and that mean were calibrated.
    `of_deviations`: Pearson correlation of p − the members' mean; `mean_of_deviations`: over pairs; `unrelated_deviations`:
    −1/(M − 1), what unrelated members have.
    `member_brier` − `diversity` = `brier_of_mean`, exactly: the mean Brier score over the members of each question, the variance
    of their forecasts about their mean, and the Brier score of that mean, each averaged over `n` questions.
    Sources: Krogh & Vedelsby 1995 (the decomposition); Clemen & Winkler 1985 (dependence of experts' errors).
    """

    members: tuple[str, ...]
    of_errors: np.ndarray
    of_deviations: np.ndarray
    common: np.ndarray
    mean_of_errors: float
    interval: tuple[float, float] | None
    by_shared_outcomes: float
    mean_of_deviations: float
    unrelated_deviations: float
    member_brier: float
    diversity: float
    brier_of_mean: float
    n: int
    pitfalls: tuple[str, ...] = PITFALLS


def error_correlation(
    members: tuple[str, ...], values: np.ndarray, outcomes: np.ndarray, groups: np.ndarray
) -> ErrorCorrelation | None:
    """Returns how the errors of M members' forecasts, values [Q, M], hang together; None for one member, or nothing resolved.

    Questions that one member alone answered are left out. The interval is that of a jackknife over groups [Q], on Fisher's
    scale, with t at G − 1 degrees of freedom. Source: Efron & Tibshirani 1993, chapter 11.
    """
    kept = ~np.isnan(outcomes) & ((~np.isnan(values)).sum(axis=1) > 1)
    if not kept.any():
        return None
    values, outcomes, groups = values[kept], outcomes[kept], groups[kept]
    mean = mean_of_samples(values)
    deviations = values - mean[:, None]
    errors = values - outcomes[:, None]
    of_errors, common, mean_of_errors, interval = _correlations(errors, groups)
    of_deviations, _, mean_of_deviations, _ = _correlations(deviations, groups)
    return ErrorCorrelation(
        members=members,
        of_errors=of_errors,
        of_deviations=of_deviations,
        common=common,
        mean_of_errors=mean_of_errors,
        interval=interval,
        by_shared_outcomes=_by_shared_outcomes(mean, deviations),
        mean_of_deviations=mean_of_deviations,
        unrelated_deviations=-1 / (len(members) - 1),
        member_brier=float(mean_of_samples(errors**2).mean()),
        diversity=float(mean_of_samples(deviations**2).mean()),
        brier_of_mean=float(((mean - outcomes) ** 2).mean()),
        n=len(outcomes),
    )


def _correlations(
    values: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float, tuple[float, float] | None]:
    """(Pearson correlations [M, M], common questions [M, M], their mean over pairs, its interval)."""
    given = ~np.isnan(values)
    centred = np.where(given, values - mean_of_samples(values.T), 0.0)
    which = np.unique(groups, return_inverse=True)[1]
    n_groups, n_members = int(which.max()) + 1, values.shape[1]
    matrix, common = np.full((2, n_members, n_members), np.nan)
    without_group, pairs = np.zeros(n_groups), 0
    for member in range(n_members):
        moments = _moments(centred, given, member, which, n_groups)
        total = moments.sum(axis=1)
        matrix[member], common[member] = _pearson(total), total[0]
        later = np.flatnonzero(~np.isnan(matrix[member]) & (np.arange(n_members) > member))
        without_group += _pearson(total[:, None] - moments)[:, later].sum(axis=1)
        pairs += len(later)
    if not pairs:
        return matrix, common.astype(np.int64), float("nan"), None
    mean = float(np.nanmean(matrix[np.triu_indices(n_members, 1)]))
    return matrix, common.astype(np.int64), mean, _jackknife(mean, without_group / pairs)


def _moments(centred: np.ndarray, given: np.ndarray, member: int, which: np.ndarray, n_groups: int) -> np.ndarray:
    """float64 [6, G, M]: n, Σx, Σy, Σx², Σy², Σxy of each group, x this member's numbers and y the others', where both are."""
    both = (given & given[:, [member]]).astype(np.float64)
    x, y = centred[:, [member]] * both, centred * both
    moments = np.zeros((6, n_groups, centred.shape[1]))
    for at, each in enumerate((both, x, y, x**2, y**2, x * y)):
        np.add.at(moments[at], which, each)
    return moments


def _pearson(moments: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = moments
    n = np.where(n < _LEAST_COMMON, np.nan, n)
    of_x, of_y = xx - x**2 / n, yy - y**2 / n
    varies = (of_x > _NO_VARIATION * n) & (of_y > _NO_VARIATION * n)
    return np.divide(xy - x * y / n, np.sqrt(of_x * of_y), out=np.full(n.shape, np.nan), where=varies)


def _jackknife(mean: float, without_group: np.ndarray) -> tuple[float, float] | None:
    """None where leaving out a group leaves a pair without a correlation, or all are 1."""
    from scipy.special import stdtrit

    count = len(without_group)
    if count < _LEAST_COMMON or not (np.abs([mean, *without_group]) < 1 - _NO_VARIATION).all():
        return None
    scale = np.arctanh(without_group)
    error = np.sqrt((count - 1) / count * ((scale - scale.mean()) ** 2).sum())
    reach = stdtrit(count - 1, 0.975) * error
    return float(np.tanh(np.arctanh(mean) - reach)), float(np.tanh(np.arctanh(mean) + reach))


def _by_shared_outcomes(mean: np.ndarray, deviations: np.ndarray) -> float:
    """Mean over pairs of v / √((v + d_i)(v + d_j)): v the variance of outcomes about the members' mean, d of each member's own."""
    outcome = float((mean * (1 - mean)).mean())
    n_members = deviations.shape[1]
    centred = deviations - mean_of_samples(deviations.T)
    # The mean holds a share of every member's own deviation, which makes deviations from it smaller by (M − 1) / M.
    own = mean_of_samples((centred**2).T) * n_members / (n_members - 1)
    spread = np.sqrt(outcome + own)
    pairs = outcome / (spread[:, None] * spread[None, :])
    return float(np.nanmean(pairs[np.triu_indices(n_members, 1)])) if outcome > 0 else float("nan")
