"""Checkpoints on held-out data: predictions from the cache or from the one model in memory, scores and estimates of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.errors import InputError
from hf_soup.evaluation.cache import PredictionCache
from hf_soup.evaluation.cache_key import cache_key, preprocessing_digest
from hf_soup.evaluation.estimates import Estimate, estimate
from hf_soup.evaluation.forward import run_rows
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.held_out import HeldOut
from hf_soup.evaluation.judging import Verdict, as_verdict, score_of
from hf_soup.evaluation.predictions import Predictions
from hf_soup.evaluation.score_command import ScoreCommand
from hf_soup.evaluation.stage import Stage

Materialize = Callable[[Checkpoint], AbstractContextManager[Path]]


class Evaluator:
    """Judges checkpoints on one data set. Nothing is evaluated twice: results are kept under the digest of what they depend on.

    `cache`: where they are kept; the default folder without. `device`: "cpu", "cuda:1", …; Accelerate's choice without.
    `materialize`: writes a checkpoint to a folder for as long as a score command needs it.
    Under `accelerate launch` or `torchrun` every process must make the same calls, and gets the same results.

    `forward_passes`: rows that were really run through a model (calls, for a function or command).
    `seconds_per_evaluation`: what the first real evaluation took, copying the weights included; None before it.
    `seconds_of_rows`: what running the rows took in the latest one, and nothing else.
    """

    def __init__(
        self,
        held_out: HeldOut,
        *,
        cache: PredictionCache | None = None,
        trust_remote_code: bool = False,
        device: str | None = None,
        materialize: Materialize | None = None,
    ) -> None:
        self.held_out = held_out
        self.cache = cache if cache is not None else PredictionCache()
        self.forward_passes = 0
        self.seconds_per_evaluation: float | None = None
        self.seconds_of_rows: float | None = None
        self._materialize = materialize
        self._stage = Stage(device, trust_remote_code)
        self._known: dict[str, Verdict] = {}

    @property
    def hardware(self) -> Hardware:
        """Where models run."""
        return self._stage.hardware

    def on(self, held_out: HeldOut) -> Evaluator:
        """An evaluator for other data that shares this one's cache, device and model in memory."""
        other = Evaluator(held_out, cache=self.cache, materialize=self._materialize)
        other._stage = self._stage
        return other

    def check(self, checkpoint: Checkpoint) -> None:
        """Raises InputError when the data's labels do not match the model's; reads the config only."""
        self.held_out.label_map(checkpoint.config, checkpoint.label)

    def is_cached(self, checkpoint: Checkpoint) -> bool:
        """Whether the result is there already, so that no model has to run."""
        return self._recall(self._key(checkpoint)) is not None

    def predictions(self, checkpoint: Checkpoint) -> Predictions:
        """Returns the model's predictions on every row, from the cache where they are there.

        Raises InputError when labels, tensors or tokenizer do not fit, or a function or command gave numbers only.
        """
        verdict = self._verdict(checkpoint)
        if not isinstance(verdict, Predictions):
            raise InputError(f"{self.held_out.name}: gives numbers and not predictions row by row.")
        return verdict

    def score(self, checkpoint: Checkpoint) -> float:
        """Returns the value of the held-out metric; NaN when the model gave NaN or infinity."""
        return score_of(self._verdict(checkpoint), self.held_out.metric, self.held_out.name)

    def evaluate(self, checkpoint: Checkpoint, metrics: Sequence[str] | None = None) -> dict[str, Estimate]:
        """Returns the metrics (the held-out metric without) with their 95 % intervals; numbers of a command have none."""
        verdict = self._verdict(checkpoint)
        names = list(metrics) if metrics is not None else [self.held_out.metric]
        if isinstance(verdict, Predictions):
            return {name: estimate(name, verdict) for name in names}
        note = "a number as it was given: without rows there is no interval"
        return {name: Estimate(score_of(verdict, name, self.held_out.name), None, None, 0, note) for name in names}

    def _verdict(self, checkpoint: Checkpoint) -> Verdict:
        key = self._key(checkpoint)
        verdict = self._recall(key)
        if verdict is None:
            verdict = self._judge(checkpoint) if self.held_out.judge is not None else self._run(checkpoint)
            self._remember(key, verdict)
        return verdict

    def _key(self, checkpoint: Checkpoint) -> str:
        held_out, hardware = self.held_out, self._stage.hardware
        label_map = held_out.label_map(checkpoint.config, checkpoint.label)
        return cache_key(
            checkpoint,
            held_out.fingerprint or f"function {id(held_out.judge)} of this process",
            preprocessing_digest(checkpoint.side_folder()),
            task=held_out.task,
            labels=held_out.labels,
            label_map=label_map and [label_map.classes, label_map.columns, label_map.one_logit],
            max_length=held_out.max_length,
            batch_size=held_out.batch_size,
            hardware=hardware.kind,
        )

    def _recall(self, key: str) -> Verdict | None:
        """From this run, or from the cache; the main process looks, so that all processes run a model or none does."""
        if key not in self._known and self.held_out.fingerprint is not None:
            found = self._stage.hardware.on_main(lambda: self.cache.get(key) or self.cache.get_scores(key))
            if found is not None:
                self._known[key] = found
        return self._known.get(key)

    def _remember(self, key: str, verdict: Verdict) -> None:
        self._known[key] = verdict
        if self.held_out.fingerprint is None or not self._stage.hardware.is_main:
            return
        if isinstance(verdict, Predictions):
            self.cache.put(key, verdict)
        else:
            self.cache.put_scores(key, verdict)

    def _run(self, checkpoint: Checkpoint) -> Predictions:
        held_out, stage = self.held_out, self._stage
        task = held_out.task_type
        assert task is not None
        skeleton = stage.prepare(checkpoint, task.auto_class)
        folder = checkpoint.side_folder()
        place = f"{held_out.fingerprint} {held_out.max_length} {preprocessing_digest(folder)} {skeleton.layout}"
        encoded = stage.encoded(
            place,
            lambda: task.encode(
                held_out.examples,
                task.preprocessor(folder, stage.trust_remote_code),
                skeleton.config,
                max_length=held_out.max_length,
            ),
        )
        start = time.perf_counter()
        model = skeleton.load(checkpoint)
        size = stage.batch_sizes.get(place, held_out.batch_size or task.batch_size)
        first_row = time.perf_counter()
        outputs, fitted = run_rows(task, model, encoded, held_out.ids, size, stage.hardware, checkpoint.label)
        self.seconds_of_rows = time.perf_counter() - first_row
        stage.batch_sizes[place] = fitted
        self._count(held_out.rows, start)
        label_map = held_out.label_map(checkpoint.config, checkpoint.label)
        if label_map is not None and outputs["logits"].shape[1:] != (label_map.logits,):
            raise InputError(
                f"{checkpoint.label}: gives {outputs['logits'].shape[1:]} logits a row, its config.json names {label_map.logits} classes."
            )
        return task.predictions(held_out.ids, held_out.examples, outputs, label_map)

    def _judge(self, checkpoint: Checkpoint) -> Verdict:
        judge, hardware = self.held_out.judge, self._stage.hardware
        start = time.perf_counter()
        if isinstance(judge, ScoreCommand):
            verdict: Verdict = hardware.on_main(lambda: self._run_command(judge, checkpoint))
        else:
            assert judge is not None
            verdict = hardware.from_main(self._call(judge, checkpoint))
        self._count(1, start)
        return verdict

    def _run_command(self, command: ScoreCommand, checkpoint: Checkpoint) -> dict[str, float]:
        if self._materialize is None:
            raise InputError("A score command needs the model in a folder; pass materialize= to the Evaluator.")
        with self._materialize(checkpoint) as folder:
            return command.run(folder)

    def _call(self, judge: Callable[[Any], Any], checkpoint: Checkpoint) -> Verdict:
        import torch

        task = self.held_out.task_type
        model = self._stage.load(checkpoint, task.auto_class if task is not None else None)
        with torch.no_grad():
            return as_verdict(judge(model), self.held_out.name)

    def _count(self, passes: int, start: float) -> None:
        self.forward_passes += passes
        if self.seconds_per_evaluation is None:
            self.seconds_per_evaluation = time.perf_counter() - start


def evaluate(
    checkpoint: Checkpoint, held_out: HeldOut, metrics: Sequence[str] | None = None, **options: Any
) -> dict[str, Estimate]:
    """Returns `Evaluator(held_out, **options).evaluate(checkpoint, metrics)`: one model, once."""
    return Evaluator(held_out, **options).evaluate(checkpoint, metrics)
