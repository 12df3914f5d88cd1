"""Our recipe: what it can say, that it is written as it is read, and what is told about a wrong one."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_checkpoints import write_relatives
from tiny_models import read_json

from hf_soup.cli import main
from hf_soup.errors import InputError
from hf_soup.merging.read_request import read_request
from hf_soup.merging.recipe import Recipe
from hf_soup.merging.tensor_values import FilterRule, FilterRules, Gradient

FULL = """
hf_soup: 1
method: ties
base: me/base
models:
  - me/run-1
  - model: me/run-2@v1.0
    weight: 2
    density: [0.3, 0.7]
  - model: ./run-3
    density: 0.9
parameters:
  density:
    - {filter: mlp, value: 0.5}
    - {value: 0.2}
  normalize: true
dtype: bfloat16
shard_size: 2GB
memory: 1GiB
device: cpu
license: mit
"""


def written(tmp_path, text, name="soup.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path) -> list[str]:
    with pytest.raises(InputError) as error:
        read_request(path)
    assert all(str(path) in problem for problem in error.value.problems)
    return [problem.replace(f"{path}: ", "") for problem in error.value.problems]


def test_a_recipe_says_all_that_a_merge_takes(tmp_path):
    request = read_request(written(tmp_path, FULL))
    rules = FilterRules((FilterRule("mlp", 0.5), FilterRule(None, 0.2)))
    assert request.soup_arguments == {"models": ["me/run-1", "me/run-2@v1.0", "./run-3"], "base": "me/base"}
    assert request.merge_arguments == {
        "method": "ties",
        "dtype": "bfloat16",
        "shard_size": "2GB",
        "memory": "1GiB",
        "device": "cpu",
        "license": "mit",
        "weight": {1: 2},
        "density": [rules, Gradient((0.3, 0.7)), 0.9],
        "normalize": True,
    }
    assert "license" not in request.plan_arguments


@pytest.mark.parametrize("text", [FULL, "hf_soup: 1\nmodels: [a/b, c/d]\n"])
def test_a_recipe_is_written_as_it_is_read(tmp_path, text):
    recipe = Recipe.load(written(tmp_path, text))
    again = Recipe.load(written(tmp_path, recipe.dump(), "again.yaml"))
    assert again == recipe
    assert again.dump() == recipe.dump()


def test_what_is_not_said_is_left_to_the_merge(tmp_path):
    request = read_request(written(tmp_path, "hf_soup: 1\nmodels: [a/b, c/d]\n"))
    assert request.merge_arguments == {"method": "linear"}
    assert request.layers is None


def test_every_problem_of_the_notation_is_told_at_once(tmp_path):
    text = "hf_soup: 2\nmetod: ties\nmodels: [a/b, 3, {weight: 1}]\nparameters: 7\nshardsize: 5GB\n"
    assert problems_of(written(tmp_path, text)) == [
        "hf_soup: is 2; input should be 1.",
        "models[1]: is 3; write a model's name, or a mapping with 'model' and its parameters.",
        "models[2].model: is missing.",
        "parameters: is 7; input should be a valid dictionary.",
        "metod: is not known; did you mean 'method'?",
        "shardsize: is not known; did you mean 'shard_size'?",
    ]


def test_every_problem_of_the_parameters_is_told_at_once(tmp_path):
    text = """
hf_soup: 1
method: ties
models:
  - {model: a/b, densty: 0.5, weight: heavy}
  - {model: c/d, normalize: false, density: [0.5, 1.5]}
