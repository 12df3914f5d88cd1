"""A folder as the transformers model that its config names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_soup.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_model(folder: Path, **kwargs: Any) -> PreTrainedModel:
    """Returns `architectures[0].from_pretrained(folder)`; AutoModel where config.json names no class.

    Raises InputError for a folder without config.json, or whose class transformers does not have: a model with code of
    its own is loaded by the user with `trust_remote_code`.
    """
    import transformers

    path = folder / "config.json"
    if not path.exists():
        raise InputError(f"{folder}: has no config.json; read its tensors with safetensors.")
    architectures = json.loads(path.read_bytes()).get("architectures") or ["AutoModel"]
    kind = getattr(transformers, architectures[0], None)
    if kind is None:
        raise InputError(
            f"{folder}: transformers {transformers.__version__} has no class {architectures[0]}; load it with AutoModel "
            "and trust_remote_code=True if you trust its code."
        )
    model: PreTrainedModel = kind.from_pretrained(folder, **kwargs)
    return model
