"""Tied weights: a model saved with and without its output matrix is the same model.

Rule: where config.json ties the word embeddings, a missing output matrix is read as the embedding matrix of that model.
"""

from __future__ import annotations

from typing import Any

from hf_soup.checkpoints import Checkpoint

_EMBEDDINGS = (
    "shared.weight",
    "embed_tokens.weight",
    "wte.weight",
    "word_embeddings.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
)
_TIED_TO_EMBEDDINGS = (
    "lm_head.weight",
    "lm_head.decoder.weight",
    "embed_out.weight",
    "cls.predictions.decoder.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
)


def tied_source(checkpoint: Checkpoint, missing: str) -> str | None:
    """Returns the tensor that stands for `missing` in a checkpoint with tied embeddings, or None."""
    if not missing.endswith(_TIED_TO_EMBEDDINGS) or not ties_embeddings(checkpoint.config):
        return None
    names = checkpoint.names()
    for suffix in _EMBEDDINGS:
        holders = [name for name in names if name.endswith(suffix) and name != missing]
        if len(holders) == 1:
            return holders[0]
    return None


def ties_embeddings(config: dict[str, Any]) -> bool:
    """What config.json says, and where it says nothing, what the model's config class has by default."""
    for level in (config, config.get("text_config") or {}):
        if "tie_word_embeddings" in level:
            return bool(level["tie_word_embeddings"])
    if "model_type" not in config:
        return False
    from transformers import AutoConfig

    try:
        return bool(getattr(AutoConfig.for_model(config["model_type"]), "tie_word_embeddings", False))
    except ValueError:  # a model type that this version of transformers does not know
        return False
