"""Ingredients on the loopback Hub, and merges of them, made by the merging room itself."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoFile
from tiny_checkpoints import relatives, write_checkpoint

from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.merging.record import SoupRecord
from hf_soup.publishing import load_card, write_card

_COUNTER = itertools.count()
CARD = "---\nlicense: {licence}\nlanguage: en\ndatasets:\n- tester/words\nbase_model: tester/base\n---\n\n# A run\n"


def unique(name: str) -> str:
    return f"tester/{name}-{next(_COUNTER)}"


def upload_runs(
    api: HfApi,
    root: Path,
    *,
    count: int = 3,
    licences: Sequence[str | None] = (),
    private: Sequence[int] = (),
    dtype: torch.dtype = torch.float32,
) -> list[str]:
    """Pushes relatives with cards; returns their Hub IDs. A licence of None leaves the card away."""
    names = []
    for index, tensors in enumerate(relatives(count, dtype=dtype, seed=next(_COUNTER))):
        licence = licences[index] if index < len(licences) else "mit"
        folder = write_checkpoint(root / f"source-{index}", tensors)
        if licence is not None:
            (folder / "README.md").write_text(CARD.format(licence=licence))
        name = unique("run")
        api.create_repo(name, private=index in private)
        api.upload_folder(repo_id=name, folder_path=folder)
        names.append(name)
    return names


def merged(models: Sequence[str | Path], out: Path, **options: Any) -> Path:
    """Merges and writes the card, as the facade does."""
    plan = make_plan(open_ingredients([str(model) for model in models]), out=out, **options)
    cards = [load_card(model.folder) for model in plan.models]

    def finish(folder: Path, record: SoupRecord) -> None:
        named = [replace(card, name=one.name) for card, one in zip(cards, record.ingredients, strict=True)]
        write_card(folder, record, named)

    merge(plan, out, finish=finish)
    return out


def tree(api: HfApi, repo_id: str, revision: str = "main") -> dict[str, str]:
    """Digests of the files at a revision, by path."""
    listed = api.list_repo_tree(repo_id, recursive=True, revision=revision)
    files = [one for one in listed if isinstance(one, RepoFile)]
    return {one.path: one.lfs.sha256 if one.lfs else one.blob_id for one in files}
