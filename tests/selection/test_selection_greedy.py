"""Recipe 1 against a slow, obvious loop and against the authors' own log."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.selection.greedy import greedy, random_order
from hf_soup.selection.select import replay

PAPER = Path(__file__).parents[3] / "shared" / "data" / "model-soups-paper"
score_lists = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=8)


def mean_of(scores):
    """A stand-in for evaluation: any function of the subset will do."""
    return lambda subset: sum(scores[i] * (1 + 0.1 * math.sin(i + len(subset))) for i in subset) / len(subset)


def recipe_1(scores, score_subset, maximise, strict):
    """The paper's pseudo code, word for word."""
    order = sorted(range(len(scores)), key=lambda i: scores[i], reverse=maximise)
    ingredients, best = [], None
    for i in order:
        value = scores[i] if not ingredients else score_subset((*ingredients, i))
        better = best is None or (value > best if maximise else value < best)
        if better or (value == best and not strict):
            ingredients.append(i)
            best = value
    return tuple(ingredients), best


@given(score_lists, st.booleans(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_greedy_is_recipe_1(scores, maximise, strict):
    if not maximise:
        scores = [-s for s in scores]  # sorted(reverse=) keeps ties in order in both directions
    path = greedy(scores, mean_of(scores), maximise=maximise, strict=strict)
    assert (path.chosen, path.score) == recipe_1(scores, mean_of(scores), maximise, strict)


@given(score_lists)
@settings(max_examples=100, deadline=None)
def test_the_soup_is_never_worse_than_the_best_single_on_held_out_data(scores):
    assert greedy(scores, mean_of(scores)).score >= max(scores)


@given(score_lists, st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_published_log_replays_to_the_same_path(scores, strict):
    path = greedy(scores, mean_of(scores), strict=strict)
    published = {step.subset: step.score for step in path.steps}
    assert greedy(scores, published.__getitem__, strict=strict) == path


def test_equal_score_is_accepted_unless_strict():
    assert greedy([0.5, 0.5], lambda subset: 0.5).chosen == (0, 1)
    assert greedy([0.5, 0.5], lambda subset: 0.5, strict=True).chosen == (0,)


def test_a_loss_is_minimised():
    assert greedy([0.3, 0.2], lambda subset: 0.1, maximise=False).chosen == (1, 0)


def test_a_candidate_without_a_score_is_rejected_and_none_at_all_is_an_error():
    assert greedy([0.5, 0.4], lambda subset: math.nan).chosen == (0,)
    assert greedy([math.nan, 0.4], lambda subset: 0.5).chosen == (1, 0)
    with pytest.raises(InputError, match="at least one model"):
        greedy([math.nan], lambda subset: 0.0)


def test_a_log_with_a_model_that_gave_nan_replays():
    document = {
        "scores": [0.5, None],
        "steps": [{"subset": [0], "score": 0.5}, {"subset": [0, 1], "score": None}],
        "rule": ">=",
        "order": "score",
        "seed": None,
        "maximise": True,
    }
    assert replay(document).chosen == (0,)


def test_a_random_order_depends_on_the_seed_alone():
    assert random_order(50, 3) == random_order(50, 3)
    assert random_order(50, 3) != random_order(50, 4)
    assert sorted(random_order(50, 3)) == list(range(50))


@pytest.mark.skipif(not PAPER.is_dir(), reason="the authors' evaluation logs are not beside this checkout")
def test_the_authors_log_starts_with_the_models_the_paper_names():
    rows = [json.loads(line) for line in (PAPER / "individual_model_results.jsonl").read_text().splitlines()]
    held_out = [row["ImageNet2p"] for row in rows]
    final = json.loads((PAPER / "greedy_soup_results.jsonl").read_text())["ImageNet2p"]
    tried = []

    def five_models_help(subset):
        tried.append(subset)
        return final if len(subset) <= 5 else final - 0.001

    path = greedy(held_out, five_models_help)
    names = [rows[i]["model_name"] for i in path.chosen]
    assert names[0] == "model_43"
    assert len(names) == 5
    assert path.score == final > max(held_out)
    assert len(tried) == 71
