"""Do the models mean the same tokens by the same rows of their embeddings?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from hf_soup.checkpoints.safetensors_checkpoint import StoredCheckpoint

# The files that alone decide which token has which number; tokenizer.json also holds settings that may differ.
_VOCABULARY_FILES = (
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "sentencepiece.bpe.model",
)


def vocabulary_problems(models: Sequence[StoredCheckpoint]) -> list[str]:
    """One sentence for each kind of vocabulary file in which the models differ; files that one lacks are not compared."""
    problems = []
    for name in (*_VOCABULARY_FILES, "tokenizer.json"):
        holders = [model for model in models if name in model.folder.files]
        if len({_listed_digest(model, name) for model in holders}) <= 1:
            continue
        digest = _token_numbers if name == "tokenizer.json" else _listed_digest
        groups: dict[str, list[str]] = {}
        for model in holders:
            groups.setdefault(digest(model, name), []).append(model.label)
        if len(groups) > 1:
            shown = " | ".join(", ".join(labels) for labels in groups.values())
            problems.append(
                f"The vocabularies differ ({name}): {shown}; the same row of the embeddings would mean different tokens."
            )
    return problems


def _listed_digest(model: StoredCheckpoint, name: str) -> str:
    file = model.folder.files[name]
    if file.sha256 or file.git_sha1:
        return file.sha256 or str(file.git_sha1)
    content = model.folder.local_path(name).read_bytes()
    # The digest that the Hub lists for a small file, so that a folder can be compared with a repository.
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _token_numbers(model: StoredCheckpoint, name: str) -> str:
    """A digest of token → number alone: truncation and padding settings change a tokenizer.json, not the vocabulary."""
    try:
        tokenizer = json.loads(model.folder.local_path(name).read_bytes())
        core = tokenizer["model"]
        added = sorted((token["id"], token["content"]) for token in tokenizer.get("added_tokens") or [])
        table: dict[str, Any] = {"vocab": core.get("vocab"), "merges": core.get("merges"), "added": added}
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _listed_digest(model, name)  # no tokenizer.json as tokenizers writes it: compared as a whole
