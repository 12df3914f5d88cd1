# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-soup[demo]"]
# ///
"""Three families of models on one question, and what their ensemble is worth: is an English word positive or negative?

Full fine-tunes and LoRA fine-tunes (merged) of one small BERT, and TF-IDF with logistic regression as functions. Prints every
member, family means, best single model and all combinations, flat and tiered, with intervals, and says when the rows cannot
tell them apart. The words are those of `hf-soup demo`; so are the full fine-tunes, which it finds in the same cache. Words of one
stem stay together in splits and resampling.

    python recipes/ensemble_words.py -o ensemble-words        (minutes on two CPU cores at first, then seconds)
    python recipes/ensemble_words.py --small -o /tmp/words    (few words, next to no training: to see that it runs)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_soup import Ensemble, HeldOut
from hf_soup.demo.fine_tunes import FINE_TUNES, LORAS, FineTune, LoraFineTune, make_fine_tunes
from hf_soup.demo.ingredients import require_packages
from hf_soup.demo.places import Places
from hf_soup.demo.words import LABELS, Word, WordSplits, english_stemmer, families_of, split_words
from hf_soup.ensembles import FunctionMember
from hf_soup.ensembles.plots import RELIABILITY_PICTURE, WEIGHTS_PICTURE, reliability_plot, weights_plot
from hf_soup.ensembles.report import EnsembleReport

NGRAMS = ((1, 3), (2, 4), (2, 6))


@dataclass(frozen=True)
class MergedLora(LoraFineTune):
    """A LoRA run that is kept as a whole model, which needs no base beside it."""

    def save(self, model: Any, folder: Path) -> None:
        model.merge_and_unload().save_pretrained(folder)

    def card(self, words: int) -> str:
        return f"LoRA of rank {self.rank} (alpha {self.alpha}), trained on {words} words and merged into its base.\n"


@dataclass(frozen=True)
class Size:
    """What is trained, and on how much. `words`: at most so many of each set, None for all."""

    full: tuple[FineTune, ...]
    lora: tuple[MergedLora, ...]
    words: int | None


def merged(run: LoraFineTune, name: str) -> MergedLora:
    """Returns the same run under another name, kept as a whole model."""
    return MergedLora(name, run.seed, run.learning_rate, run.epochs, run.rank, run.alpha)


FULL_SIZE = Size(
    FINE_TUNES, tuple(merged(run, f"words-merged-lora-{place}") for place, run in enumerate(LORAS, 1)), None
)
SMALL = Size(
    (FineTune("small-1", 1, 1e-4, 1), FineTune("small-2", 2, 1e-4, 1)),
    (MergedLora("small-lora-1", 3, 1e-2, 1, 4, 8),),
    96,
)


def tfidf(train: Sequence[Word], ngrams: tuple[int, int]) -> Callable[[list[dict[str, Any]]], Any]:
    """Returns a function: rows → the probability that a word is positive, from its letters alone."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=ngrams), LogisticRegression(C=10, max_iter=1000)
    )
    model.fit([word.text for word in train], [word.label == LABELS[1] for word in train])
    return lambda rows: model.predict_proba([row["text"] for row in rows])[:, 1]


def rows_of(words: Sequence[Word]) -> list[dict[str, str]]:
    """Returns the words as rows with their families of stems: "happy" and "happiness" are no two independent tests."""
    stem = english_stemmer()
    roots = {each: root for root, stems in families_of({stem(word.text) for word in words}).items() for each in stems}
    return [{"text": word.text, "label": word.label, "stem": roots[stem(word.text)]} for word in words]


def fewer(splits: WordSplits, most: int | None) -> WordSplits:
    """Every n-th word of each set, so that both labels stay."""

    def some(words: tuple[Word, ...]) -> tuple[Word, ...]:
        return words if most is None else words[:: max(1, len(words) // most)][:most]

    return WordSplits(some(splits.train), some(splits.held_out), some(splits.test), some(splits.shift))


def members(splits: WordSplits, size: Size, cache: Path) -> dict[str, list[Any]]:
    """Trains, or finds in the cache, the members of the three families."""

    def told(name: str, done: int, steps: int) -> None:
        if done == 0:
            print(f"training {name} ({steps} steps)", flush=True)

    return {
        "full": list(make_fine_tunes(splits.train, cache, told, size.full)),
        "lora": list(make_fine_tunes(splits.train, cache, told, size.lora)),
        "tf-idf": [FunctionMember(tfidf(splits.train, each), f"tf-idf-{each[0]}-{each[1]}") for each in NGRAMS],
    }


def run(out: Path, size: Size, cache: Path) -> EnsembleReport:
    """Fits the ensemble on the held-out words, and reports on the test words and on words of another lexicon."""
    splits = fewer(split_words(), size.words)
    held_out = HeldOut(rows_of(splits.held_out), task="text-classification", group_by="stem", name="held-out")
    tests = {
        "test": held_out.like(rows_of(splits.test), name="test"),
        "textblob": held_out.like(rows_of(splits.shift), name="textblob"),
    }
    report = Ensemble(members(splits, size, cache)).fit(held_out, tests=tests).report
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report.to_json(), indent=2), encoding="utf-8")
    (out / "report.csv").write_text(report.csv(), encoding="utf-8")
    weights_plot(report, out / WEIGHTS_PICTURE)
    reliability_plot(report, out / RELIABILITY_PICTURE)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("ensemble-words"), help="folder for report and pictures"
    )
    parser.add_argument("--small", action="store_true", help="few words and next to no training")
    options = parser.parse_args(arguments)
    require_packages()
    cache = options.out / "models" if options.small else Places.choose(None).fine_tunes
    print(run(options.out, SMALL if options.small else FULL_SIZE, cache))
    print(f"\nReport and pictures are in {options.out}.")


if __name__ == "__main__":
    main()
