"""A base, adapters of it and a fine-tune on the loopback Hub, for adapters that are published from them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from adapter_samples import CARD, write_adapter, write_base
from huggingface_hub import HfApi
from tiny_models import tokenizer
from transformers import BertForSequenceClassification

_NUMBER = itertools.count()


def unique(name: str) -> str:
    return f"tester/adapter-publish-{name}-{next(_NUMBER)}"


def upload(folder: Path, name: str, **settings: Any) -> str:
    api, repo = HfApi(), unique(name)
    api.create_repo(repo, **settings)
    api.upload_folder(repo_id=repo, folder_path=folder)
    return repo


@dataclass(frozen=True)
class Family:
    """Hub IDs, and where the same files are on this disk."""

    base: str
    adapters: tuple[str, ...]
    tuned: str
    root: Path


def upload_family(root: Path, count: int = 3) -> Family:
    base_folder = write_base(root / "base")
    (base_folder / "README.md").write_text("---\nlicense: mit\n---\n")
    base = upload(base_folder, "base")
    adapters = []
    for number in range(count):
        folder = write_adapter(root / f"adapter-{number}", base, number + 1, r=2 + number)  # type: ignore[arg-type]
        tokenizer().save_pretrained(folder)
        adapters.append(upload(folder, "adapter"))
    model = BertForSequenceClassification.from_pretrained(base_folder)
    torch.manual_seed(7)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(root / "tuned")
    (root / "tuned" / "README.md").write_text(CARD)
    return Family(base, tuple(adapters), upload(root / "tuned", "tuned"), root)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, indent=2) + "\n")


def make_digests_fit(folder: Path) -> None:
    """What a forger does after altering files: soup.json gets the digests of what lies there now."""
    import hashlib

    outputs = json.loads((folder / "soup.json").read_text())["outputs"]
    for path, output in outputs.items():
        content = (folder / path).read_bytes()
        output |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_json(folder / "soup.json", outputs=outputs)
