"""Models on the loopback Hub, rows with labels, and ensembles of them that are fitted once."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import ensemble_data
from tiny_models import sentences, write_csv
from voting_models import permuted, save_text_model

from hf_soup import HeldOut
from hf_soup.ensembles import Ensemble

FAMILIES = {"bert": ["tester/e3-bert-0", "tester/e3-bert-1"], "distil": ["tester/e3-distil"]}
CARD = "---\nlicense: mit\nlanguage: en\ndatasets: tester/e3-rows\n---\n# A run\n"


@cache
def on_hub() -> dict[str, list[str]]:
    """Two models of one architecture, the second with its classes turned round, and one of another architecture."""
    folders = [save_text_model("bert", 1), permuted(save_text_model("bert", 2)), save_text_model("distilbert", 3)]
    for name, folder in zip([*FAMILIES["bert"], *FAMILIES["distil"]], folders, strict=True):
        upload(name, folder)
    return FAMILIES


def upload(name: str, folder: Path, *, private: bool = False, card: str = CARD) -> str:
    from huggingface_hub import HfApi

    (folder / "README.md").write_text(card)
    HfApi().create_repo(name, exist_ok=True, private=private)
    HfApi().upload_folder(repo_id=name, folder_path=folder)
    return name


@cache
def files() -> dict[str, Path]:
    """CSV files: held_out, test."""
    root = Path(mkdtemp(prefix="hf-soup-e3-rows-"))
    return {
        name: write_csv(root / f"{name}.csv", sentences(*size))
        for name, size in (("held_out", (120, 1)), ("test", (80, 2)))
    }


def held_out(**options: Any) -> HeldOut:
    return HeldOut(files()["held_out"], task="text-classification", **options)


@cache
def saved() -> Path:
    """An ensemble of models on the Hub, fitted and saved, with a report on a test set."""
    folder = Path(mkdtemp(prefix="hf-soup-e3-saved-")) / "votes"
    return Ensemble(on_hub()).fit(held_out(), folds=2, tests={"test": files()["test"]}).save(folder)


@cache
def ready_made() -> Path:
    """An ensemble of predictions that no model was needed for, with a report on a test set."""
    folder = Path(mkdtemp(prefix="hf-soup-e3-ready-")) / "votes"
    data, test = ensemble_data.members(240), ensemble_data.members(200, seed=1)
    return Ensemble.from_predictions(data).fit(folds=2, tests={"test": test}).save(folder)


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def edit_record(folder: Path, change: Any) -> None:
    """Applies a function to the parsed record and writes it back, as somebody might who forges it."""
    path = folder / "hf_soup_ensemble.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
