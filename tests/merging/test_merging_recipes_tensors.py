"""Parameters that differ from tensor to tensor: which layer a tensor is in, what it gets, what soup.json says of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_soup.errors import InputError
from hf_soup.merging.layers import Layers, layer_count, layer_of
from hf_soup.merging.tensor_parameters import TensorParameters
from hf_soup.merging.tensor_values import FilterRule, FilterRules, Gradient, first_of, read_value, write_value
from hf_soup.methods import METHODS, merge_method

LINEAR, TIES, SLERP = METHODS["linear"], METHODS["ties"], METHODS["slerp"]
NAMES = [
    "model.embed_tokens.weight",
    *(f"model.layers.{i}.{part}.weight" for i in range(5) for part in ("self_attn.q_proj", "mlp.up_proj")),
    "lm_head.weight",
]


def weights(parameters: TensorParameters, part: str) -> list[float]:
    return [parameters.of(f"model.layers.{i}.{part}.weight")["weight"][0] for i in range(5)]


@pytest.mark.parametrize(
    ("tensor", "place"),
    [
        ("model.layers.7.mlp.experts.3.w1.weight", ("model.layers", 7)),
        ("bert.encoder.layer.11.output.dense.bias", ("bert.encoder.layer", 11)),
        ("transformer.h.0.ln_1.weight", ("transformer.h", 0)),
        ("h.3.attn.weight", ("h", 3)),
        ("blocks.2.norm1.weight", ("blocks", 2)),
        ("decoder.block.1.layer.2.layer_norm.weight", ("decoder.block", 1)),
        ("encoder.stages.3.layers.1.weight", ("encoder.stages", 3)),
        ("model.embed_tokens.weight", None),
        ("classifier.0.weight", None),
        ("model.layers.norm.weight", None),
    ],
)
def test_the_layer_is_the_first_number_after_a_list_of_layers(tensor, place):
    assert layer_of(tensor) == place


def test_each_stack_counts_its_own_layers():
    layers = Layers.of(["encoder.block.3.weight", "decoder.block.1.weight", "shared.weight"], layers=99)
    assert layers.counts == {"encoder.block": 4, "decoder.block": 2}
    assert layers.depth("encoder.block.1.weight") == Fraction(1, 3)
    assert layers.depth("decoder.block.1.weight") == 1
    assert layers.depth("shared.weight") == 0


def test_the_config_counts_where_a_checkpoint_holds_layers_beyond_the_model():
    layers = Layers.of([f"model.layers.{i}.weight" for i in range(5)], layers=4)
    assert [layers.depth(f"model.layers.{i}.weight") for i in range(5)] == [0, Fraction(1, 3), Fraction(2, 3), 1, 1]


def test_configs_name_the_number_of_layers_in_several_ways():
    assert layer_count({"num_hidden_layers": 12}) == 12
    assert layer_count({"n_layer": 6}) == 6
    assert layer_count({"text_config": {"num_hidden_layers": 3}, "num_hidden_layers": 5}) == 3
    assert layer_count({"model_type": "resnet"}) is None


def test_a_gradient_runs_over_the_layers_and_begins_outside_of_them():
    parameters = TensorParameters.bind(LINEAR, 2, {"weight": [Gradient((0, 1, 0.2)), 1.0]}, NAMES)
    assert weights(parameters, "mlp.up_proj") == pytest.approx([0, 0.5, 1, 0.6, 0.2])
    assert parameters.of("lm_head.weight") == {"weight": [0, 1], "normalize": True}
    assert parameters.of("model.embed_tokens.weight")["weight"] == [0, 1]
    assert not parameters.uniform


def test_a_gradient_of_booleans_steps():
    gradient = {"weight": 1, "normalize": Gradient((True, False, True))}
    parameters = TensorParameters.bind(LINEAR, 2, gradient, NAMES)
    found = [parameters.of(f"model.layers.{i}.mlp.up_proj.weight")["normalize"] for i in range(5)]
    assert found == [True, True, False, False, True]


def test_the_first_filter_that_fits_decides():
    rules = FilterRules(
        (
            FilterRule("layers.1.", 0.5),
            FilterRule("mlp", Gradient((0, 1))),
            FilterRule("MLP", 9),
            FilterRule(None, 0.25),
        )
    )
    parameters = TensorParameters.bind(LINEAR, 2, {"weight": {0: rules, None: 2}}, NAMES)
    assert weights(parameters, "mlp.up_proj") == [0, 0.5, 0.5, 0.75, 1]
    assert weights(parameters, "self_attn.q_proj") == [0.25, 0.5, 0.25, 0.25, 0.25]
    assert parameters.of("lm_head.weight")["weight"] == [0.25, 2]


def test_values_ask_one_another_in_turn():
    mine, common = FilterRules((FilterRule("mlp", 1),)), FilterRules((FilterRule("self_attn", 2), FilterRule("*", 3)))
    chained = first_of([mine, common, 4.0])
    assert chained == FilterRules((FilterRule("mlp", 1), FilterRule("self_attn", 2), FilterRule("*", 3)))
    assert first_of([0.5, mine]) == 0.5
    assert first_of([]) is None


def test_tensors_with_equal_values_share_one_dict():
    plain = TensorParameters.bind(LINEAR, 2, {"weight": [3, 1]}, NAMES)
    assert plain.uniform
    assert plain.of(NAMES[0]) is plain.of(NAMES[-1])
    rules = TensorParameters.bind(
        LINEAR, 2, {"weight": FilterRules((FilterRule("mlp", 1), FilterRule(None, 2)))}, NAMES
    )
    assert len({id(rules.of(name)) for name in NAMES}) == 2


def test_rules_that_come_to_the_same_are_uniform():
    parameters = TensorParameters.bind(LINEAR, 2, {"weight": [Gradient((2, 2)), 1]}, NAMES)
    assert parameters.uniform
    assert parameters.to_json() == {"weight": [2, 1], "normalize": True}


def test_soup_json_holds_the_plain_values_as_ever():
    given = {"weight": [3, 1], "normalize": False}
    document = TensorParameters.bind(LINEAR, 2, given, NAMES).to_json()
    assert document == LINEAR.bind(2, given)
    again = TensorParameters.from_json(LINEAR, 2, json.loads(json.dumps(document)), NAMES)
    assert again.of("lm_head.weight") == {"weight": [3, 1], "normalize": False}


scalars = st.floats(0.1, 2).map(lambda x: round(x, 3))
gradients = st.lists(scalars, min_size=1, max_size=7).map(lambda v: Gradient(tuple(v)))
rules = st.lists(
    st.builds(FilterRule, st.sampled_from(["mlp", "layers.2.", "head", "q_proj"]), scalars | gradients), max_size=3
).flatmap(lambda r: (scalars | gradients).map(lambda last: FilterRules((*r, FilterRule(None, last)))))


@given(
    st.lists(scalars | gradients | rules, min_size=3, max_size=3), st.permutations(range(3)), st.none() | st.just(4)
)
@settings(max_examples=100, deadline=None)
def test_soup_json_alone_gives_every_tensor_its_values_again(weight, order, layers):
    parameters = TensorParameters.bind(LINEAR, 3, {"weight": weight}, NAMES, layers).permuted(order)
    document = json.loads(json.dumps(parameters.to_json()))
    again = TensorParameters.from_json(LINEAR, 3, document, NAMES)
    assert again.uniform == parameters.uniform
    assert again.to_json() == parameters.to_json()
    original = TensorParameters.bind(LINEAR, 3, {"weight": weight}, NAMES, layers)
    for name in NAMES:
        assert again.of(name) == parameters.of(name)
        assert parameters.of(name)["weight"] == [original.of(name)["weight"][i] for i in order]


def test_values_of_the_whole_method_may_vary_too():
    parameters = TensorParameters.bind(
        SLERP, 2, {"t": FilterRules((FilterRule("mlp", 1), FilterRule("*", 0.5)))}, NAMES
    )
    assert parameters.of("lm_head.weight") == {"t": 0.5}
    document = parameters.to_json()
    assert document["by_tensor"]["parameters"] == {"t": [{"filter": "mlp", "value": 1}, {"value": 0.5}]}
    assert document["by_tensor"]["layers"] == {"model.layers": 5}


def test_every_problem_is_told_once_with_the_tensors_it_concerns():
    given = {
        "density": [Gradient((0.5, 1.5)), 0.5],
        "weight": [FilterRules((FilterRule("mlp", 1), FilterRule("self_attn", 2))), 1],
    }
    with pytest.raises(InputError) as error:
        TensorParameters.bind(TIES, 2, given, NAMES)
    first, *rest = error.value.problems
    assert first.startswith("weight[0]: no filter fits 'model.embed_tokens.weight', 'lm_head.weight'; add")
    assert all("density[0]" in problem and "layers." in problem for problem in rest)
    assert len(rest) == 2  # layers 3 and 4 lie above 1


def test_problems_of_all_tensors_are_told_without_naming_tensors():
    with pytest.raises(InputError) as error:
        TensorParameters.bind(LINEAR, 2, {"weight": [Gradient((0, 1))], "wieght": 1}, NAMES)
    assert len(error.value.problems) == 2
    assert not any("layers" in problem for problem in error.value.problems)


def test_values_that_only_one_tensor_cannot_have():
    with pytest.raises(InputError, match=r"cannot be normalised.*for 'model\.layers\.4"):
        TensorParameters.bind(LINEAR, 2, {"weight": [Gradient((1, 3)), -3]}, NAMES)


@pytest.mark.parametrize(
    "document",
    [
        {"by_tensor": 3},
        {"by_tensor": {"parameters": {}}},
        {"by_tensor": {"parameters": {"weight": [[]]}, "layers": {}}},
        {"by_tensor": {"parameters": {"weight": [1, 1]}, "layers": {"h": "x"}}},
    ],
)
def test_a_damaged_record_is_refused(document):
    with pytest.raises(InputError, match="by_tensor"):
        TensorParameters.from_json(LINEAR, 2, document, NAMES)


@pytest.mark.parametrize(
    "raw", [0.5, True, "word", [0, 1], [True, False], [{"filter": "mlp", "value": [0, 1]}, {"value": 2}]]
)
def test_values_are_written_as_they_are_read(raw):
    problems: list[str] = []
    assert write_value(read_value(raw, "x", problems)) == raw
    assert problems == []


def test_numbers_that_yaml_takes_for_words_are_numbers():
    assert read_value(["1e-3", 1], "x", []) == Gradient((0.001, 1))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "x: has no value"),
        ([], "x: the list is empty"),
        ([0.5, {"filter": "mlp", "value": 1}], "x[0]: is 0.5"),
        ([0.5, True], "x: mixes booleans and numbers"),
        ([0.5, None], "x[1]: has no value"),
        ([{"filtre": "mlp", "value": 1}], "x[0].filtre: is not known; did you mean 'filter'?"),
        ([{"filter": "mlp"}], "x[0]: has no 'value'"),
        ([{"filter": 3, "value": 1}], "x[0].filter: is 3"),
        ([{"value": [{"value": 1}]}], "x[0].value: holds rules itself"),
        ({"value": {}}, "x[0].value[0]: has no 'value'"),
    ],
)
def test_bad_values_are_named_by_their_place(raw, said):
    problems: list[str] = []
    assert read_value(raw, "x", problems) is None
    assert [problem for problem in problems if problem.startswith(said)]


def test_a_method_without_parameters_has_none_in_any_order():
    @merge_method(commutative=True)
    def plain(models: Sequence[torch.Tensor]) -> torch.Tensor:
        """Returns the first."""
        return models[0]

    try:
        parameters = TensorParameters.bind(METHODS["plain"], 2, {}, NAMES).permuted([1, 0])
    finally:
        del METHODS["plain"]
    assert parameters.uniform
    assert (parameters.of("lm_head.weight"), parameters.to_json()) == ({}, {})
