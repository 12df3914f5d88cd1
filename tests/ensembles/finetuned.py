"""Members that were trained together, what they were trained and judged on, and what transformers alone says of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from tiny_models import sentences
from voting_models import by_hand, folder, permuted, save_text_model, shared, softmax

from hf_soup import Ensemble, HeldOut
from hf_soup.ensembles.finetune.member_mixture import MemberMixture
from hf_soup.ensembles.finetune.training import TrainingRows, take_step
from hf_soup.evaluation.hardware import Hardware
from hf_soup.evaluation.labels import LabelMap

TEXT = "text-classification"
TWO, TURNED = LabelMap(("negative", "positive"), (0, 1)), LabelMap(("negative", "positive"), (1, 0))
ONE = LabelMap(("negative", "positive"), (0, 1), one_logit=True)
QUICK = {"epochs": 2, "learning_rate": 3e-3, "batch_size": 16}
ONCE = {"finetune": True, "epochs": 1, "learning_rate": 1e-3, "batch_size": 16, "method": "equal"}
_STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def held_out_rows() -> list[dict[str, str]]:
    return sentences(48, 1)


def training_rows(count: int = 100) -> list[dict[str, str]]:
    """None of them is held out."""
    judged = {row["text"] for row in held_out_rows()}
    return [row for row in sentences(2 * count, 2) if row["text"] not in judged][:count]


def held_out(**options) -> HeldOut:
    return HeldOut(held_out_rows(), TEXT, **options)


def trained_on(**options) -> HeldOut:
    return HeldOut(training_rows(), TEXT, name="train", **options)


def one_logit(seed: int = 4) -> Path:
    return shared(_one_logit, seed)


def _one_logit(seed: int) -> Path:
    return save_text_model("bert", seed, labels=["positive"])


def families() -> dict[str, dict[str, Path]]:
    """Two heads of two logits, one of them turned round, one of one logit, and another architecture."""
    berts = {"a": shared(save_text_model, "bert", 0), "b": shared(_turned)}
    return {"bert": berts, "one": {"c": one_logit()}, "distil": {"d": shared(save_text_model, "distilbert", 5)}}


def _turned() -> Path:
    return permuted(save_text_model("bert", 1))


@cache
def tuned() -> tuple[Ensemble, Path]:
    out = folder("members")
    ensemble = Ensemble(families())
    ensemble.fit(held_out(), finetune=True, train=trained_on(), out=out, **QUICK)
    return ensemble, out


def said_by_hand(source: Path, rows: list[dict[str, str]]) -> np.ndarray:
    """float64 [rows, 2], negative and positive, from transformers alone."""
    logits = by_hand(source, [row["text"] for row in rows]).astype(np.float64)
    if logits.shape[1] == 1:
        return softmax(np.concatenate([np.zeros_like(logits), logits], axis=1))
    labels = json.loads((source / "config.json").read_text())["id2label"]
    return softmax(logits[:, [1, 0]] if labels["0"] == "positive" else logits)


def nll_by_hand(places: dict[str, dict[str, Path]], weights: dict[str, float], rows: list[dict[str, str]]) -> float:
    """The formula of the paper, in probabilities."""
    mixture = np.zeros((len(rows), 2))
    for family, members in places.items():
        mixture += weights[family] * np.mean([said_by_hand(place, rows) for place in members.values()], axis=0)
    truth = [("negative", "positive").index(row["label"]) for row in rows]
    return float(-np.log(mixture[np.arange(len(rows)), truth]).mean())


def places(out: Path) -> dict[str, dict[str, Path]]:
    return {family: {name: out / name for name in members} for family, members in families().items()}


def still(seed: int) -> Path:
    """A model without dropout."""
    return save_text_model("bert", seed, **_STILL)


def weights_of(out: Path) -> dict[str, bytes]:
    """The weights of each member below a folder."""
    return {path.parent.name: path.read_bytes() for path in sorted(out.rglob("*.safetensors"))}


class Linear(torch.nn.Module):
    """A model of one layer that is called, and answers, like one of transformers."""

    def __init__(self, logits: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, logits)

    def forward(self, x: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(logits=self.layer(x))


def points(count: int) -> TrainingRows:
    """Rows of three numbers, which `Linear` takes as they are."""
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(1)) / 4
    encoded = SimpleNamespace(lengths=[1] * count, most_rows=None, batch=lambda rows: {"x": x[list(rows)]})
    return TrainingRows([encoded], torch.arange(count) % 2)


def one_step(batch: list[int], parts: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Returns (the parameters after a step of plain gradient descent with rate 1, what they are by the mean loss of the batch)."""
    from accelerate import Accelerator

    hardware, rows = Hardware(), points(8)
    torch.manual_seed(0)
    mixture = MemberMixture([Linear(2), Linear(1)], [TURNED, ONE], ((0,), (1,)), [0, 0])
    parameters = list(mixture.parameters())
    gradients = torch.autograd.grad(mixture(*rows.batch(batch, hardware.device)).mean(), parameters)
    assert sum(gradient.square().sum() for gradient in gradients) < 1  # so that nothing is scaled down
    expected = [(value - gradient).detach() for value, gradient in zip(parameters, gradients, strict=True)]
    accelerator = Accelerator(gradient_accumulation_steps=parts, device_placement=False)
    model, optimizer = accelerator.prepare(mixture, torch.optim.SGD(parameters, lr=1.0))
    take_step(accelerator, model, optimizer, rows, batch, hardware)
    return [value.detach() for value in parameters], expected
