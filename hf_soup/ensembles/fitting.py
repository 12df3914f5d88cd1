"""Fits a combination on held-out predictions, and says how far its weights can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Literal

import numpy as np

from hf_soup.ensembles.combination import Combination
from hf_soup.ensembles.inputs import Inputs
from hf_soup.ensembles.methods import method_named
from hf_soup.ensembles.probabilities import MemberProbabilities
from hf_soup.ensembles.temperatures import TEMPERATURES
from hf_soup.ensembles.tiers import Shape, Tier1, Tiers
from hf_soup.errors import InputError
from hf_soup.evaluation.resampling import SEED, resample_counts
from hf_soup.evaluation.row_bar import row_bar
from hf_soup.progress import phase

Temperature = Literal["family", "member", "none"]


def fit_combination(
    data: MemberProbabilities,
    method: str = "learned",
    *,
    tiers: Shape = "tiered",
    tier1: Tier1 = "mean",
    temperature: Temperature = "family",
    ridge: float = 0.0,
    seed: int = 0,
) -> Combination:
    """Returns the combination that the method fits on these rows.

    `method`: "learned", "per_class", "equal", "best_single", "caruana" or "stacking", see `hf_soup.ensembles.methods`. `tiers`:
    "tiered", the families are combined; "flat", all members are. `tier1`: how a family's members become one; without meaning
    when flat. `temperature`: fitted before the weights, one for each family or member; "none" takes probabilities as they
    are. `ridge`: ≥ 0, what the squared distance of the weights from equal ones adds to the mean log loss. `seed`: of the
    folds in which stacking chooses its penalty. Rows about which a member says nothing are left out.

    Raises InputError: unknown words, labels missing or of one class only, no row about which every member says something.
    """
    _check(data, tier1, setting_problems(method, tiers, tier1, temperature, ridge))
    found = method_named(method)
    shape = found.shape or tiers
    data = _complete(data)
    temperatures = TEMPERATURES[temperature if found.tempered else "none"](data, shape, tier1)
    families = data.family_members
    inputs = Inputs(data, Tiers.of(families, shape, tier1, temperatures), ridge, seed)
    fit = found.fit(inputs)
    return Combination(
        method=method,
        tiers=shape,
        tier1=tier1,
        families=families,
        classes=data.classes,
        weights=None if fit.weights is None else dict(zip(inputs.names, fit.weights.tolist(), strict=True)),
        class_weights=None
        if fit.class_weights is None
        else {name: tuple(each) for name, each in zip(inputs.names, fit.class_weights.tolist(), strict=True)},
        temperatures=temperatures,
        stacking=fit.stacking,
        ridge=ridge,
    )


def weight_intervals(
    data: MemberProbabilities,
    fit: Combination | Callable[[MemberProbabilities], Combination],
    resamples: int | None = None,
    seed: int = SEED,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Returns the percentile interval of each weight, by name, from a bootstrap of the rows, or of their groups.

    `fit`: what was fitted on `data`, or the function that fits it. Weights are fitted again on every resample, beginning at
    those of all rows; temperatures stay as they are, so the intervals are given these. `resamples`: 1,000 without, 100 for
    methods that cannot begin anywhere. Empty for methods without such weights: "per_class", "stacking". Raises InputError as
    `fit_combination` does.
    """
    combination = fit if isinstance(fit, Combination) else fit(data)
    method = method_named(combination.method)
    if method.reweigh is None or combination.weights is None:
        return {}
    _check(data, combination.tier1, [])
    data = _complete(data)
    tiers = Tiers.of(data.family_members, combination.tiers, combination.tier1, combination.temperatures)
    true = Inputs(data, tiers).true
    start = np.array([combination.weights[name] for name in tiers.names])
    weights = []
    resamples = method.resamples if resamples is None else resamples
    phase("intervals of the weights")
    with row_bar("intervals of the weights", resamples) as advance:
        for counts in resample_counts(data.rows, resamples, seed, data.groups):
            for each in counts:
                weights.append(method.reweigh(true, each, start, combination.ridge))
                advance(1)
    low, high = np.quantile(weights, ((1 - level) / 2, (1 + level) / 2), axis=0)
    return dict(zip(tiers.names, zip(low.tolist(), high.tolist(), strict=True), strict=True))


def setting_problems(
    method: str, tiers: str, tier1: str, temperature: str, ridge: float, folds: int = 5, seed: int = 0
) -> list[str]:
    """Returns everything that is wrong with how an ensemble is to be fitted, whatever the rows."""
    problems: list[str] = []
    try:
        method_named(method)
    except InputError as error:
        problems += error.problems
    for name, value, known in (
        ("tiers", tiers, ("tiered", "flat")),
        ("tier1", tier1, ("mean", "logit_mean", "soup")),
        ("temperature", temperature, tuple(TEMPERATURES)),
    ):
        if value not in known:
            problems.append(f"{name}='{value}': it is one of {', '.join(known)}.")
    if not (np.isfinite(ridge) and ridge >= 0):
        problems.append(f"ridge={ridge}: must be a finite number from 0.")
    for name, number, least in (("folds", folds, 2), ("seed", seed, 0)):
        if not isinstance(number, Integral) or number < least:
            problems.append(f"{name}={number}: must be a whole number from {least}.")
    return problems


def _check(data: MemberProbabilities, tier1: str, problems: list[str]) -> None:
    if data.labels is None:
        problems.append(
            "These predictions have no labels; an ensemble is fitted on rows whose answers are known (labels=…)."
        )
    elif len(np.unique(data.labels)) < 2:
        of = data.classes[data.labels[0]] if data.rows else "none"
        problems.append(f"All {data.rows:,} labels are of one class ({of}); rows of two classes or more are needed.")
    if tier1 == "soup" and any(len(family.members) > 1 for family in data.families):
        problems.append("tier1='soup': these are predictions of members; those of each family's soup are needed.")
    if problems:
        raise InputError(problems)


def _complete(data: MemberProbabilities) -> MemberProbabilities:
    """The rows about which every member says something."""
    complete = data.complete_rows
    if complete.all():
        return data
    left = data.subset(complete)
    if left.labels is None or len(np.unique(left.labels)) < 2:
        silent = [name for name, values in zip(data.members, data.values, strict=True) if np.isnan(values[:, 0]).any()]
        raise InputError(
            f"Of {data.rows:,} rows {left.rows:,} are known to all members, and those are not of two classes; nothing is said about "
            f"the others by {', '.join(silent)}. Leave these members out."
        )
    return left
