"""A mergekit file in our terms: its defaults, its precedence, what becomes of its base model, and what is refused."""

from __future__ import annotations

import pytest
import yaml

from hf_soup.errors import InputError
from hf_soup.merging.read_request import read_request
from hf_soup.merging.tensor_parameters import TensorParameters
from hf_soup.merging.tensor_values import FilterRule, FilterRules, Gradient
from hf_soup.methods import METHODS

A, B, C = {"model": "a/a"}, {"model": "b/b"}, {"model": "c/c"}


def weighted(model, weight, **others):
    return model | {"parameters": {"weight": weight, **others}}


def request_of(tmp_path, **document):
    path = tmp_path / "mergekit.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return read_request(path)


def problems_of(tmp_path, **document) -> list[str]:
    with pytest.raises(InputError) as error:
        request_of(tmp_path, **document)
    start = f"{tmp_path / 'mergekit.yml'}: "
    assert all(problem.startswith(start) for problem in error.value.problems)
    return [problem.removeprefix(start) for problem in error.value.problems]


TASK = {"models": [weighted(A, 0.5), weighted(B, 2)], "base_model": "c/c"}


@pytest.mark.parametrize(
    ("document", "parameters"),
    [
        (
            {"merge_method": "linear", "models": [weighted(A, 3), weighted(B, 1)]},
            {"weight": [3, 1], "normalize": True},
        ),
        ({"merge_method": "slerp", "models": [A, B], "base_model": "a/a", "parameters": {"t": 0.3}}, {"t": 0.3}),
        ({"merge_method": "task_arithmetic", **TASK}, {"weight": [0.5, 2], "scale": 1.0, "normalize": False}),
        (
            {"merge_method": "ties", **TASK},
            {"weight": [0.5, 2], "density": 1.0, "scale": 1.0, "normalize": True},
        ),
        (
            {"merge_method": "dare_linear", **TASK},
            {"weight": [0.5, 2], "density": 1.0, "scale": 1.0, "normalize": False, "rescale": True},
        ),
        (
            {"merge_method": "dare_ties", **TASK},
            {"weight": [0.5, 2], "density": 1.0, "scale": 1.0, "normalize": False, "rescale": True},
        ),
        ({"merge_method": "model_stock", "models": [A, B], "base_model": "c/c"}, {"beyond_base": True}),
    ],
)
def test_defaults_are_those_of_mergekit(tmp_path, document, parameters):
    request = request_of(tmp_path, **document)
    assert request.method == document["merge_method"]
    assert request.parameters == parameters
    assert set(METHODS[request.method].bind(2, dict(request.parameters))) >= set(parameters)
    needs_base = METHODS[request.method].needs_base
    assert request.soup_arguments == {"models": ["a/a", "b/b"], "base": "c/c" if needs_base else None}
    assert bool(request.warnings) == request.method.startswith("dare")


def test_lambda_is_our_scale(tmp_path):
    request = request_of(tmp_path, merge_method="ties", **TASK, parameters={"lambda": 0.5, "density": 0.3})
    assert request.parameters["scale"] == 0.5
    assert request.parameters["density"] == 0.3


def test_the_base_of_task_vectors_is_no_model_even_where_it_is_listed(tmp_path):
    models = [weighted(C, 9), weighted(A, 1), weighted(B, 1)]
    request = request_of(tmp_path, merge_method="ties", models=models, base_model="c/c")
    assert request.models == ("a/a", "b/b")
    assert "models[0].parameters: has no effect" in request.warnings[0]


def test_the_base_of_a_linear_merge_is_one_of_the_models(tmp_path):
    request = request_of(tmp_path, merge_method="linear", models=[A, B], base_model="c/c", parameters={"weight": 1})
    assert (request.models, request.base) == (("c/c", "a/a", "b/b"), None)
    assert request.parameters["weight"] == 1
    assert problems_of(tmp_path, merge_method="linear", models=[weighted(A, 1)], base_model="c/c") == [
        "base_model: 'c/c' has no weight, and mergekit has no default for it."
    ]
    request = request_of(tmp_path, merge_method="linear", models=[weighted(A, 1), weighted(B, 2)], base_model="b/b")
    assert request.models == ("b/b", "a/a")
    assert request.parameters["weight"] == [2, 1]


