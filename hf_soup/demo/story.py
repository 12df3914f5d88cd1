"""The demo's story, told while it happens: from words to soups on the Hub that others can verify.

Runs as `python -m hf_soup.demo.story FOLDER FINE_TUNES` in an environment that `places.client_environment` made; `run` does
that. It uses hf-soup as a user does: the names of `hf_soup`, Hub IDs, and two CSV files.
"""

from __future__ import annotations

import io
import json
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.demo.cards import BASE_MODEL
from hf_soup.demo.farewell import farewell
from hf_soup.demo.fine_tunes import FINE_TUNES, LORAS, are_made, make_base, make_fine_tunes
from hf_soup.demo.places import ADAPTER_REPO, BASE_REPO, MIXED_REPO, SOUP_REPO, USER, Places
from hf_soup.demo.training_bar import training_bar
from hf_soup.demo.words import WordFiles, WordSplits, english_stemmer, is_related, split_words, write_words
from hf_soup.errors import InputError, SoupError

if TYPE_CHECKING:
    from hf_soup import MergedModel
    from hf_soup.adapters import AdapterRecord, MadeAdapter

TASK = "text-classification"
METRIC = "accuracy"
# Every word counts by how sure the model is of it; accuracy only notices words that change sides, a handful of 1,271.
MIXED_METRIC = "nll"
IDS = [f"{USER}/{run.name}" for run in FINE_TUNES]
LORA_IDS = [f"{USER}/{run.name}" for run in LORAS]
SMALL_RANK = 8

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
        adapters = self.lora(words)
        base = make_base(words.train, self.places.fine_tunes)
        self.push([BASE_REPO, *IDS, *LORA_IDS], [base, *folders, *adapters])
        self.uniform()
        soup = self.greedy(files)
        self.publish(soup)
        self.verify()
        self.classify(words)
        adapter = self.adapters(files)
        self.publish_adapter(adapter)
        mixed = self.mixed(files)
        self.publish_mixed(mixed)
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

    def lora(self, words: WordSplits) -> list[Path]:
        with self._chapter("lora", "Three LoRA adapters, from the same start and on the same words"):
            if are_made(words.train, self.places.fine_tunes, LORAS):
                print("Found in the cache.")
            for run in LORAS:
                print(
                    f"{run.name}: rank {run.rank}, alpha {run.alpha}, seed {run.seed}, learning rate {run.learning_rate:g}"
                )
            with training_bar() as on_step:
                return make_fine_tunes(words.train, self.places.fine_tunes, on_step, LORAS)

    def push(self, repos: list[str], folders: list[Path]) -> None:
        from huggingface_hub import HfApi, constants

        with self._chapter("push", f"Push all of them, and their start, to the Hub at {constants.ENDPOINT}"):
            api = HfApi()
            for repo, folder in zip(repos, folders, strict=True):
                api.create_repo(repo, exist_ok=True)
                # Uploads what the repository does not have yet; no commit when that is nothing.
                api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Trained by the demo")
            print("From here on only these names are used:", ", ".join(repos))

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
                held_out, test=files.test, shifts={"textblob": files.shift}, out=self.places.greedy, overwrite=True
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
        with self._chapter("verify", "Verify it: derive the weights again from the pinned ingredients, and compare"):
            self.outcome["verdict"] = _verified(SOUP_REPO)

    def classify(self, words: WordSplits) -> None:
        with self._chapter("classify", "Use it, with transformers alone"):
            print(f'AutoModelForSequenceClassification.from_pretrained("{SOUP_REPO}")')
            verdicts = _classify(SOUP_REPO, _unseen(words))
            for word, (label, probability) in verdicts.items():
                print(f"  {word:<14} {label} ({probability:.0%})")
            self.outcome["words"] = {word: label for word, (label, _) in verdicts.items()}

    def adapters(self, files: WordFiles) -> MadeAdapter:
        from hf_soup import HeldOut
        from hf_soup.adapters import combine_adapters
        from hf_soup.judging import evaluate_models

        places = self.places
        with self._chapter("adapters", f"The three adapters as one: exactly, and of rank {SMALL_RANK}"):
            exact = combine_adapters(LORA_IDS, out=places.exact_adapter, overwrite=True)
            print(
                f"{exact.path.name}: {_ranks(exact.record)}, the sum of theirs; exact, as their factors stand side by side"
            )
            small = combine_adapters(LORA_IDS, out=places.small_adapter, as_="svd", rank=SMALL_RANK, overwrite=True)
            print(f"{small.path.name}: {_ranks(small.record)}, {small.record.energy:.2%} of the energy kept")
            for line in _losses(small.record):
                print(f"  {line}")
            data = HeldOut(files.test, task=TASK, metric=METRIC)
            table = evaluate_models([*LORA_IDS, exact.path, small.path], data, [METRIC])
            print(f"\n{table}")
        self.outcome["adapters"] = {
            "exact": ADAPTER_REPO,
            "ingredients": LORA_IDS,
            "small_rank": SMALL_RANK,
            "small_energy": small.record.energy,
            "test": table.to_json(),
        }
        return exact

    def publish_adapter(self, adapter: MadeAdapter) -> None:
        with self._chapter("publish_adapter", f"Publish the exact one as {ADAPTER_REPO}, and verify it"):
            adapter.push_to_hub(ADAPTER_REPO)
            self.outcome["adapters"]["verdict"] = _verified(ADAPTER_REPO)

    def mixed(self, files: WordFiles) -> MergedModel:
        from hf_soup import HeldOut, Soup
        from hf_soup.judging import evaluate_models

        with self._chapter(
            "mixed", "A mixed soup: greedy over the five fine-tunes and the three adapters, by log loss"
        ):
            held_out = HeldOut(files.held_out, task=TASK, metric=MIXED_METRIC)
            merged = Soup([*IDS, *LORA_IDS]).greedy(held_out, test=files.test, out=self.places.mixed, overwrite=True)
            print(merged.report)
            assert merged.report is not None  # greedy always measures
            table = evaluate_models([merged.path], held_out.like(files.test), [METRIC, MIXED_METRIC])
            print(f"\n{table}")
        self.outcome["mixed"] = {
            "soup": MIXED_REPO,
            "evidence": merged.report.to_json(),
            "test": table.to_json(),
        }
        return merged

    def publish_mixed(self, soup: MergedModel) -> None:
        with self._chapter("publish_mixed", f"Publish it as {MIXED_REPO}, and verify it"):
            soup.push_to_hub(MIXED_REPO)
            self.outcome["mixed"]["verdict"] = _verified(MIXED_REPO)

    def farewell(self, files: WordFiles) -> None:
        places = self.places
        self.outcome |= {
            "base": BASE_REPO,
            "ingredients": IDS,
            "soup": SOUP_REPO,
            "folders": {
                "words": str(places.words),
                "hub": str(places.hub),
                "greedy": str(places.greedy),
                "uniform": str(places.uniform),
                "exact_adapter": str(places.exact_adapter),
                "small_adapter": str(places.small_adapter),
                "mixed": str(places.mixed),
                "fine_tunes": str(places.fine_tunes),
            },
        }
        print(farewell(places, files, self.seconds["total"], IDS, LORA_IDS))

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
    # PEFT 0.21 asks transformers 5 for a property by its former name.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)


def _verified(repo: str) -> str:
    """Verifies what is published there, and returns the verdict. Raises SoupError where it is not what its card says."""
    from hf_soup import verify

    found = verify(repo)
    print(found)
    if found.exit_code:
        raise SoupError(f"{repo} on the demo's Hub is not what its card says; see above.")
    return str(found.verdict)


def _ranks(record: AdapterRecord) -> str:
    ranks = sorted({module.rank for module in record.modules.values()})
    return "rank " + " to ".join(map(str, dict.fromkeys([ranks[0], ranks[-1]])))


def _losses(record: AdapterRecord) -> list[str]:
    """The modules that lose least and most: energy kept, and what is missing beside the length of the update."""
    by_energy = sorted(record.modules.items(), key=lambda module: module[1].energy)
    return [
        f"{what} {name}: {module.energy:.2%}, error {module.error:.3g} of {module.norm:.3g}"
        for what, (name, module) in (("most lost in", by_energy[0]), ("least in", by_energy[-1]))
    ]


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
