"""The four fine-tunes that the main job's tests share: pushed once, named by their Hub IDs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tiny_models import fine_tune, sentences, write_csv

IDS = tuple(f"tester/sentences-{seed}" for seed in range(4))


@cache
def published() -> tuple[str, ...]:
    """Fine-tunes and pushes four models, once a run; returns their IDs."""
    from huggingface_hub import HfApi

    root = Path(mkdtemp(prefix="hf-soup-fine-tunes-"))
    for seed, name in enumerate(IDS):
        HfApi().create_repo(name, exist_ok=True)
        HfApi().upload_folder(repo_id=name, folder_path=fine_tune(root / str(seed), seed, steps=55 + 8 * seed))
    return IDS


@cache
def data() -> dict[str, Path]:
    """CSV files: held_out, test, shift."""
    root = Path(mkdtemp(prefix="hf-soup-data-"))
    sizes = {"held_out": (300, 1), "test": (400, 2), "shift": (200, 3)}
    return {name: write_csv(root / f"{name}.csv", sentences(*size)) for name, size in sizes.items()}
