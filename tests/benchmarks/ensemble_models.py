"""Classifiers to vote with: real weights of MiniLM, whole, shallow and deep, under heads that were fitted to the demo's words.

Texts are strings of rated words; a text is positive where its mean rating is. So the members know something, disagree in
some rows and are of different confidence, which is what decides how much an early exit saves.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_soup.demo.ingredients import base_model_folder
from hf_soup.demo.words import rated_words
from hf_soup.evaluation.quiet import quiet_transformers

if TYPE_CHECKING:
    from torch import nn

LABELS = ("negative", "positive")
BATCH = 64
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_MEDIAN_WORDS, _SPREAD, _MOST_WORDS = 8, 0.6, 60  # log-normal; rare words: 20 tokens a text, as a sentence has
_NOISE = 0.02  # of each tensor's standard deviation: relatives, as fine-tunes of one model are
_STRENGTH = 0.01  # of the fitted head: C of scikit-learn, so that members are sure of some rows and not of all


@dataclass(frozen=True)
class Kind:
    """`layers`: of MiniLM's six, again from the first one after the last."""

    name: str
    layers: int
    seed: int


ALIKE = tuple(Kind(f"whole-{seed}", 6, seed) for seed in (1, 2, 3))
DIFFERENT = (Kind("shallow", 2, 4), Kind("whole", 6, 5), Kind("deep", 12, 6))
TINY = Kind("tiny", 0, 7)
"""What is imported on the way is imported by running this one."""


def texts(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Returns (texts of 3 to 60 words, labels 0 and 1)."""
    generator = np.random.default_rng(seed)
    words = rated_words()
    signs = np.array([1.0 if word.label == LABELS[1] else -1.0 for word in words])
    lengths = np.clip(generator.lognormal(np.log(_MEDIAN_WORDS), _SPREAD, count).astype(int), 3, _MOST_WORDS)
    written, labels = [], []
    for length in lengths:
        wanted = int(generator.integers(0, 2))
        chance = np.where((signs > 0) == bool(wanted), 3.0, 1.0)  # three words in four on the text's own side
        chosen = generator.choice(len(words), length, p=chance / chance.sum())
        written.append(" ".join(words[place].text for place in chosen))
        labels.append(wanted)
    return written, np.array(labels)


def make_models(root: Path, kinds: Sequence[Kind]) -> dict[str, Path]:
    """Returns the folders by name; those that are missing under `root` are made, in seconds each."""
    given, labels = texts(300, 0)
    folders = {}
    for kind in kinds:
        folder = root / kind.name
        if not folder.exists():
            draft = root / f"{kind.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            _save(kind, draft, given, labels)
            draft.rename(folder)
        folders[kind.name] = folder
    return folders


def opened(folder: Path) -> tuple[Any, nn.Module]:
    """(tokenizer, model), as anybody opens them with transformers."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet_transformers():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder), model.eval()


def _save(kind: Kind, folder: Path, given: Sequence[str], labels: np.ndarray) -> None:
    import torch
    from sklearn.linear_model import LogisticRegression

    tokenizer, whole = opened(base_model_folder())
    generator = torch.Generator().manual_seed(kind.seed)
    layers = whole.bert.encoder.layer
    config = whole.config
    config.num_hidden_layers, config.num_labels = kind.layers, len(LABELS)
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: place for place, label in enumerate(LABELS)}
    model = type(whole)(config).eval()
    with torch.inference_mode():
        values = {
            name: value
            for name, value in whole.state_dict().items()
            if "layer." not in name and "classifier" not in name
        }
        for place in range(kind.layers):
            for name, value in layers[place % len(layers)].state_dict().items():
                values[f"bert.encoder.layer.{place}.{name}"] = value
        for value in values.values():
            if value.is_floating_point() and value.dim() == 2:
                value += _NOISE * value.std() * torch.randn(value.shape, generator=generator)
        model.load_state_dict(values, strict=False)
        pooled = np.empty((len(given), config.hidden_size))
        order = sorted(range(len(given)), key=lambda row: len(given[row]))
        for start in range(0, len(given), BATCH):
            rows = order[start : start + BATCH]
            inputs = tokenizer([given[row] for row in rows], padding=True, return_tensors="pt")
            pooled[rows] = model.bert(**inputs).pooler_output.numpy()
        scale = pooled.std(axis=0) + 1e-6
        fitted = LogisticRegression(C=_STRENGTH, max_iter=1000).fit((pooled - pooled.mean(axis=0)) / scale, labels)
        half = torch.tensor(fitted.coef_[0] / scale / 2, dtype=torch.float32)
        shift = float(fitted.intercept_[0] - (fitted.coef_[0] * pooled.mean(axis=0) / scale).sum()) / 2
        model.classifier.weight.copy_(torch.stack([-half, half]))
        model.classifier.bias.copy_(torch.tensor([-shift, shift]))
    with quiet_transformers():
        model.save_pretrained(folder)
    for name in _TOKENIZER:
        shutil.copy(base_model_folder() / name, folder)
