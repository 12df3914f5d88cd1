"""Small checkpoints written by safetensors itself, for tests that need no model class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

CONFIG: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {"0": "negative", "1": "positive"},
    "label2id": {"negative": 0, "positive": 1},
    "tie_word_embeddings": True,
}


def relatives(count: int, *, spread: float = 0.05, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[dict]:
    """State dicts of models that left one ancestor: matrices, a head with two classes, vectors, an integer buffer."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {
        "embeddings.word_embeddings.weight": (40, 24),
        "encoder.layer.0.dense.weight": (24, 24),
        "encoder.layer.2.dense.weight": (48, 24),
        "encoder.layer.10.dense.weight": (24, 48),
        "encoder.layer.0.norm.bias": (24,),
        "classifier.weight": (2, 24),
        "classifier.bias": (2,),
    }
    ancestor = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    models = []
    for _ in range(count):
        model = {n: (t + spread * torch.randn(t.shape, generator=generator)).to(dtype) for n, t in ancestor.items()}
        model["embeddings.position_ids"] = torch.arange(16).reshape(1, 16)
        models.append(model)
    return models


def write_checkpoint(
    folder: Path, tensors: dict[str, torch.Tensor], config: dict[str, Any] | None = None, shards: int = 1
) -> Path:
    """Writes a Hub folder: config.json, a tokenizer file, and one or several safetensors files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(tensors)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        weight_map = {}
        for shard in range(shards):
            file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
            part = {name: tensors[name] for name in names[shard::shards]}
            save_file(part, folder / file, metadata={"format": "pt"})
            weight_map |= dict.fromkeys(part, file)
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    (folder / "vocab.txt").write_text("a\nb\nc\n")
    return folder


def write_relatives(root: Path, count: int = 3, **kwargs: Any) -> list[Path]:
    return [write_checkpoint(root / f"run-{i}", tensors) for i, tensors in enumerate(relatives(count, **kwargs))]