@pytest.mark.parametrize("models", [[A, B], [B, A], [B]])
def test_slerp_goes_from_the_base_to_the_other(tmp_path, models):
    request = request_of(tmp_path, merge_method="slerp", models=models, base_model="a/a", parameters={"t": [0, 1]})
    assert request.models == ("a/a", "b/b")
    assert request.parameters == {"t": Gradient((0, 1))}


def test_parameters_of_a_model_come_before_those_of_all(tmp_path):
    mine = [{"filter": "self_attn", "value": [0, 1]}]
    request = request_of(
        tmp_path,
        merge_method="linear",
        models=[weighted(A, mine), B],
        parameters={"weight": [{"filter": "mlp", "value": 0.5}, {"value": 0.25}], "normalize": False},
    )
    rest = (FilterRule("mlp", 0.5), FilterRule(None, 0.25))
    assert request.parameters["weight"] == [
        FilterRules((FilterRule("self_attn", Gradient((0, 1))), *rest)),
        FilterRules(rest),
    ]


def test_parameters_of_a_slice_come_before_those_of_all(tmp_path):
    sources = [weighted(A, 2) | {"layer_range": [0, 5]}, B | {"layer_range": [0, 5]}]
    slices = [{"sources": sources, "parameters": {"weight": 3, "normalize": False}}]
    request = request_of(tmp_path, merge_method="linear", slices=slices, parameters={"weight": 100})
    assert request.parameters == {"weight": [2, 3], "normalize": False}
    assert request.layers == 5


def test_values_for_each_tensor_are_those_of_mergekit(tmp_path):
    """What mergekit 0.1.5 made of this file with models of ones and zeros: five layers, embeddings, norm and head."""
    weight = [{"filter": "self_attn", "value": 0.25}, {"filter": "mlp", "value": [0, 1]}, {"value": 0.5}]
    request = request_of(
        tmp_path,
        merge_method="linear",
        models=[weighted(A, weight), weighted(B, [0.5, 1, 0.5, 3])],
        parameters={"normalize": False},
    )
    names = [f"model.layers.{i}.{part}.weight" for i in range(5) for part in ("self_attn.q_proj", "mlp.up_proj")]
    names += ["model.embed_tokens.weight", "model.layers.3.input_layernorm.weight"]
    bound = TensorParameters.bind(METHODS["linear"], 2, request.parameters, names, 5)
    assert [bound.of(name)["weight"][0] for name in names[1:10:2]] == [0, 0.25, 0.5, 0.75, 1]
    assert [bound.of(name)["weight"][0] for name in names[0:10:2]] == [0.25] * 5
    assert [bound.of(name)["weight"][0] for name in names[10:]] == [0.5, 0.5]
    assert [bound.of(name)["weight"][1] for name in names[1:10:2]] == pytest.approx([0.5, 0.875, 0.75, 1.125, 3])
    assert bound.of("model.embed_tokens.weight")["weight"][1] == 0.5


@pytest.mark.parametrize(
    ("keys", "dtype"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float32", "out_dtype": "torch.float16"}, "float16"),
        ({"out_dtype": "bfloat16"}, "bfloat16"),
    ],
)
def test_what_is_written_decides_about_the_dtype(tmp_path, keys, dtype):
    request = request_of(tmp_path, merge_method="linear", models=[A, B], parameters={"weight": 1}, **keys)
    assert request.options == {"dtype": dtype}


@pytest.mark.parametrize(
    "keys", [{"tokenizer_source": "base"}, {"tokenizer_source": "c/c"}, {"tokenizer": {"source": "base"}}]
)
def test_the_tokenizer_of_the_base_is_what_is_copied(tmp_path, keys):
    assert request_of(tmp_path, merge_method="ties", **TASK, **keys).models == ("a/a", "b/b")


def test_what_has_no_effect_is_warned_of(tmp_path):
    models = [weighted(A, 1, density=0.5, normalize=False), weighted(B, 2)]
    parameters = {"int8_mask": True, "rescale": True, "normalize": True}
    request = request_of(tmp_path, merge_method="linear", models=models, parameters=parameters, name="mine")
    assert request.parameters == {"weight": [1, 2], "normalize": True}
    keys = [
        "parameters.int8_mask",
        "parameters.rescale",
        "models[0].parameters.density",
        "models[0].parameters.normalize",
        "name",
    ]
    assert [warning.split(": ")[1] for warning in request.warnings] == keys


