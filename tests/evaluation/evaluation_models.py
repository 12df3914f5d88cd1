"""Tiny real models of transformers, saved as folders, and data that they can be run on."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

WORDS = [f"w{number}" for number in range(30)]
NAMES = {0: "negative", 1: "positive"}


def save_tokenizer(folder: Path, *, pad: bool = True) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "[UNK]", **({"pad_token": "[PAD]"} if pad else {})}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def save_model(kind: str, config: Any, folder: Path, seed: int, *, dtype: torch.dtype | None = None) -> Path:
    """A model with random weights, biases too, so that no two tensors are equal."""
    import transformers

    torch.manual_seed(seed)
    model = getattr(transformers, kind)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
        for buffer in model.buffers():
            if buffer.is_floating_point() and buffer.numel() > 1:
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
    if dtype is not None:
        model = model.to(dtype)
    model.save_pretrained(folder)
    return folder


def bert_config(**changes: Any) -> Any:
    from transformers import BertConfig

    settings = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    names = {"id2label": NAMES, "label2id": {name: number for number, name in NAMES.items()}}
    return BertConfig(vocab_size=40, max_position_embeddings=24, **{**settings, **names, **changes})


def save_bert(folder: Path, seed: int = 0, *, dtype: torch.dtype | None = None, **changes: Any) -> Path:
    save_model("BertForSequenceClassification", bert_config(**changes), folder, seed, dtype=dtype)
    save_tokenizer(folder)
    return folder


def save_vit(folder: Path, seed: int = 0) -> Path:
    from transformers import ViTConfig, ViTImageProcessorPil

    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=8,
        patch_size=4,
        id2label=NAMES,
    )
    save_model("ViTForImageClassification", config, folder, seed)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder)
    return folder


def save_resnet(folder: Path, seed: int = 0) -> Path:
    """Has batch normalisation: running means, and a counter that is an integer."""
    from transformers import ResNetConfig

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=NAMES)
    return save_model("ResNetForImageClassification", config, folder, seed)


def save_gpt2(folder: Path, seed: int = 0) -> Path:
    from transformers import GPT2Config

    save_model(
        "GPT2LMHeadModel", GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=40, n_positions=24), folder, seed
    )
    save_tokenizer(folder, pad=False)
    return folder


def llama_config(**changes: Any) -> Any:
    from transformers import LlamaConfig

    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24, "vocab_size": 40}
    return LlamaConfig(**{**heads, **sizes, "max_position_embeddings": 24, "tie_word_embeddings": True, **changes})


def save_llama(folder: Path, seed: int = 0, **changes: Any) -> Path:
    save_model("LlamaForCausalLM", llama_config(**changes), folder, seed)
    save_tokenizer(folder)
    return folder


def save_mixtral(folder: Path, seed: int = 0) -> Path:
    from transformers import MixtralConfig

    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "intermediate_size": 24,
        "vocab_size": 40,
        "num_local_experts": 3,
    }
    save_model(
        "MixtralForCausalLM", MixtralConfig(num_attention_heads=2, num_key_value_heads=1, **sizes), folder, seed
    )
    save_tokenizer(folder)
    return folder


def sentences(count: int, seed: int = 0, longest: int = 12) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(2, longest))) for _ in range(count)]


def text_rows(count: int = 40, seed: int = 0) -> list[dict[str, Any]]:
    return [{"text": text, "label": NAMES[number % 2]} for number, text in enumerate(sentences(count, seed))]


def picture(seed: int, size: int = 10) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def one_by_one(folder: Path, texts: list[str]) -> np.ndarray:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    with torch.inference_mode():
        return np.concatenate([model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in texts])


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
