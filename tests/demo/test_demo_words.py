"""The demo's data: real words only, no stem on two sides, the same bytes every time."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hf_soup.demo import words as subject
from hf_soup.demo.words import Word, WordSplits, families_of, is_related, split_words, write_words

for _package in ("nltk", "vaderSentiment", "textblob"):
    pytest.importorskip(_package, reason="needs the packages of the extra 'demo'")


@pytest.fixture(scope="module")
def splits() -> WordSplits:
    return split_words()


def _lexicon() -> dict[str, list[int]]:
    """VADER's ten single ratings of each entry, read through the package itself."""
    import vaderSentiment

    lines = (Path(vaderSentiment.__file__).parent / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return {row[0]: [int(rating) for rating in row[3].strip("[]").split(",")] for row in rows}


def test_sizes_are_60_20_20(splits: WordSplits) -> None:
    sizes = [len(splits.train), len(splits.held_out), len(splits.test)]
    assert sum(sizes) > 6000
    assert [size / sum(sizes) for size in sizes] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    assert 500 < len(splits.shift) < 900


def test_every_set_has_a_third_of_each_label_at_least(splits: WordSplits) -> None:
    for words in (splits.train, splits.held_out, splits.test, splits.shift):
        positive = sum(word.label == "positive" for word in words) / len(words)
        assert {word.label for word in words} == {"negative", "positive"}
        assert 1 / 3 < positive < 2 / 3


def test_labels_follow_the_mean_of_the_human_ratings(splits: WordSplits) -> None:
    ratings = _lexicon()
    for word in (*splits.train, *splits.held_out, *splits.test):
        mean = sum(ratings[word.text]) / len(ratings[word.text])
        assert abs(mean) >= 0.45, word  # the lexicon rounds its means to one digit
        assert word.label == ("positive" if mean > 0 else "negative")


def test_emoticons_and_abbreviations_are_left_out(splits: WordSplits) -> None:
    texts = {word.text for words in (splits.train, splits.held_out, splits.test) for word in words}
    assert not texts & {":)", "bfe", "tgif", "gr8", "can't stand", "wtf"}
    assert {"abandon", "excellent", "self-confident", "zealous"} <= texts
    assert all(text.replace("-", "").replace("'", "").isalpha() for text in texts)


@pytest.mark.parametrize("family", ["admir", "excit", "perfect", "beaut", "happ", "profit", "gloom"])
def test_a_family_of_words_is_on_one_side(splits: WordSplits, family: str) -> None:
    sides = [
        name
        for name in ("train", "held_out", "test")
        if any(word.text.startswith(family) for word in getattr(splits, name))
    ]
    assert len(sides) == 1


def test_no_stem_is_in_two_sets(splits: WordSplits) -> None:
    from nltk.stem import SnowballStemmer

    stem = SnowballStemmer("english").stem
    train, held_out, test, shift = (
        {stem(word.text) for word in words} for words in (splits.train, splits.held_out, splits.test, splits.shift)
    )
    assert not train & held_out
    assert not (train | held_out) & test
    assert not (train | held_out) & shift


def test_families_are_stems_that_begin_with_one_of_four_letters_or_more() -> None:
    stems = ["happiest", "fun", "happi", "gloomi", "funni", "gloom", "happili"]
    assert families_of(stems) == {
        "fun": ["fun"],
        "funni": ["funni"],
        "gloom": ["gloom", "gloomi"],
        "happi": ["happi", "happiest", "happili"],
    }


def test_related_words_are_not_in_the_shift_set(splits: WordSplits) -> None:
    assert is_related("happiest", ["happi"])
    assert is_related("happi", ["happiest"])
    assert is_related("fun", ["fun"])
    assert not is_related("funni", ["fun"])
    taught = {word.text for word in (*splits.train, *splits.held_out)}
    assert not {word.text for word in splits.shift} & taught


def test_shift_labels_follow_the_mean_over_senses(splits: WordSplits) -> None:
    labels = {word.text: word.label for word in subject.adjectives()}
    assert labels["abhorrent"] == "negative"  # one sense, -0.7
    assert labels["able"] == "positive"  # four senses of 0.5
    assert "above" not in labels  # 0.0
    assert "absence" not in labels  # a noun
    assert {word.text for word in splits.shift} <= set(labels)


def test_order_of_the_lexicon_does_not_matter(splits: WordSplits, monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = subject.rated_words()[::-1]
    monkeypatch.setattr(subject, "rated_words", lambda: backwards)
    assert split_words() == splits


def test_files_have_text_and_label_and_are_the_same_twice(splits: WordSplits, tmp_path: Path) -> None:
    first, second = write_words(tmp_path / "a", splits), write_words(tmp_path / "b", splits)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "held_out.csv",
        "test.csv",
        "textblob.csv",
        "train.csv",
    ]
    for name in ("train", "held_out", "test", "shift"):
        path = getattr(first, name)
        assert path.read_bytes() == getattr(second, name).read_bytes()
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert tuple(Word(**row) for row in rows) == getattr(splits, name)
