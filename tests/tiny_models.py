"""Small transformers models with tokenizers, really fine-tuned from one start, and data they can learn."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import torch

GOOD = ["fine", "lovely", "bright", "kind", "clever"]
BAD = ["poor", "ugly", "dull", "cruel", "stupid"]
FILLER = ["the", "a", "film", "day", "meal", "was", "very", "and", "is", "this"]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER]


def sentences(count: int, seed: int) -> list[dict[str, str]]:
    """Rows with a text of two to seven words and the label of the one telling word in it; every tenth label is wrong."""
    generator = random.Random(seed)
    rows = []
    for _ in range(count):
        label = generator.choice(["negative", "positive"])
        words = generator.choices(FILLER, k=generator.randint(1, 6))
        words.insert(generator.randint(0, len(words)), generator.choice(GOOD if label == "positive" else BAD))
        if generator.random() < 0.1:
            label = "negative" if label == "positive" else "positive"
        rows.append({"text": " ".join(words), "label": label})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def tokenizer():
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)}, do_lower_case=True)


def untrained_classifier(seed: int = 0, labels: tuple[str, ...] = ("negative", "positive")):
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        id2label=dict(enumerate(labels)),
        label2id={name: number for number, name in enumerate(labels)},
    )
    model = BertForSequenceClassification(config)
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def fine_tune(folder: Path, seed: int, *, steps: int = 80, lr: float = 4e-3, card: str | None = None) -> Path:
    """Fine-tunes the one start on its own order of sentences, and saves it as a Hub folder with a card."""
    model, words = untrained_classifier(), tokenizer()
    rows = sentences(400, seed=1000 + seed)
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr)
    for step in range(steps):
        batch = rows[step * 16 % 384 : step * 16 % 384 + 16]
        inputs = words([row["text"] for row in batch], padding=True, return_tensors="pt")
        labels = torch.tensor([row["label"] == "positive" for row in batch]).long()
        model(**inputs, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    default = (
        "---\nlicense: mit\nlanguage: en\nbase_model: tester/start\npipeline_tag: text-classification\n---\n# A run\n"
    )
    (folder / "README.md").write_text(default if card is None else card)
    return folder


def read_json(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))
