"""The logits of a model in memory, and of the model that transformers loads."""

from __future__ import annotations

from pathlib import Path

import torch

from hf_soup.checkpoints import open_checkpoint
from hf_soup.evaluation import Skeleton

CPU = torch.device("cpu")
TEXT = "AutoModelForSequenceClassification"
IMAGE = "AutoModelForImageClassification"
CAUSAL = "AutoModelForCausalLM"


def inputs_of(auto_class: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    if auto_class == IMAGE:
        return {"pixel_values": torch.randn(3, 3, 8, 8, generator=generator)}
    ids = torch.randint(2, 32, (3, 7), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def logits_of(model: torch.nn.Module, auto_class: str) -> torch.Tensor:
    inputs = inputs_of(auto_class)
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(next(model.parameters()).dtype)
    with torch.inference_mode():
        return model(**inputs).logits


def oracle(folder: Path, auto_class: str) -> torch.Tensor:
    import transformers

    return logits_of(getattr(transformers, auto_class).from_pretrained(folder), auto_class)


def skeleton_of(folder: Path, auto_class: str) -> Skeleton:
    return Skeleton(open_checkpoint(folder), auto_class, CPU)
