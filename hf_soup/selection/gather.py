"""Filling the evidence table: every model and soup on every data set, from cached predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hf_soup.checkpoints import Checkpoint
from hf_soup.evaluation import Evaluator, Predictions, estimate, logit_ensemble, metric_named, paired_difference
from hf_soup.evaluation.predictions import Kind as TaskKind
from hf_soup.evaluation.resampling import resample_counts
from hf_soup.selection.evidence import DataSet, Difference, Evidence, Result, Role, Row, make_statements
from hf_soup.selection.greedy import GreedyPath


@dataclass(frozen=True)
class Judged:
    """A data set with the evaluator that holds it."""

    name: str
    role: Role
    evaluator: Evaluator


@dataclass(frozen=True)
class Contenders:
    """What is compared: the single models in the order given, with their names, and the soups.

    `path`: how the greedy soup came about.
    """

    names: Sequence[str]
    singles: Sequence[Checkpoint]
    uniform: Checkpoint
    greedy: Checkpoint
    path: GreedyPath


def gather_evidence(contenders: Contenders, judged: Sequence[Judged], maximise: bool) -> Evidence:
    """Returns the table for the held-out set and any test and shift sets.

    The best single model is the best on held-out data, on every set. Intervals, the ensemble and differences need
    predictions; a function or a command gives one number per model and nothing else.
    """
    metric = judged[0].evaluator.held_out.metric
    columns = {each.name: _Column(each, contenders) for each in judged}
    chosen = set(contenders.path.chosen)
    best = _best_single(contenders.path, columns[judged[0].name], maximise)
    rows = [
        Row(label, "ingredient", index in chosen, {name: c.single(index) for name, c in columns.items()})
        for index, label in enumerate(contenders.names)
    ]
    rows.append(Row(contenders.names[best], "best single", False, {n: c.single(best) for n, c in columns.items()}))
    rows.append(Row("mean single", "mean single", False, {name: c.mean() for name, c in columns.items()}))
    rows.append(Row("uniform soup", "uniform soup", False, {name: c.uniform() for name, c in columns.items()}))
    note = f"{len(chosen)} of {len(contenders.singles)} models"
    rows.append(Row("greedy soup", "greedy soup", True, {name: c.greedy() for name, c in columns.items()}, note))
    ensembles = {name: result for name, c in columns.items() if (result := c.ensemble()) is not None}
    if ensembles:
        note = f"{len(contenders.singles)} forward passes"
        rows.append(Row("logit ensemble", "logit ensemble", False, ensembles, note))
    differences = [
        difference for each in judged if each.role != "held-out" for difference in columns[each.name].differences(best)
    ]
    sets = [_data_set(each) for each in judged]
    held_out = columns[judged[0].name].single(best)
    noise = (held_out.high - held_out.low) / 2 if held_out.high is not None and held_out.low is not None else None
    return Evidence(
        metric=metric,
        maximise=maximise,
        sets=tuple(sets),
        rows=tuple(rows),
        differences=tuple(differences),
        statements=make_statements(
            metric, maximise, sets, differences, len(contenders.singles), len(contenders.path.chosen), noise
        ),
    )


class _Column:
    """The results on one data set; each is computed once."""

    def __init__(self, judged: Judged, contenders: Contenders) -> None:
        self.judged = judged
        self.evaluator = judged.evaluator
        self.metric = judged.evaluator.held_out.metric
        self.contenders = contenders
        self.has_predictions = judged.evaluator.held_out.judge is None
        self._results: dict[str, Result] = {}

    def predictions(self, checkpoint: Checkpoint) -> Predictions:
        return self.evaluator.predictions(checkpoint)

    def result(self, checkpoint: Checkpoint) -> Result:
        """Computed once a checkpoint: a bootstrap takes longer than looking it up."""
        if checkpoint.identity not in self._results:
            self._results[checkpoint.identity] = self._result(checkpoint)
        return self._results[checkpoint.identity]

    def _result(self, checkpoint: Checkpoint) -> Result:
        if not self.has_predictions:
            return Result(self.evaluator.score(checkpoint), None, None, None)
        found = estimate(self.metric, self.predictions(checkpoint))
        return Result(found.value, found.low, found.high, found.n)

    def single(self, index: int) -> Result:
        return self.result(self.contenders.singles[index])

    def uniform(self) -> Result:
        return self.result(self.contenders.uniform)

    def greedy(self) -> Result:
        return self.result(self.contenders.greedy)

    def mean(self) -> Result:
        if not self.has_predictions:
            scores = [self.single(index).value for index in range(len(self.contenders.singles))]
            return Result(float(np.mean(scores)), None, None, None)
        return mean_result(self.metric, [self.predictions(model) for model in self.contenders.singles])

    def ensemble(self) -> Result | None:
        if not self.has_predictions:
            return None
        everybody = [self.predictions(model) for model in self.contenders.singles]
        if everybody[0].kind is TaskKind.LANGUAGE:
            return None
        found = estimate(self.metric, logit_ensemble(everybody))
        return Result(found.value, found.low, found.high, found.n)

    def differences(self, best: int) -> list[Difference]:
        """Greedy and uniform soup against the model that was best on held-out data."""
        if not self.has_predictions:
            return []
        against = self.predictions(self.contenders.singles[best])
        soups = (("greedy soup", self.contenders.greedy), ("uniform soup", self.contenders.uniform))
        found = [(name, paired_difference(self.metric, self.predictions(soup), against)) for name, soup in soups]
        return [
            Difference(self.judged.name, name, "best single", each.value, each.low, each.high)
            for name, each in found
            if each.low is not None and each.high is not None
        ]


def mean_result(metric_name: str, several: Sequence[Predictions]) -> Result:
    """The mean of a metric over models, with the interval of a bootstrap that resamples the same rows for all."""
    ordered = [each.in_order_of_ids() for each in several]
    metric = metric_named(metric_name, several[0].kind)
    value = float(np.mean([metric(each) for each in ordered]))
    if any(each.not_finite for each in several):
        return Result(value, None, None, several[0].rows)
    on_counts = [metric.resampled(each) for each in ordered]
    means = np.concatenate(
        [np.mean([on(counts) for on in on_counts], axis=0) for counts in resample_counts(several[0].rows)]
    )
    means = means[~np.isnan(means)]
    if not len(means):
        return Result(value, None, None, several[0].rows)
    low, high = np.quantile(means, (0.025, 0.975))
    return Result(value, float(low), float(high), several[0].rows)


def _best_single(path: GreedyPath, held_out: _Column, maximise: bool) -> int:
    """The best on held-out data; of equals the one that was tried first."""
    order = [step.candidate for step in path.steps]
    sign = 1 if maximise else -1
    scores = {index: sign * held_out.single(index).value for index in order}
    return max(order, key=lambda index: (not np.isnan(scores[index]), scores[index]))


def _data_set(judged: Judged) -> DataSet:
    held_out = judged.evaluator.held_out
    return DataSet(judged.name, judged.role, held_out.name, held_out.rows or None, held_out.fingerprint or "")
