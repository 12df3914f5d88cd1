"""Tiny classifiers of several architectures, in folders, and rows that they can be run on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_models import sentences, tokenizer

NAMES = ("negative", "positive")


def folder(name: str) -> Path:
    return Path(mkdtemp(prefix="hf-soup-voting-")) / name


def save_text_model(
    kind: str = "bert", seed: int = 0, *, labels: Sequence[str] = NAMES, name: str = "model", **changes: Any
) -> Path:
    """A bert or distilbert classifier with random weights, large enough that its probabilities differ."""
    import transformers

    sizes = {
        "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24},
        "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 24},
    }
    configs = {"bert": "BertConfig", "distilbert": "DistilBertConfig"}
    models = {"bert": "BertForSequenceClassification", "distilbert": "DistilBertForSequenceClassification"}
    config = getattr(transformers, configs[kind])(
        vocab_size=40,
        max_position_embeddings=32,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **{**sizes[kind], **changes},
    )
    return _save(getattr(transformers, models[kind])(config), seed, folder(name), tokenizer())


def save_image_model(kind: str = "vit", seed: int = 0, *, name: str = "model") -> Path:
    """A ViT that sees 8 x 8 pixels, or a ResNet that sees 12 x 12."""
    import transformers

    labels = {"id2label": dict(enumerate(NAMES)), "label2id": {label: place for place, label in enumerate(NAMES)}}
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    if kind == "vit":
        config = transformers.ViTConfig(image_size=8, patch_size=4, **sizes, **labels)
        processor = transformers.ViTImageProcessorPil(size={"height": 8, "width": 8})
        return _save(transformers.ViTForImageClassification(config), seed, folder(name), processor)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **labels
    )
    processor = transformers.ViTImageProcessorPil(size={"height": 12, "width": 12})
    return _save(transformers.ResNetForImageClassification(config), seed, folder(name), processor)


def _save(model: Any, seed: int, target: Path, preprocessor: Any) -> Path:
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    model.save_pretrained(target)
    preprocessor.save_pretrained(target)
    return target


def permuted(source: Path, name: str = "permuted") -> Path:
    """The same model with its classes in another order: head and names turned round together."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(source)
    with torch.no_grad():
        model.classifier.weight.copy_(model.classifier.weight.flip(0))
        model.classifier.bias.copy_(model.classifier.bias.flip(0))
    labels = [model.config.id2label[index] for index in sorted(model.config.id2label)][::-1]
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: place for place, label in enumerate(labels)}
    target = folder(name)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(source).save_pretrained(target)
    return target


def by_hand(source: Path, texts: Sequence[str]) -> np.ndarray:
    """Logits of one text at a time, from transformers alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, words = AutoModelForSequenceClassification.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    with torch.inference_mode():
        return np.concatenate([model(**words(text, return_tensors="pt")).logits.numpy() for text in texts])


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.as_tensor(logits, dtype=torch.float64), dim=-1).numpy()


def rows(count: int = 40, seed: int = 0) -> list[dict[str, str]]:
    return sentences(count, seed)


def texts(count: int = 40, seed: int = 0) -> list[str]:
    return [row["text"] for row in sentences(count, seed)]


def picture(seed: int, size: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def keyword(examples: list[dict[str, Any]]) -> list[float]:
    """A rule that knows a few words."""
    return [0.9 if {"fine", "lovely", "kind"} & set(example["text"].split()) else 0.3 for example in examples]


@cache
def shared(make: Callable[..., Path], *arguments: Any) -> Path:
    """A model that several tests read, made once."""
    return make(*arguments)
