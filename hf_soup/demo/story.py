"""The demo's story, told while it happens: from words to a soup on the Hub that others can verify.

Runs as `python -m hf_soup.demo.story FOLDER FINE_TUNES` in an environment that `places.client_environment` made; `run` does
that. It uses hf-soup as a user does: the names of `hf_soup`, Hub IDs, and two CSV files.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.demo.fine_tunes import BASE_MODEL, FINE_TUNES, are_made, make_fine_tunes
from hf_soup.demo.places import SOUP_REPO, USER, Places
from hf_soup.demo.training_bar import training_bar
from hf_soup.demo.words import WordFiles, WordSplits, english_stemmer, is_related, split_words, write_words
from hf_soup.errors import InputError, SoupError

if TYPE_CHECKING:
    from hf_soup import MergedModel

TASK = "text-classification"
METRIC = "accuracy"
IDS = [f"{USER}/{run.name}" for run in FINE_TUNES]

# `_unseen` leaves out whatever is related to a word that was taught.
_NEW_WORDS = ("sunlit", "mouldy", "heartwarming", "swindler", "tasty", "backstabbing", "breathtaking", "leaky")


class Story:
    """Tells the chapters on standard output and notes how long each took and what came out."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.seconds: dict[str, float] = {}
        self.outcome: dict[str, Any] = {"seconds": self.seconds}

    def tell(self) -> dict[str, Any]:
        start = time.monotonic()
        words, files = self.words()
        folders = self.fine_tunes(words)
        self.publish_fine_tunes(folders)
        self.uniform()
        soup = self.greedy(files)
        self.publish(soup)
        self.verify()
        self.classify(words)
        self.seconds["total"] = round(time.monotonic() - start, 1)
        self.farewell(files)
        return self.outcome

    def words(self) -> tuple[WordSplits, WordFiles]:
        with self._chapter("words", "Words that people have rated"):
            words = split_words()
            files = write_words(self.places.words, words)
            print(
                f"VADER's lexicon: {len(words.train):,} words to learn from, {len(words.held_out):,} held out, "
                f"{len(words.test):,} to test on; no two of them share a word stem.\n"
                f"TextBlob's lexicon: {len(words.shift):,} other adjectives, judged by other people: the shift."
            )
        return words, files

    def fine_tunes(self, words: WordSplits) -> list[Path]:
        with self._chapter("fine_tunes", f"Five fine-tunes of {BASE_MODEL}"):
            if are_made(words.train, self.places.fine_tunes):
                print("Found in the cache.")
            for run in FINE_TUNES:
                print(f"{run.name}: seed {run.seed}, learning rate {run.learning_rate:g}, epochs {run.epochs}")
            with training_bar() as on_step:
                return make_fine_tunes(words.train, self.places.fine_tunes, on_step)

    def publish_fine_tunes(self, folders: list[Path]) -> None:
        from huggingface_hub import HfApi, constants

        with self._chapter("push_fine_tunes", f"Push them to the Hub at {constants.ENDPOINT}"):
            api = HfApi()
            for repo, folder in zip(IDS, folders, strict=True):
                api.create_repo(repo, exist_ok=True)
                # Uploads what the repository does not have yet; no commit when that is nothing.
                api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Fine-tune of the demo")
            print("From here on only these names are used:", ", ".join(IDS))

    def uniform(self) -> None:
        from hf_soup import Soup

        with self._chapter("uniform", "The uniform soup: all five, averaged"):
            merged = Soup(IDS).merge("linear", out=self.places.uniform, overwrite=True)
            print(f"Written to {merged.path}")

    def greedy(self, files: WordFiles) -> MergedModel:
        from hf_soup import HeldOut, Soup
        from hf_soup.publishing import evidence_plot

        with self._chapter("greedy", "The greedy soup: the best first, then each that does not make it worse"):
            held_out = HeldOut(files.held_out, task=TASK, metric=METRIC)
            merged = Soup(IDS).greedy(
                held_out,
                test=files.test,
                shifts={"textblob": files.shift},
                out=self.places.greedy,
                overwrite=True,
            )
            print(merged.report)
            assert merged.report is not None  # greedy always measures
            evidence = merged.report.to_json()
            evidence_plot(evidence, self.places.folder / "evidence.png")
        self.outcome["evidence"] = evidence
        return merged

    def publish(self, soup: MergedModel) -> None:
        with self._chapter("publish", f"Publish it as {SOUP_REPO}, with a card"):
            soup.push_to_hub(SOUP_REPO)
            print(_front_matter(soup.path / "README.md"))

    def verify(self) -> None:
        from hf_soup import verify

        with self._chapter("verify", "Verify it: derive the weights again from the pinned ingredients, and compare"):
            found = verify(SOUP_REPO)
            print(found)
        self.outcome["verdict"] = str(found.verdict)
        if found.exit_code:
            raise SoupError(f"{SOUP_REPO} on the demo's Hub is not what its card says; see above.")

    def classify(self, words: WordSplits) -> None:
        with self._chapter("classify", "Use it, with transformers alone"):
            print(f'AutoModelForSequenceClassification.from_pretrained("{SOUP_REPO}")')
            verdicts = _classify(SOUP_REPO, _unseen(words))
            for word, (label, probability) in verdicts.items():
                print(f"  {word:<14} {label} ({probability:.0%})")
            self.outcome["words"] = {word: label for word, (label, _) in verdicts.items()}

    def farewell(self, files: WordFiles) -> None:
        places = self.places
        self.outcome |= {
            "ingredients": IDS,
            "soup": SOUP_REPO,
            "folders": {
                "words": str(places.words),
                "hub": str(places.hub),
                "greedy": str(places.greedy),
                "uniform": str(places.uniform),
                "fine_tunes": str(places.fine_tunes),
            },
        }
        print(
            f"""
Done in {self.seconds["total"]:.0f} s. Everything is in {places.folder}
  words/          the data, as CSV files
  hub/            the Hub's repositories (the Hub itself has stopped)
  greedy-soup/    the published model, its card and soup.json
  uniform-soup/   the average of all five
  evidence.png    the table above as a picture
The fine-tunes are in {places.fine_tunes}

To go on, start the Hub again:
  hf-soup hub serve --root {_quoted(places.hub)}
and in another terminal, after the export lines that it prints and `export HF_HUB_CACHE={_quoted(places.hub_cache)}`:
  hf-soup verify {SOUP_REPO}
  hf-soup greedy {" ".join(IDS[:3])} --data {_quoted(files.held_out)} --task {TASK} --metric nll -o my-soup
"""
        )

    @contextmanager
    def _chapter(self, name: str, title: str) -> Iterator[None]:
        print(f"\n{len(self.seconds) + 1}. {title}", flush=True)
        start = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - start, 1)
        print(f"   ({self.seconds[name]:.1f} s)", flush=True)


