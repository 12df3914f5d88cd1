"""JUDGE: a model and held-out data become cached predictions, and predictions become metrics with 95 % intervals.

In: a `HeldOut` (a table of examples, a callable, or a command) and checkpoints of any kind, also those that are computed on
read. Out: `Predictions` (a row per example, classes in a fixed order) and `Estimate`s. One model stays in memory, the
`Skeleton`; each checkpoint is copied into it, so that what is scored equals, bit for bit, what `from_pretrained` loads from
the published folder. May import: `checkpoints`, `errors`, `progress`.
Importing this room imports none of the heavy libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_soup.evaluation.cache import PredictionCache
    from hf_soup.evaluation.ensemble import logit_ensemble
    from hf_soup.evaluation.estimates import Estimate, estimate, paired_difference
    from hf_soup.evaluation.evaluator import Evaluator, evaluate
    from hf_soup.evaluation.held_out import HeldOut
    from hf_soup.evaluation.metric import METRICS, Metric, metric_named
    from hf_soup.evaluation.name_map import NameMap
    from hf_soup.evaluation.predictions import Predictions
    from hf_soup.evaluation.score_command import ScoreCommand
    from hf_soup.evaluation.skeleton import Skeleton
    from hf_soup.evaluation.task import TASKS, Task, task_named

_HOME = {
    "METRICS": "metric",
    "TASKS": "task",
    "Estimate": "estimates",
    "Evaluator": "evaluator",
    "HeldOut": "held_out",
    "Metric": "metric",
    "NameMap": "name_map",
    "PredictionCache": "cache",
    "Predictions": "predictions",
    "ScoreCommand": "score_command",
    "Skeleton": "skeleton",
    "Task": "task",
    "estimate": "estimates",
    "logit_ensemble": "ensemble",
    "evaluate": "evaluator",
    "metric_named": "metric",
    "paired_difference": "estimates",
    "task_named": "task",
}

__all__ = [
    "METRICS",
    "TASKS",
    "Estimate",
    "Evaluator",
    "HeldOut",
    "Metric",
    "NameMap",
    "PredictionCache",
    "Predictions",
    "ScoreCommand",
    "Skeleton",
    "Task",
    "estimate",
    "evaluate",
    "logit_ensemble",
    "metric_named",
    "paired_difference",
    "task_named",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"hf_soup.evaluation.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hf_soup.evaluation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
