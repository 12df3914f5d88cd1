"""The tags that the Hub derives from a card, a config and the names of the files."""

from __future__ import annotations

from typing import Any

from hf_soup.localhub.repository import Files
from hf_soup.localhub.vocabulary import TASK_OF_CLASS

_FORMATS = {
    "pytorch": (".bin", ".pt", ".pth"),
    "tf": (".h5",),
    "onnx": (".onnx",),
    "safetensors": (".safetensors",),
    "gguf": (".gguf",),
}


def model_task(card: dict[str, Any], config: dict[str, Any]) -> str | None:
    """The card's `pipeline_tag`, else what the class in config.json does."""
    if isinstance(card.get("pipeline_tag"), str):
        return card["pipeline_tag"]
    for name in config.get("architectures") or []:
        for ending, task in TASK_OF_CLASS.items():
            if str(name).endswith(ending):
                return task
    return None


def base_models(card: dict[str, Any]) -> list[str]:
    return [str(item) for item in _listed(card.get("base_model"))]


def base_relation(card: dict[str, Any], files: Files) -> str | None:
    """The card's word; without it several base models are a merge, an adapter file an adapter, the rest a finetune."""
    if not base_models(card):
        return None
    if card.get("base_model_relation"):
        return str(card["base_model_relation"])
    if len(base_models(card)) > 1:
        return "merge"
    if "adapter_config.json" in files or card.get("library_name") == "peft":
        return "adapter"
    return "quantized" if any(path.endswith(".gguf") for path in files) else "finetune"


def model_tags(card: dict[str, Any], config: dict[str, Any], files: Files) -> list[str]:
    """In the Hub's order: library, formats, model type, task, the card's own, and then those with a prefix."""
    relation = base_relation(card, files)
    bases = base_models(card)
    derived = [
        card.get("library_name"),
        *(name for name, endings in _FORMATS.items() if any(path.endswith(endings) for path in files)),
        config.get("model_type"),
        model_task(card, config),
        *_listed(card.get("tags")),
        *("model-index" for _ in _listed(card.get("model-index"))[:1]),
        *_listed(card.get("language")),
        *(f"dataset:{name}" for name in _listed(card.get("datasets"))),
        *(f"base_model:{name}" for name in bases),
        *(f"base_model:{relation}:{name}" for name in bases),
        *(f"license:{name}" for name in _listed(card.get("license"))),
        "region:us",
    ]
    return list(dict.fromkeys(str(tag) for tag in derived if tag))


def dataset_tags(card: dict[str, Any]) -> list[str]:
    derived = [
        *(f"task_categories:{name}" for name in _listed(card.get("task_categories"))),
        *(f"language:{name}" for name in _listed(card.get("language"))),
        *(f"license:{name}" for name in _listed(card.get("license"))),
        *(f"size_categories:{name}" for name in _listed(card.get("size_categories"))),
        "region:us",
        *_listed(card.get("tags")),
    ]
    return list(dict.fromkeys(str(tag) for tag in derived))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
