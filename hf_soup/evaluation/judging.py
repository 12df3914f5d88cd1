"""What a user's function or command may answer, and which of its numbers is the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hf_soup.errors import InputError
from hf_soup.evaluation.metric import metric_named
from hf_soup.evaluation.predictions import Predictions

Verdict = Predictions | dict[str, float]
"""Predictions row by row, or numbers by metric; a single number has the name ""."""


def as_verdict(answer: Any, name: str) -> Verdict:
    """Returns a function's answer in one of the two forms. Raises InputError for anything else."""
    if isinstance(answer, Predictions):
        return answer
    numbers = answer if isinstance(answer, Mapping) else {"": answer}
    try:
        scores = {str(key): float(value) for key, value in numbers.items()}
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: a scoring function must return a number, numbers by metric, or Predictions; it returned a "
            f"{type(answer).__name__}."
        ) from error
    if not scores:
        raise InputError(f"{name}: returned no number.")
    return scores


def score_of(verdict: Verdict, metric: str, name: str) -> float:
    """Returns the number that counts. Raises InputError when the verdict does not hold that metric."""
    if isinstance(verdict, Predictions):
        return metric_named(metric, verdict.kind)(verdict)
    if len(verdict) == 1 and (set(verdict) == {""} or metric == "score"):
        return next(iter(verdict.values()))
    if metric not in verdict:
        raise InputError(
            f"{name}: gave {', '.join(sorted(verdict))}, but not '{metric}'; say which one counts (--metric)."
        )
    return verdict[metric]
