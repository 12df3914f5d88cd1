"""A tiny base model, adapters that PEFT itself saved for it, and the full weights that they stand for."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_models import untrained_classifier
from transformers import BertForSequenceClassification

INPUTS = {
    "input_ids": torch.tensor([[2, 5, 9, 12, 3], [2, 20, 7, 6, 3]]),
    "attention_mask": torch.ones(2, 5, dtype=torch.long),
}
CARD = "---\nlicense: mit\nlanguage: en\npipeline_tag: text-classification\n---\n# An adapter\n"


def write_base(folder: Path) -> Path:
    untrained_classifier().save_pretrained(folder)
    return folder


def write_adapter(folder: Path, base: Path, seed: int, *, size: float = 0.3, **settings: Any) -> Path:
    """Saves a LoRA with PEFT whose every parameter, B and the replaced heads too, is moved at random."""
    model = BertForSequenceClassification.from_pretrained(base)
    given = {"r": 4, "lora_alpha": 8, "target_modules": ["query", "value"], "task_type": "SEQ_CLS"} | settings
    torch.manual_seed(seed)
    adapted = get_peft_model(model, LoraConfig(**given))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data += size * torch.randn_like(parameter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted.save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    return folder


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**INPUTS).logits


def loaded(base: Path, adapter: Path) -> PeftModel:
    return PeftModel.from_pretrained(BertForSequenceClassification.from_pretrained(base), adapter)


def merged_by_peft(base: Path, adapter: Path) -> BertForSequenceClassification:
    return loaded(base, adapter).merge_and_unload()


def weighted_full_model(base: Path, adapters: list[Path], weights: list[float]) -> BertForSequenceClassification:
    """base + Σ wᵢ (mergedᵢ − base), in float64: what every result is compared with."""
    start = BertForSequenceClassification.from_pretrained(base)
    before = {name: tensor.double() for name, tensor in start.state_dict().items() if tensor.is_floating_point()}
    total = {name: tensor.clone() for name, tensor in before.items()}
    for path, weight in zip(adapters, weights, strict=True):
        after = merged_by_peft(base, path).state_dict()
        for name in total:
            total[name] += weight * (after[name].double() - before[name])
    result = copy.deepcopy(start)
    result.load_state_dict({name: tensor.float() for name, tensor in total.items()}, strict=False)
    return result
