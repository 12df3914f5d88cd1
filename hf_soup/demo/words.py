"""The demo's data: is a word positive or negative?

Words and ratings are VADER's (ten people rated each word from -4 to 4). A word is kept when its mean rating is at least 0.5
away from 0, and when it is a word: letters, with hyphens or apostrophes between them, from the second part of the lexicon
(the first part holds emoticons and abbreviations such as "bfe" and "tgif").

Related words ("happy", "happiness", "happiest") go to the same side, or the test would ask for what was taught. Stems are
those of Snowball's English stemmer; because it leaves "happiest" and "happy" apart ("happiest", "happi"), a stem that
begins with another one of four letters or more belongs to that one's family. Families that are mostly positive and the
others are each put in the order of their SHA-256 and dealt until 60 %, 80 % and 100 % of the words are given out: every side
has the same share of positive words, and no random number generator decides.

The shift set is natural: other words, chosen and judged by other people. Adjectives (every tag that starts with JJ) of
TextBlob's lexicon whose polarity, averaged over their senses, is at least 0.1 away from 0; words that are related to one in
train or held-out are left out.
"""

from __future__ import annotations

import csv
import hashlib
import re
import statistics
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hf_soup.demo.ingredients import adjectives_file, rated_words_file

LEAST_RATING = 0.5  # of 4
LEAST_POLARITY = 0.1  # of 1
LABELS = ("negative", "positive")

_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")
_FIRST_WORD = "abandon"
_LEAST_ROOT = 4  # letters
_CUTS = (0.6, 0.8)


@dataclass(frozen=True, order=True)
class Word:
    text: str
    label: str


@dataclass(frozen=True)
class WordFiles:
    """Four CSV files with the columns `text` and `label`."""

    train: Path
    held_out: Path
    test: Path
    shift: Path


@dataclass(frozen=True)
class WordSplits:
    """The same four sets in memory, each in alphabetical order."""

    train: tuple[Word, ...]
    held_out: tuple[Word, ...]
    test: tuple[Word, ...]
    shift: tuple[Word, ...]


def write_words(folder: Path, splits: WordSplits | None = None) -> WordFiles:
    """Write `train.csv`, `held_out.csv`, `test.csv` and `textblob.csv` into `folder`; the same bytes every time."""
    splits = splits or split_words()
    folder.mkdir(parents=True, exist_ok=True)
    files = WordFiles(folder / "train.csv", folder / "held_out.csv", folder / "test.csv", folder / "textblob.csv")
    _write_csv(files.train, splits.train)
    _write_csv(files.held_out, splits.held_out)
    _write_csv(files.test, splits.test)
    _write_csv(files.shift, splits.shift)
    return files


def split_words() -> WordSplits:
    """The rated words, split by families of stems, and the shift set."""
    stem = english_stemmer()
    by_stem: dict[str, list[Word]] = defaultdict(list)
    for word in rated_words():
        by_stem[stem(word.text)].append(word)
    families = [[word for member in stems for word in by_stem[member]] for stems in families_of(by_stem).values()]
    train, held_out, test = _deal(families)
    taught = {stem(word.text) for word in (*train, *held_out)}
    return WordSplits(
        train=train,
        held_out=held_out,
        test=test,
        shift=tuple(word for word in adjectives() if not is_related(stem(word.text), taught)),
    )


def families_of(stems: Iterable[str]) -> dict[str, list[str]]:
    """The stems by family: root → the stems that begin with it, the root among them."""
    families: dict[str, list[str]] = {}
    root = ""
    # In alphabetical order, whatever begins with a root follows it without a gap.
    for stem in sorted(stems):
        if len(root) < _LEAST_ROOT or not stem.startswith(root):
            root = stem
            families[root] = []
        families[root].append(stem)
    return families


def is_related(stem: str, others: Iterable[str]) -> bool:
    """Whether the stem is among the others, begins one of them, or begins with one of them."""
    return any(
        stem == other
        or (min(len(stem), len(other)) >= _LEAST_ROOT and (stem.startswith(other) or other.startswith(stem)))
        for other in others
    )


def rated_words() -> list[Word]:
    """Words of VADER's lexicon whose mean rating is clear enough, in alphabetical order."""
    lines = rated_words_file().read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    start = next(i for i, row in enumerate(rows) if row[0] == _FIRST_WORD)
    return _clear_words({row[0]: float(row[1]) for row in rows[start:]}, LEAST_RATING)


def adjectives() -> list[Word]:
    """Adjectives of TextBlob's lexicon whose mean polarity is clear enough, in alphabetical order."""
    senses: dict[str, list[float]] = defaultdict(list)
    for sense in ET.parse(adjectives_file()).getroot().iter("word"):
        if sense.get("pos", "").startswith("JJ"):
            senses[sense.get("form", "").lower()].append(float(sense.get("polarity", "0")))
    return _clear_words({form: statistics.fmean(values) for form, values in senses.items()}, LEAST_POLARITY)


def english_stemmer() -> Callable[[str], str]:
    """Snowball's English stemmer, which NLTK carries; it needs no download."""
    from nltk.stem.snowball import EnglishStemmer

    return EnglishStemmer().stem


def _clear_words(scores: dict[str, float], least: float) -> list[Word]:
    return sorted(
        Word(text, LABELS[score > 0])
        for text, score in scores.items()
        # The last bit of a mean must not decide: 0.1 as the mean of five senses can be 0.09999999999999999.
        if _WORD.fullmatch(text) and round(abs(score), 6) >= least
    )


def _deal(families: Iterable[list[Word]]) -> tuple[tuple[Word, ...], ...]:
    """The words in three parts, each in alphabetical order; a family stays together."""
    parts: tuple[list[Word], ...] = ([], [], [])
    by_label: dict[str, list[list[Word]]] = defaultdict(list)
    for family in families:
        positive = sum(word.label == LABELS[1] for word in family)
        by_label[LABELS[2 * positive > len(family)]].append(sorted(family))
    for same in by_label.values():
        words, dealt = sum(map(len, same)), 0
        for family in sorted(same, key=lambda family: hashlib.sha256(family[0].text.encode()).digest()):
            parts[sum(dealt >= cut * words for cut in _CUTS)].extend(family)
            dealt += len(family)
    return tuple(tuple(sorted(part)) for part in parts)


def _write_csv(path: Path, words: Iterable[Word]) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows((word.text, word.label) for word in words)
    partial.replace(path)