parameters: {wieght: 1, scale: {filter: x}}
"""
    assert problems_of(written(tmp_path, text)) == [
        "parameters.wieght: is not known; did you mean 'weight'?",
        "parameters.scale[0]: has no 'value'.",
        "models[0].densty: is not known; did you mean 'density'?",
        "models[0].weight = 'heavy': input should be a valid number, unable to parse string as a number.",
        "models[1].normalize: is one value for all models; write it under 'parameters'.",
        "models[1].density = [0.5, 1.5]: input should be less than or equal to 1.",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hf_soup: 1\nmodels: []\n", "models: is []"),
        ("hf_soup: 1\n", "models: is missing"),
        ("hf_soup: 1\nmethod: tise\nmodels: [a/b, c/d]\n", "There is no merge method 'tise'"),
        ("models: [a/b, c/d]\n", "is no recipe: it has neither 'hf_soup: 1'"),
        ("- a\n- b\n", "is no recipe"),
        ("", "is no recipe"),
        ("hf_soup: 1\nmodels: [a/b\n", "is not YAML"),
        ("hf_soup: 1\nmodels: [a/b, c/d]\nmodels: [e/f]\n", "line 3: is not YAML: 'models' stands here twice"),
        ("hf_soup: 1\nmodels: [{model: a/b, weight: }]\n", "models[0].weight: has no value"),
    ],
)
def test_what_is_no_recipe(tmp_path, text, said):
    assert said in problems_of(written(tmp_path, text))[0]


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_request(tmp_path / "none.yaml")
    (tmp_path / "raw.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_request(tmp_path / "raw.yaml")


keys = st.sampled_from(
    [
        "hf_soup",
        "merge_method",
        "method",
        "models",
        "slices",
        "sources",
        "model",
        "parameters",
        "base_model",
        "base",
        "t",
        "weight",
        "density",
        "filter",
        "value",
        "layer_range",
        "dtype",
        "tokenizer",
        "int8_mask",
        "normalize",
        "x",
    ]
)
leaves = st.sampled_from(
    [None, True, 0, 1, -1, 0.5, float("nan"), "", "linear", "ties", "slerp", "a/b", "base", "bfloat16"]
)
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys | st.integers(0, 2), inner, max_size=5)
)


@given(st.dictionaries(keys, documents, max_size=6), st.sampled_from([{"hf_soup": 1}, {"merge_method": "linear"}, {}]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_the_file_is_a_recipe_or_told_to_be_none(tmp_path, document, start):
    path = written(tmp_path, yaml.safe_dump(document | start))
    problems: tuple[str, ...] = ()
    try:
        read_request(path)
    except InputError as error:
        problems = error.problems
    assert all(str(path) in problem for problem in problems)


def test_options_complete_a_recipe_and_do_not_contradict_it(tmp_path):
    text = "hf_soup: 1\nmodels: [a/b, {model: c/d, weight: 2}]\ndtype: float32\nshard_size: 5GB\n"
    path = written(tmp_path, text)
    request = read_request(path)
    whole = request.with_options({"device": "cpu", "shard_size": "5000MB", "base": "e/f"}, {"normalize": False})
    assert whole.merge_arguments == request.merge_arguments | {"device": "cpu", "normalize": False}
    assert whole.base == "e/f"
    with pytest.raises(InputError) as error:
        request.with_options({"dtype": "bfloat16", "method": "ties", "shard_size": "1GB"}, {"weight": [1, 1]})
    assert len(error.value.problems) == 4
    assert error.value.problems[0].startswith(f"--dtype bfloat16: {path} says dtype: float32")
    assert error.value.problems[3].startswith(f"--weights or --set weight: {path} sets weight itself")


def run(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_the_command_merges_by_a_recipe(capsys, tmp_path):
    folders = write_relatives(tmp_path, 3)
    text = f"hf_soup: 1\nmodels:\n- {{model: {folders[0]}, weight: 3}}\n- {folders[1]}\n- {folders[2]}\nlicense: mit\n"
    path = written(tmp_path, text)
    code, out, _ = run(capsys, "merge", path, "-o", tmp_path / "soup", "--dry-run", "--json")
    assert code == 0
    planned = {row["label"]: row["parameters"]["weight"] for row in json.loads(out)["ingredients"]}
    assert planned == {str(folders[0]): 3, str(folders[1]): 1, str(folders[2]): 1}
    code, out, err = run(capsys, "merge", path, "-o", tmp_path / "soup")
    assert code == 0, err
    record = read_json(tmp_path / "soup" / "soup.json")
    names = [ingredient["name"] for ingredient in record["ingredients"]]
    assert dict(zip(names, record["parameters"]["weight"], strict=True)) == {"run-0": 3, "run-1": 1, "run-2": 1}


def test_the_command_refuses_what_contradicts_the_recipe(capsys, tmp_path):
    folders = write_relatives(tmp_path, 2)
    path = written(tmp_path, f"hf_soup: 1\nmethod: linear\nmodels: [{folders[0]}, {folders[1]}]\ndtype: float32\n")
    code, _, err = run(capsys, "merge", path, "-o", tmp_path / "soup", "--dtype", "bfloat16", "--method", "ties")
    assert code == 2
    assert "--dtype bfloat16" in err
    assert "--method ties" in err
    assert str(path) in err
    assert run(capsys, "merge", path, "-o", tmp_path / "soup", "--dtype", "float32", "--dry-run")[0] == 0
    code, _, err = run(capsys, "merge", path, folders[0], "-o", tmp_path / "soup")
    assert code == 2
    assert "give it alone" in err
    code, _, err = run(capsys, "merge", tmp_path / "none.yaml", "-o", tmp_path / "soup")
    assert code == 2
    assert "does not exist" in err


def test_the_command_checks_that_a_slice_covers_all_layers(capsys, tmp_path):
    folders = write_relatives(tmp_path, 2)  # layers 0, 2 and 10, and nothing about them in config.json
    slices = "slices:\n- sources:\n" + "".join(f"  - {{model: {f}, layer_range: [0, 4]}}\n" for f in folders)
    path = written(tmp_path, f"merge_method: linear\nparameters: {{weight: 1}}\n{slices}")
    for dry in ([], ["--dry-run"]):
        code, out, err = run(capsys, "merge", path, "-o", tmp_path / "soup", *dry)
        assert code == 2
        assert "does not cover exactly the 11 layers" in out + err
    path.write_text(path.read_text().replace("[0, 4]", "[0, 11]"))
    assert run(capsys, "merge", path, "-o", tmp_path / "soup", "--dry-run")[0] == 0
