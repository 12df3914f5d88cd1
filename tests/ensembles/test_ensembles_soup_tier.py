"""Tier 1 in weight space: one forward pass for a family, and the very model that a soup would be."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from tiny_models import fine_tune
from voting_models import by_hand, folder, keyword, permuted, rows, save_text_model, shared, softmax, texts

from hf_soup import Ensemble, HeldOut, Soup
from hf_soup.errors import InputError

TEXT = "text-classification"


@cache
def relative(seed: int):
    return fine_tune(folder(f"run-{seed}"), seed, steps=20)


@pytest.fixture(scope="module")
def relatives():
    return [relative(seed) for seed in range(3)]


def test_a_family_is_the_model_that_a_soup_of_it_is(relatives, tmp_path):
    mini = shared(save_text_model, "distilbert", 5)
    ensemble = Ensemble({"bert": relatives, "mini": [mini]}, tier1="soup")
    ensemble.fit(HeldOut(rows(200, seed=2), TEXT), method="equal")
    assert ensemble.combination.tier1 == "soup"
    assert ensemble.combination.families == {"bert": ("bert",), "mini": ("model",)}
    found = ensemble.predict(texts())
    merged = Soup(relatives).merge("linear", out=tmp_path / "soup")
    np.testing.assert_allclose(found.members[0], softmax(by_hand(merged.path, texts())), atol=1e-6)
    assert found.forward_passes == 80
    assert [member.name for member in ensemble.opened().members] == ["run-0", "run-1", "run-2", "model"]


def test_nine_forward_passes_become_three(relatives):
    families = {f"family {number}": relatives for number in range(3)}
    passes = {}
    for tier1 in ("mean", "soup"):
        ensemble = Ensemble(families, tier1=tier1).fit(HeldOut(rows(), TEXT), method="equal")
        passes[tier1] = ensemble.predict(texts()).forward_passes
    assert passes == {"mean": 9 * 40, "soup": 3 * 40}


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        (lambda: [shared(save_text_model, "distilbert", 5)], "architecture differs"),
        (lambda: [keyword], "keyword has no weights"),
        (lambda: [permuted(relative(0), "turned")], "label orders differ"),
    ],
    ids=["another architecture", "a function", "another order of classes"],
)
def test_what_cannot_be_souped_is_refused_with_the_way_out(relatives, others, problem):
    ensemble = Ensemble({"bert": [relatives[1], *others()]}, tier1="soup")
    with pytest.raises(InputError, match=f"(?s)The family 'bert' cannot be souped.*{problem}.*tier1='mean'"):
        _ = ensemble.voters


def test_strangers_are_refused():
    strangers = [shared(save_text_model, "bert", seed) for seed in (0, 1)]
    with pytest.raises(InputError, match="do not come from one pre-trained model") as told:
        _ = Ensemble({"bert": strangers}, tier1="soup").voters
    assert "--force" not in str(told.value)
    assert "tier1='mean'" in str(told.value)
