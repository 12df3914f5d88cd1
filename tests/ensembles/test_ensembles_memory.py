"""How many bytes of models are there at once: what torch holds is counted, whenever a model has been made, and whenever one runs."""

from __future__ import annotations

import gc

import pytest
import torch
from voted import with_weights
from voting_models import save_text_model, shared, texts

from hf_soup.evaluation.skeleton import Skeleton

ROWS = {"small": 400_000, "middle": 500_000, "relative": 500_000, "large": 600_000}
"""Of a table that no text looks up, 64 bytes a row: models of 26 to 38 MB, two of them of one layout."""
REST = 4_000_000
"""Bytes of everything else: the layers, and the rows on their way."""


def model(name: str):
    return shared(_save, name)


def _save(name: str):
    return save_text_model("bert", list(ROWS).index(name), name=name, num_hidden_layers=1, type_vocab_size=ROWS[name])


def size(name: str) -> int:
    return (model(name) / "model.safetensors").stat().st_size


def held() -> int:
    """Bytes of all tensors in this process; what shares memory counts once."""
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum({each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}.values())


def most_held(monkeypatch: pytest.MonkeyPatch, memory: int | str, times: int = 1) -> int:
    """Bytes beyond those that are there now, at most, while the four predict."""
    for name in ROWS:
        model(name)
    gc.collect()
    before, seen = held(), []
    load = Skeleton.load

    def seeing(*arguments):
        seen.append(held())
        return load(*arguments)

    monkeypatch.setattr(Skeleton, "load", seeing)
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, _: seen.append(held()) if type(module).__name__ == "BertForSequenceClassification" else None
    )
    try:
        ensemble = with_weights({"bert": {name: model(name) for name in ROWS}}, {"bert": 1.0}, memory=memory)
        for _ in range(times):
            ensemble.predict(texts(5))
    finally:
        hook.remove()
    assert len(seen) >= 2 * len(ROWS)
    return max(seen) - before


def test_one_at_a_time_is_the_largest_one_and_never_two(monkeypatch: pytest.MonkeyPatch) -> None:
    found = most_held(monkeypatch, 0, times=2)
    assert size("large") - REST < found <= size("large") + REST


def test_within_a_budget_is_what_the_budget_says(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = size("small") + size("large") + REST
    assert size("large") + REST < most_held(monkeypatch, budget) <= budget + REST


def test_all_together_are_seen_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert most_held(monkeypatch, "1GiB") > sum(map(size, ROWS)) - REST