def main() -> int:
    """Tells the story; writes `demo.json` with what came out, or with the problems that stopped it."""
    places = Places(folder=Path(sys.argv[1]), fine_tunes=Path(sys.argv[2]))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console without the sign "−" is no reason to stop
    try:
        _quieten_libraries()
        outcome, code = Story(places).tell(), 0
    except KeyboardInterrupt:
        return 130
    except SoupError as error:
        problems = error.problems if isinstance(error, InputError) else [str(error)]
        outcome, code = {"problems": list(problems), "exit_code": error.exit_code}, error.exit_code
    except OSError as error:  # a full disk, a folder of somebody else
        code = SoupError.exit_code
        outcome = {"problems": [f"The demo stopped: {error}"], "exit_code": code}
    places.outcome.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    return code


def _quieten_libraries() -> None:
    """Bars for 91 MB come and go too fast to be read, and that nothing had to be uploaded again is no warning here."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()
    hub_logging.set_verbosity_error()


def _quoted(path: Path) -> str:
    """A path as it can be pasted into a terminal."""
    return f'"{path}"' if " " in str(path) else str(path)


def _front_matter(card: Path) -> str:
    return card.read_text(encoding="utf-8").split("\n---\n", 1)[0].removeprefix("---\n")


def _unseen(words: WordSplits) -> list[str]:
    """New words that are related to none that was learnt or selected from."""
    stem = english_stemmer()
    seen = {stem(word.text) for word in (*words.train, *words.held_out)}
    return [word for word in _NEW_WORDS if not is_related(stem(word), seen)]


def _classify(repo: str, words: list[str]) -> dict[str, tuple[str, float]]:
    """Each word's label and its probability."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(repo)
    model = AutoModelForSequenceClassification.from_pretrained(repo).eval()
    with torch.inference_mode():
        probabilities = model(**tokenizer(words, padding=True, return_tensors="pt")).logits.softmax(-1)
    best = probabilities.max(-1)
    return {
        word: (model.config.id2label[place], value)
        for word, place, value in zip(words, best.indices.tolist(), best.values.tolist(), strict=True)
    }


if __name__ == "__main__":
    sys.exit(main())