def test_every_problem_is_told_at_once(tmp_path):
    found = problems_of(
        tmp_path,
        merge_method="ties",
        models=[{"model": "a/a", "paramters": {}}, {"parameters": {}}],
        dtyp="float16",
        chat_template="auto",
    )
    assert found == [
        "chat_template: hf-soup copies the chat template as it is; leave this out, and set the template afterwards.",
        "models[0].paramters: is not known; did you mean 'parameters'?",
        "models[1].model: is missing.",
        "dtyp: is not known; did you mean 'dtype'?",
    ]
    found = problems_of(
        tmp_path,
        merge_method="ties",
        models=[weighted(A, 1, density=1.5, dencity=1), B, A],
        parameters={"lamda": 1, "rescale": True, "normalize": []},
        tokenizer_source="union",
        dtype="auto",
    )
    assert found == [
        "models[0].model: 'a/a' stands there twice; name it once and give it a weight.",
        "models[2].model: 'a/a' stands there twice; name it once and give it a weight.",
        "parameters.lamda: is not known; did you mean 'lambda'?",
        "parameters.rescale: is True; hf-soup's ties knows false only.",
        "parameters.normalize: the list is empty; give at least one value.",
        "models[0].parameters.density = 1.5: input should be less than or equal to 1.",
        "models[0].parameters.dencity: is not known; did you mean 'density'?",
        "base_model: is missing; merge_method ties needs one.",
        "tokenizer_source: is 'union'; hf-soup copies the tokenizer of 'a/a' as it is and makes no other.",
        "models[1]: 'b/b' has no weight, and mergekit has no default for it.",
        "models[2]: 'a/a' has no weight, and mergekit has no default for it.",
        "dtype: is 'auto'; write one of float32, bfloat16, float16, float64.",
    ]


SOURCES = [A | {"layer_range": [0, 5]}, B | {"layer_range": [0, 5]}]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"merge_method": "passthrough", "models": [A]}, "merge_method: is 'passthrough'; of mergekit's methods"),
        ({"merge_method": "linear"}, "models: give either"),
        ({"merge_method": "linear", "models": [A, B], "slices": [{"sources": SOURCES}]}, "models: give either"),
        ({"merge_method": "linear", "slices": [{"sources": SOURCES}] * 2}, "slices: there are 2"),
        (
            {"merge_method": "linear", "slices": [{"sources": [SOURCES[0], B | {"layer_range": [1, 6]}]}]},
            "slices[0]: the layer_range is [0, 5], [1, 6]",
        ),
        ({"merge_method": "linear", "slices": [{"sources": [A]}]}, "slices[0].sources[0].layer_range: is missing"),
        (
            {"merge_method": "linear", "slices": [{"sources": SOURCES}], "base_model": "c/c"},
            "is not among the sources",
        ),
        ({"merge_method": "slerp", "models": [A, B], "base_model": "c/c"}, "takes exactly 2 with the base_model"),
        ({"merge_method": "slerp", "models": [A, B], "base_model": "a/a"}, "parameters.t: is missing"),
        ({"merge_method": "slerp", "models": [A, B]}, "base_model: is missing"),
        ({"merge_method": "ties", "models": [C], "base_model": "c/c"}, "holds nothing but the base_model"),
        ({"merge_method": "linear", "models": [weighted(A, None), B]}, "models[0].parameters.weight: has no value"),
        ({"merge_method": "linear", "models": [A, {"model": "b/b+"}]}, "as model+adapter it cannot be divided so"),
        ({"merge_method": "linear", "models": [A, {"model": {"path": "x"}}]}, "models[1].model: is {'path': 'x'}"),
        (
            {"merge_method": "model_stock", **TASK, "parameters": {"filter_wise": True}},
            "hf-soup's model_stock knows false only",
        ),
        (
            {"merge_method": "linear", "models": [A, B], "tokenizer": {"source": "base", "tokens": {"x": {}}}},
            "tokenizer.tokens",
        ),
        ({"merge_method": "linear", "models": [A, B], "tokenizer_source": "base"}, "tokenizer_source: is 'base'"),
        (
            {"merge_method": "linear", "models": [A, B], "modules": {"x": 1}},
            "modules: hf-soup merges whole models only",
        ),
    ],
)
def test_what_cannot_be_followed_is_named(tmp_path, document, said):
    assert [problem for problem in problems_of(tmp_path, **document) if said in problem]
