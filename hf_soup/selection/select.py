"""The greedy soup of real models: candidates are computed on read, scored in one model in memory, and never written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hf_soup.checkpoints import Checkpoint
from hf_soup.evaluation import Evaluator, HeldOut
from hf_soup.merging import Ingredients, Plan
from hf_soup.selection.greedy import GreedyPath, Subset, greedy, random_order

Announce = Callable[[str], None]
Candidate = Callable[[Subset], Plan]


@dataclass(frozen=True)
class Selection:
    """The path and what is needed to walk it again from the published log alone."""

    path: GreedyPath
    scores: tuple[float, ...]
    names: tuple[dict[str, Any], ...]
    metric: str
    maximise: bool
    strict: bool
    order: Literal["score", "random"]
    seed: int | None
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {
            "algorithm": "greedy",
            "rule": ">" if self.strict else ">=",
            "order": self.order,
            "seed": self.seed,
            "metric": self.metric,
            "maximise": self.maximise,
            "candidates": list(self.names),
            "scores": list(self.scores),
            "steps": [
                {"candidate": s.candidate, "subset": list(s.subset), "score": s.score, "accepted": s.accepted}
                for s in self.path.steps
            ],
            "chosen": list(self.path.chosen),
            "data": self.data,
        }


def replay(document: dict[str, Any]) -> GreedyPath:
    """Returns the path that the algorithm takes with the scores of a published log (`selection` of soup.json).

    Raises KeyError when the log holds no score for a subset that the algorithm asks for: then the log is not one of it.
    """
    # JSON has no NaN: the score of a model that gave NaN is null there.
    scores = [math.nan if score is None else score for score in document["scores"]]
    logged = {tuple(s["subset"]): math.nan if s["score"] is None else s["score"] for s in document["steps"]}
    order = random_order(len(scores), document["seed"]) if document["order"] == "random" else None
    strict = document["rule"] == ">"
    return greedy(scores, logged.__getitem__, maximise=document["maximise"], strict=strict, order=order)


def select_greedy(
    ingredients: Ingredients,
    evaluator: Evaluator,
    plan_of: Candidate,
    *,
    strict: bool = False,
    order: Literal["score", "random"] = "score",
    seed: int = 0,
    announce: Announce = lambda sentence: None,
    further_evaluations: float = 0.0,
) -> Selection:
    """Scores every ingredient alone, then walks the greedy path.

    `plan_of`: the plan of the soup of the ingredients with these indices; its `virtual()` is what is scored, cast to the
    output dtype, so that the published model is the scored one bit for bit. `further_evaluations`: how many more
    evaluations of this size will follow, for the estimate of the time that is announced after the first.
    """
    models = ingredients.models
    scores: list[float] = []
    for model in models:
        scores.append(evaluator.score(candidate(plan_of((len(scores),)), model)))
        announce(f"{model.label}: {evaluator.held_out.metric} {scores[-1]:.4f}")
        if len(scores) == 1 and evaluator.seconds_per_evaluation is not None:
            left = 2 * (len(models) - 1) + further_evaluations
            announce(f"About {_duration(left * evaluator.seconds_per_evaluation)} to go: {left:.0f} evaluations.")

    def score_subset(subset: Subset) -> float:
        score = evaluator.score(plan_of(subset).virtual())
        announce(f"with {models[subset[-1]].label}: {evaluator.held_out.metric} {score:.4f} ({len(subset)} models)")
        return score

    maximise = evaluator.held_out.maximise
    given = random_order(len(models), seed) if order == "random" else None
    path = greedy(scores, score_subset, maximise=maximise, strict=strict, order=given)
    return Selection(
        path=path,
        scores=tuple(scores),
        names=tuple(_name(model) for model in models),
        metric=evaluator.held_out.metric,
        maximise=maximise,
        strict=strict,
        order=order,
        seed=seed if order == "random" else None,
        data=describe(evaluator.held_out),
    )


def candidate(plan: Plan, model: Checkpoint) -> Checkpoint:
    """A single model as it would be published: itself, unless its tensors, config or files come out changed."""
    virtual = plan.virtual()
    config = {name: value for name, value in model.config.items() if name != "_name_or_path"}
    unchanged = (
        plan.base is None
        and virtual.names() == model.names()
        and virtual.config == config
        and all(virtual.info(name) == model.info(name) for name in virtual.names())
    )
    return model if unchanged else virtual


def describe(held_out: HeldOut) -> dict[str, Any]:
    return {
        "name": held_out.name,
        "rows": held_out.rows,
        "fingerprint": held_out.fingerprint,
        "task": held_out.task,
    }


def _name(model: Checkpoint) -> dict[str, Any]:
    ref = model.ref
    assert ref is not None
    return {
        "name": ref.name,
        "repo_id": ref.repo_id,
        "revision": ref.revision,
        "subfolder": ref.subfolder,
        "fingerprint": model.fingerprint,
    }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
