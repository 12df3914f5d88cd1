"""Greedy selection over adapters of one base: the base stays in memory, and what is scored is still what is published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import save_adapter
from tiny_models import fine_tune, sentences, tokenizer

from hf_soup.checkpoints import AdapterCheckpoint, open_checkpoint
from hf_soup.evaluation import Evaluator, HeldOut, PredictionCache, Skeleton
from hf_soup.merging import make_plan, open_ingredients
from hf_soup.merging.materialize import materialized
from hf_soup.merging.virtual import VirtualCheckpoint
from hf_soup.selection import select_greedy

pytest.importorskip("peft")

AUTO = "AutoModelForSequenceClassification"
TASK = "text-classification"
ADAPTED = {f"bert.encoder.layer.{n}.attention.self.query.weight": 32 * 32 for n in (0, 1)}
ADAPTED |= {"classifier.weight": 2 * 32, "classifier.bias": 2}
"""What the adapters change: their elements. The head is trained and saved as a whole."""


class Models:
    """A base, four adapters of its queries, and a full fine-tune of it."""

    def __init__(self, root: Path) -> None:
        self.base = fine_tune(root / "base", 0, steps=30)
        settings = {"r": 2, "target_modules": ["query"], "task_type": "SEQ_CLS"}
        self.adapters = [
            save_adapter(root / f"run-{seed}", self.base, AUTO, seed=seed, size=0.1, **settings) for seed in range(4)
        ]
        self.full = root / "full"
        self.full.mkdir()
        for path in self.base.iterdir():
            (self.full / path.name).write_bytes(path.read_bytes())
        alter(self.full, 0.02)


def alter(folder: Path, size: float) -> None:
    """Adds a little noise to every tensor of a folder's model."""
    generator = torch.Generator().manual_seed(9)
    tensors = load_file(folder / "model.safetensors")
    noisy = {name: x + size * torch.randn(x.shape, generator=generator) for name, x in tensors.items()}
    save_file(noisy, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("adapters"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Elements of each tensor that were asked for, of whatever is copied into the model in memory."""
    counts: dict[str, int] = {}
    for kind in (AdapterCheckpoint, VirtualCheckpoint):

        def counted(self: Any, name: str, start: int, stop: int, out: Any = None, _whole: Any = kind.read_span) -> Any:
            counts[name] = counts.get(name, 0) + stop - start
            return _whole(self, name, start, stop, out)

        monkeypatch.setattr(kind, "read_span", counted)
    return counts


@pytest.fixture
def skeleton(models: Models) -> Skeleton:
    return Skeleton(open_checkpoint(models.base), AUTO, torch.device("cpu"))


def logits_of(model: Any) -> torch.Tensor:
    inputs = tokenizer()([row["text"] for row in sentences(6, seed=3)], padding=True, return_tensors="pt")
    with torch.inference_mode():
        return model(**inputs).logits


def logits_of_folder(folder: Path) -> torch.Tensor:
    from transformers import AutoModelForSequenceClassification

    return logits_of(AutoModelForSequenceClassification.from_pretrained(folder))


def same_as_written(model: Any, checkpoint: Any) -> bool:
    with materialized(checkpoint) as folder:
        return torch.equal(logits_of(model), logits_of_folder(folder))


def test_of_the_second_adapter_only_the_adapted_modules_are_read(models, skeleton, read):
    ingredients = open_ingredients(models.adapters)
    skeleton.load(ingredients.models[0])
    assert len(read) == len(ingredients.models[0].names())
    read.clear()
    model = skeleton.load(ingredients.models[1])
    assert read == ADAPTED
    assert same_as_written(model, ingredients.models[1])


def test_a_soup_of_adapters_shares_the_base_with_them(models, skeleton, read):
    ingredients = open_ingredients(models.adapters)
    skeleton.load(ingredients.models[0])
    for subset in ((0, 1), (0, 1, 2), (1, 2, 3)):
        candidate = make_plan(ingredients.subset(subset), checks=False).virtual()
        read.clear()
        model = skeleton.load(candidate)
        passes = 1 + len(subset)  # the soup's tensors, made of those of its models
        assert read == {name: passes * numel for name, numel in ADAPTED.items()}
        assert same_as_written(model, candidate)


def test_what_the_method_does_not_keep_is_copied_as_well(models, skeleton, read):
    ingredients = open_ingredients(models.adapters)
    skeleton.load(ingredients.models[0])
    louder = make_plan(ingredients.subset((0, 1)), "linear", {"weight": [1, 1], "normalize": False}, checks=False)
    read.clear()
    model = skeleton.load(louder.virtual())
    assert set(read) == set(ingredients.models[0].names())
    assert same_as_written(model, louder.virtual())


def test_greedy_over_adapters_and_a_full_model_scores_what_from_pretrained_loads(models, tmp_path, monkeypatch, read):
    ingredients = open_ingredients([*models.adapters, models.full], models.base)
    loads: list[tuple[Any, torch.Tensor, set[str]]] = []
    load = Skeleton.load

    def watched(self: Skeleton, checkpoint: Any) -> Any:
        read.clear()
        model = load(self, checkpoint)
        loads.append((checkpoint, logits_of(model), set(read)))
        return model

    monkeypatch.setattr(Skeleton, "load", watched)
    evaluator = Evaluator(HeldOut(sentences(60, seed=5), TASK), cache=PredictionCache(tmp_path / "cache"))
    selection = select_greedy(
        ingredients, evaluator, lambda subset: make_plan(ingredients.subset(subset), checks=False)
    )
    assert len(loads) == 5 + 4  # every model, and every step after the first
    assert len(selection.path.steps) == 5
    for checkpoint, logits, _ in loads:
        with materialized(checkpoint) as folder:
            assert torch.equal(logits, logits_of_folder(folder)), checkpoint.label
    assert [names for _, _, names in loads[1:4]] == [set(ADAPTED)] * 3


def test_adapters_after_a_full_model_bring_the_base_back(models, skeleton):
    ingredients = open_ingredients([models.adapters[0], models.full, models.adapters[1]])
    for model in (*ingredients.models, ingredients.models[0]):
        assert same_as_written(skeleton.load(model), model)
    mixed = make_plan(ingredients, checks=False).virtual()
    assert same_as_written(skeleton.load(mixed), mixed)
    assert same_as_written(skeleton.load(ingredients.models[2]), ingredients.models[2])


def test_a_load_that_failed_leaves_nothing_that_is_relied_on(models, skeleton, monkeypatch):
    first, second = open_ingredients(models.adapters[:2]).models
    skeleton.load(first)
    last = max(ADAPTED)

    def fails(self: Any, name: str, start: int, stop: int, out: Any = None) -> Any:
        if name == last:
            raise OSError("the disk is gone")
        return read_span(self, name, start, stop, out)

    read_span = AdapterCheckpoint.read_span
    with monkeypatch.context() as patch:
        patch.setattr(AdapterCheckpoint, "read_span", fails)
        with pytest.raises(OSError, match="the disk is gone"):
            skeleton.load(second)
    assert same_as_written(skeleton.load(first), first)


def test_a_base_that_was_changed_on_the_disk_is_read_again(models, tmp_path, read):
    base = tmp_path / "base"
    base.mkdir()
    for path in models.base.iterdir():
        (base / path.name).write_bytes(path.read_bytes())
    skeleton = Skeleton(open_checkpoint(base), AUTO, torch.device("cpu"))
    before = open_ingredients(models.adapters[:1], base).models[0]
    skeleton.load(before)
    alter(base, 0.02)
    read.clear()
    after = open_ingredients(models.adapters[:1], base).models[0]
    model = skeleton.load(after)
    assert set(read) == set(after.names())
    assert same_as_written(model, after)


def test_a_function_may_do_with_the_model_what_it_likes(models, tmp_path):
    def judge(model: Any) -> float:
        total = float(sum(parameter.double().abs().sum() for parameter in model.parameters()))
        for parameter in model.parameters():
            parameter.data.zero_()
        return total

    ingredients = open_ingredients(models.adapters[:3])
    candidates = [*ingredients.models, make_plan(ingredients, checks=False).virtual()]
    evaluator = Evaluator(HeldOut(judge, task=TASK), cache=PredictionCache(tmp_path))
    for candidate in candidates:
        expected = sum(candidate.read(name).double().abs().sum() for name in candidate.names())
        assert evaluator.score(candidate) == pytest.approx(float(expected))


def test_a_model_that_a_function_has_cast_is_made_anew_and_then_shared_again(models, skeleton, read):
    first, second, third, full = open_ingredients([*models.adapters[:3], models.full]).models
    skeleton.load(first).half()
    for model in (full, second, third):
        assert same_as_written(skeleton.load(model), model)
    read.clear()
    model = skeleton.load(first)
    assert read == ADAPTED
    assert same_as_written(model, first)
