"""What predictions depend on, as one digest: weights, config, data, preprocessing, arithmetic."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from hf_soup.checkpoints import Checkpoint
from hf_soup.evaluation.skeleton import layout

_FORMAT = 1  # of what is cached; raise it when the same inputs give other predictions

# Files of text beside the weights that no tokenizer or processor reads.
_NOT_PREPROCESSING = {"config.json", "generation_config.json", "trainer_state.json", "soup.json", "training_args.json"}
_SUFFIXES = {".json", ".txt", ".model", ".spm", ".tiktoken", ".vocab", ".bpe", ".codes", ".jinja", ".tokenizer", ".py"}
_LARGEST = 200 * 2**20


def preprocessing_digest(folder: Path) -> str:
    """A digest of the files that a tokenizer or processor may be made from, the same in every folder.

    A model without any such file has no folder until its weights are fetched.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        wanted = path.suffix in _SUFFIXES and path.name not in _NOT_PREPROCESSING
        if not wanted or path.name.endswith(".index.json") or not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def cache_key(checkpoint: Checkpoint, data: str, preprocessing: str, **settings: Any) -> str:
    """Returns the digest under which a result is kept. `data`: the data's fingerprint; `settings`: whatever else counts."""
    import torch
    import transformers

    essence = {
        "format": _FORMAT,
        "weights": checkpoint.identity,
        "layout": layout(checkpoint),
        "data": data,
        "preprocessing": preprocessing,
        "versions": [torch.__version__, transformers.__version__],
        **settings,
    }
    return hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()
