"""The greedy soup as an algorithm: it sees scores only, so a published log can be replayed through it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hf_soup.errors import InputError

Subset = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """One candidate's turn: `subset` is what was scored, the candidate last; `score` is the subset's."""

    candidate: int
    subset: Subset
    score: float
    accepted: bool


@dataclass(frozen=True)
class GreedyPath:
    """`chosen`: indices of the ingredients of the soup, in the order in which they were accepted."""

    steps: tuple[Step, ...]
    chosen: Subset
    score: float


def greedy(
    scores: Sequence[float],
    score_subset: Callable[[Subset], float],
    *,
    maximise: bool = True,
    strict: bool = False,
    order: Sequence[int] | None = None,
) -> GreedyPath:
    """Returns the path of Recipe 1: try the models from best to worst, keep each one with which the soup is not worse.

    `scores`: the held-out score of each single model. `score_subset`: the score of the average of the models with
    these indices; it is called only for subsets of two and more. `maximise=False` for a loss. `strict=True` accepts
    only a better soup, as the authors' code does; the paper says "not worse". `order`: try in this order instead of by
    score (ties keep the order given by the user). A candidate whose score is NaN is rejected.
    Raises InputError when no single model has a score.
    Source: Model soups, arXiv 2203.05482, Recipe 1.

    >>> greedy([0.8, 0.9, 0.7], {(1, 0): 0.92, (1, 0, 2): 0.91}.__getitem__).chosen
    (1, 0)
    """
    sign = 1.0 if maximise else -1.0
    if not scores or all(math.isnan(score) for score in scores):
        raise InputError("Greedy selection needs the held-out score of at least one model.")
    if order is None:
        order = sorted(range(len(scores)), key=lambda i: (math.isnan(scores[i]), -sign * scores[i], i))
    chosen: Subset = ()
    best = math.nan
    steps = []
    for candidate in order:
        subset = (*chosen, candidate)
        score = scores[candidate] if not chosen else score_subset(subset)
        gain = sign * (score - best)
        accepted = not math.isnan(score) and (not chosen or gain > 0 or (gain == 0 and not strict))
        steps.append(Step(candidate, subset, score, accepted))
        if accepted:
            chosen, best = subset, score
    return GreedyPath(tuple(steps), chosen, best)


def random_order(count: int, seed: int) -> list[int]:
    """Returns the numbers below `count` in an order that depends on the seed alone."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
