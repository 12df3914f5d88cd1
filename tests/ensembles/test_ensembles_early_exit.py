"""Early exit: the same decisions with fewer forward passes, and a word where it is not possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from voted import with_weights
from voting_models import keyword, save_text_model, shared, texts

from hf_soup.ensembles import Combination, FunctionMember
from hf_soup.ensembles.early_exit import decide_early, units_of

CLASSES = ("a", "b", "c")
FAMILIES = {"one": ("m1", "m2", "m3"), "two": ("m4",), "three": ("m5", "m6")}
MEMBERS = tuple(name for names in FAMILIES.values() for name in names)


class Recorded:
    """Answers that are known already."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.asked = np.zeros(values.shape[:2], bool)

    def of(self, names):
        return self.values[[MEMBERS.index(name) for name in names]]

    def ask(self, name, among):
        self.asked[MEMBERS.index(name)] |= among


@st.composite
def combinations(draw):
    seed = draw(st.integers(0, 10_000))
    generator = np.random.default_rng(seed)
    tiers = draw(st.sampled_from(["tiered", "flat"]))
    inputs = tuple(FAMILIES) if tiers == "tiered" else MEMBERS
    weights = generator.dirichlet(np.full(len(inputs), draw(st.sampled_from([0.2, 1.0, 50.0]))))
    by_class = None
    if draw(st.booleans()):
        table = generator.dirichlet(np.ones(len(inputs)), len(CLASSES)).T
        by_class = {name: tuple(row) for name, row in zip(inputs, table.tolist(), strict=True)}
    warm = draw(st.sampled_from([(), tuple(FAMILIES), MEMBERS]))
    return Combination(
        "per_class" if by_class else "learned",
        tiers,
        draw(st.sampled_from(["mean", "logit_mean"])),
        FAMILIES,
        CLASSES,
        dict(zip(inputs, weights.tolist(), strict=True)),
        class_weights=by_class,
        temperatures={name: float(generator.uniform(0.3, 3)) for name in warm},
    ), generator.dirichlet(np.full(3, 0.5), (6, 30))


@settings(max_examples=60, deadline=None)
@given(combinations())
def test_decisions_are_those_of_all_members(drawn):
    combination, values = drawn
    recorded = Recorded(values)
    units = units_of(combination)
    assert units is not None
    sums, _ = decide_early(combination, recorded, units)
    np.testing.assert_array_equal(sums.argmax(axis=1), combination.combine(values).argmax(axis=1))


def test_a_row_is_closed_no_sooner_than_the_others_could_no_longer_turn_it():
    families = {"one": ("m1",), "two": ("m2",)}
    combination = Combination("learned", "tiered", "mean", families, ("a", "b"), {"one": 0.6, "two": 0.4})
    values = np.array([[[0.84, 0.16], [0.83, 0.17]], [[0.0, 1.0], [0.0, 1.0]]])
    recorded = Recorded(values)
    recorded.of = lambda names: values[[("m1", "m2").index(name) for name in names]]
    recorded.ask = lambda name, among: recorded.asked.__setitem__(int(name == "m2"), among)
    sums, _still_open = decide_early(combination, recorded, units_of(combination))
    # 0.6 · 0.84 − 0.6 · 0.16 = 0.408 > 0.4, which is all that the second could give; with 0.83 it is 0.396.
    assert recorded.asked.tolist() == [[True, True], [False, True]]
    assert sums.argmax(axis=1).tolist() == [0, 1]


def ensemble(**options):
    families = {
        "rule": {"keyword": keyword},
        "bert": {"a": shared(save_text_model, "bert", 0), "b": shared(save_text_model, "bert", 1)},
    }
    return with_weights(families, {"rule": 0.7, "bert": 0.3}, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"temperatures": {"rule": 0.5, "bert": 2.0}}, {"tier1": "logit_mean"}],
    ids=["means", "family temperatures", "means of logits"],
)
def test_passes_are_counted_and_fewer(options):
    whole, early = ensemble(**options).predict(texts(60)), ensemble(**options).predict(texts(60), early_exit=True)
    np.testing.assert_array_equal(early.predicted, whole.predicted)
    assert early.forward_passes < whole.forward_passes == 180
    assert early.passes.tolist() == (~np.isnan(early.members[:, :, 0])).sum(axis=0).tolist()
    np.testing.assert_allclose(early.probabilities.sum(axis=1), 1)
    of_all = early.passes == 3
    np.testing.assert_allclose(early.probabilities[of_all], whole.probabilities[of_all], atol=1e-6)


def test_the_pipeline_can_exit_early_too():
    found = ensemble().pipeline(early_exit=True)(texts(20))
    assert [each["label"] for each in found] == ensemble().predict(texts(20)).labels


def test_stacking_says_that_it_is_not_possible():
    from hf_soup import Ensemble

    values = np.random.default_rng(0).dirichlet([1, 1], (2, 300))
    fitted = Ensemble.from_predictions(
        {"a": [values[0]], "b": [values[1]]},
        values[0].argmax(axis=1),
        classes=("negative", "positive"),
        members=("a1", "b1"),
    ).fit(method="stacking")
    models = Ensemble({"a": [FunctionMember(keyword, "a1")], "b": [FunctionMember(keyword, "b1")]})
    models.combination = fitted.combination
    found = models.predict(texts(10), early_exit=True)
    assert found.forward_passes == 20
    assert any("No early exit: with stacking" in warning for warning in found.warnings)
    np.testing.assert_array_equal(found.probabilities, models.predict(texts(10)).probabilities)


def test_a_member_that_fails_on_the_way_does_not_decide():
    from hf_soup import Ensemble

    def broken(examples):
        raise OSError("no disk")

    families = {
        "rule": {"keyword": keyword},
        "broken": {"broken": broken},
        "bert": {"a": shared(save_text_model, "bert", 0)},
    }
    weights = {"rule": 0.3, "broken": 0.4, "bert": 0.3}
    failing = with_weights(families, weights, on_missing="reweigh")
    early, whole = failing.predict(texts(), early_exit=True), failing.predict(texts())
    np.testing.assert_array_equal(early.predicted, whole.predicted)
    without = with_weights(
        {name: members for name, members in families.items() if name != "broken"}, {"rule": 0.5, "bert": 0.5}
    )
    np.testing.assert_allclose(whole.probabilities, without.predict(texts()).probabilities, atol=1e-9)
    assert isinstance(failing, Ensemble)
