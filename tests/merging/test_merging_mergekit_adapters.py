"""`model: base+adapter` of a mergekit file: the adapter over that base, whatever it names itself, pinned and verified."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import HfApi, snapshot_download
from tiny_adapters import merged_by_peft, save_adapter, save_base

from hf_soup import Soup
from hf_soup.checkpoints import AdapterCheckpoint, ModelRef, open_checkpoint
from hf_soup.errors import InputError
from hf_soup.merging.mergekit_model import mergekit_reference
from hf_soup.merging.read_request import read_request
from hf_soup.publishing import Verdict, verify

pytest.importorskip("peft")


class Made:
    """Two unequal relatives, `first` and `second`, and two adapters that both name a base which is nowhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.first = save_base(root / "first")
        self.second = root / "second"
        _move(self.first, self.second, 0.02)
        self.adapters = [
            save_adapter(
                root / f"lora-{seed}", self.first, seed=seed, size=0.1, r=2, target_modules=["q_proj", "down_proj"]
            )
            for seed in (1, 2)
        ]
        for adapter in self.adapters:
            names_base(adapter, "nobody/nothing")

    def full(self, base: Path, number: int) -> dict[str, torch.Tensor]:
        """What PEFT makes of a base and an adapter."""
        return merged_by_peft(self.adapters[number], base, self.root / f"full-{base.name}-{number}")


def _move(folder: Path, out: Path, size: float) -> None:
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(9)
    for parameter in model.parameters():
        parameter.data.add_(size * torch.randn_like(parameter))
    model.save_pretrained(out)


def names_base(adapter: Path, name: str) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": name}))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def soup_of(tmp_path: Path, **document) -> tuple[Soup, dict]:
    """The soup of a mergekit file, and the arguments of its merge."""
    path = tmp_path / "mergekit.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    request = read_request(path)
    return Soup(**request.soup_arguments), request.merge_arguments


def weighted(model: object, weight: float = 1.0, **more) -> dict:
    return {"model": str(model), "parameters": {"weight": weight}, **more}


def assert_close(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    made = open_checkpoint(folder)
    assert set(made.names()) == set(expected)
    for name, tensor in expected.items():
        assert torch.allclose(made.read(name), tensor, atol=1e-6), name


def test_an_adapter_is_read_over_the_base_before_the_plus(made, tmp_path):
    models = [weighted(f"{made.second}+{made.adapters[0]}", 3), weighted(made.first)]
    soup, arguments = soup_of(tmp_path, merge_method="linear", models=models)
    merged = soup.merge(**arguments, out=tmp_path / "soup")
    whole, plain = made.full(made.second, 0), open_checkpoint(made.first)
    assert_close(tmp_path / "soup", {name: 0.75 * whole[name] + 0.25 * plain.read(name) for name in whole})
    recorded = next(one for one in merged.recipe.ingredients if one.adapter_of)
    assert (recorded.name, recorded.adapter_of.name) == ("lora-1", "second")


def test_one_adapter_over_two_bases_is_two_ingredients(made, tmp_path):
    models = [weighted(f"{base}+{made.adapters[0]}") for base in (made.first, made.second)]
    soup, arguments = soup_of(tmp_path, merge_method="linear", models=models)
    plan = soup.plan(**arguments)
    assert plan.problems == plan.doubts == ()
    assert {model.label for model in plan.models} == {
        f"{base}+{made.adapters[0]}" for base in (made.first, made.second)
    }
    merged = soup.merge(**arguments, out=tmp_path / "soup")
    one, other = (made.full(base, 0) for base in (made.first, made.second))
    assert_close(tmp_path / "soup", {name: (one[name] + other[name]) / 2 for name in one})
    assert sorted(one.adapter_of.name for one in merged.recipe.ingredients) == ["first", "second"]
    places = {"lora-1": made.adapters[0], "lora-1-2": made.adapters[0], "first": made.first, "second": made.second}
    assert verify(tmp_path / "soup", ingredients=places).verdict is Verdict.IDENTICAL


def test_bases_of_one_name_are_told_apart(made, tmp_path):
    folders = [shutil.copytree(folder, tmp_path / folder.name / "base") for folder in (made.first, made.second)]
    pairs = [f"{folder}+{adapter}" for folder, adapter in zip(folders, made.adapters, strict=True)]
    models = [weighted(text) for text in (*pairs, folders[1])]
    soup, arguments = soup_of(tmp_path, merge_method="linear", models=models)
    merged = soup.merge(**arguments, out=tmp_path / "soup")
    names = {one.name: one.adapter_of and one.adapter_of.name for one in merged.recipe.ingredients}
    assert names == {"lora-1": "base-2", "lora-2": "base", "base": None}
    places = {"lora-1": made.adapters[0], "lora-2": made.adapters[1], "base-2": folders[0], "base": folders[1]}
    assert verify(tmp_path / "soup", ingredients=places).verdict is Verdict.IDENTICAL


def test_slices_are_taken_alike(made, tmp_path):
    sources = [weighted(f"{made.first}+{adapter}", layer_range=[0, 2]) for adapter in made.adapters]
    soup, arguments = soup_of(tmp_path, merge_method="linear", slices=[{"sources": sources}])
    soup.merge(**arguments, out=tmp_path / "soup")
    one, other = (made.full(made.first, number) for number in (0, 1))
    assert_close(tmp_path / "soup", {name: (one[name] + other[name]) / 2 for name in one})


def test_task_vectors_begin_at_a_base_with_an_adapter(made, tmp_path):
    base, full = f"{made.first}+{made.adapters[0]}", f"{made.first}+{made.adapters[1]}"
    models = [weighted(base, 9), weighted(full, 0.5), weighted(made.second, 0.25)]
    soup, arguments = soup_of(tmp_path, merge_method="task_arithmetic", models=models, base_model=base)
    ingredients = soup.ingredients
    assert ingredients.base.base is ingredients.models[0].base  # the headers of one model are read once
    merged = soup.merge(**arguments, out=tmp_path / "soup")
    start, one, other = made.full(made.first, 0), made.full(made.first, 1), open_checkpoint(made.second)
    assert_close(
        tmp_path / "soup",
        {
            name: start[name] + 0.5 * (one[name] - start[name]) + 0.25 * (other.read(name) - start[name])
            for name in start
        },
    )
    assert (merged.recipe.base.name, merged.recipe.base.adapter_of.name) == ("lora-1", "first")
    places = {"lora-1": made.adapters[0], "lora-2": made.adapters[1], "first": made.first, "second": made.second}
    assert verify(tmp_path / "soup", ingredients=places).verdict is Verdict.IDENTICAL


def test_the_base_of_a_linear_merge_may_have_an_adapter(made, tmp_path):
    base = f"{made.first}+{made.adapters[0]}"
    soup, arguments = soup_of(
        tmp_path, merge_method="slerp", models=[{"model": str(made.first)}], base_model=base, parameters={"t": 0.0}
    )
    soup.merge(**arguments, out=tmp_path / "soup")
    assert_close(tmp_path / "soup", made.full(made.first, 0))


def test_an_adapter_alone_does_not_go_with_a_base_that_has_one(made, tmp_path):
    base = f"{made.first}+{made.adapters[0]}"
    soup, _ = soup_of(tmp_path, merge_method="task_arithmetic", models=[weighted(made.adapters[1])], base_model=base)
    with pytest.raises(InputError, match=r"lora-2: does not say whether it belongs on .*first or on .*\+.*lora-1"):
        _ = soup.ingredients


def test_a_folder_with_a_plus_in_its_name_is_a_folder(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made.first, "run+1")
    shutil.copytree(made.adapters[0], "lora+a")
    shutil.copytree(made.first, "all/b+ase")
    for text in ("run+1", str(tmp_path / "run+1"), "all:b+ase"):
        assert mergekit_reference(text) == text
    for text in ("run+1+lora+a", "all:b+ase+lora+a", f"{tmp_path / 'run+1'}+lora+a"):
        found = mergekit_reference(text)
        assert isinstance(found, ModelRef)
        assert str(found) == text
        assert Path(found.text) == Path("lora+a")
    soup, arguments = soup_of(tmp_path, merge_method="linear", models=[weighted("run+1"), weighted("run+1+lora+a")])
    first, second = soup.ingredients.models
    assert not isinstance(first, AdapterCheckpoint)
    assert isinstance(second, AdapterCheckpoint)
    soup.merge(**arguments, out=tmp_path / "soup")


@pytest.mark.parametrize(
    ("text", "base", "adapter"),
    [
        ("me/base+me/lora", ("me/base", None, None), ("me/lora", None, None)),
        ("me/base@v1+me/lora@v2", ("me/base", "v1", None), ("me/lora", "v2", None)),
        ("gpt2+me/all:runs/3", ("gpt2", None, None), ("me/all", None, "runs/3")),
    ],
)
def test_repositories_with_revisions(text, base, adapter):
    found = mergekit_reference(text)
    assert (found.base.repo_id, found.base.revision, found.base.subfolder) == base
    assert (found.repo_id, found.revision, found.subfolder) == adapter
    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a/b+", r"is no folder that exists, and as model\+adapter it cannot be divided so"),
        ("+a/b", "cannot be divided so"),
        ("a/b+c/d+e/f", "cannot be divided so"),
        ("/nowhere/run+1", r"read as model\+adapter: The folder '/nowhere/run' does not exist"),
        ("a/b+c d", r"read as model\+adapter: 'c d' is neither a folder"),
    ],
)
def test_what_is_neither_is_said(text, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence) as failure:
        soup_of(tmp_path, merge_method="linear", models=[weighted(text), weighted("a/a")], base_model=text)
    keys = [problem.split(": ")[1] for problem in failure.value.problems]
    assert keys == ["models[0].model", "base_model"]


def test_what_cannot_stand_on_either_side_is_said(made, tmp_path):
    other = save_base(tmp_path / "other", hidden_size=8)
    cases = {
        f"{made.first}+{made.second}": "second: is a full model, not a LoRA adapter, and cannot be added to",
        f"{made.adapters[0]}+{made.adapters[1]}": "lora-1: is an adapter itself. Name another model before the +.",
        f"{other}+{made.adapters[1]}": "the tensor is [8, 8] in",
    }
    soup, _ = soup_of(tmp_path, merge_method="linear", models=[weighted(text) for text in cases])
    with pytest.raises(InputError) as failure:
        _ = soup.ingredients
    for sentence in cases.values():
        assert any(sentence in problem for problem in failure.value.problems), sentence


def test_in_python_the_base_of_one_adapter_is_named_by_its_reference(made):
    soup = Soup([ModelRef.parse(made.adapters[0], base=made.second), made.first])
    assert soup.ingredients.models[0].base.ref.path == made.second


@pytest.mark.hub
def test_both_are_pinned_published_and_verified(api: HfApi, made, tmp_path):
    ids = {}
    for folder in (made.first, made.second, made.adapters[0]):
        ids[folder.name] = f"tester/mergekit-plus-{folder.name}"
        api.create_repo(ids[folder.name])
        copy = shutil.copytree(folder, tmp_path / folder.name)
        (copy / "README.md").write_text("---\nlicense: mit\n---\n")
        api.upload_folder(repo_id=ids[folder.name], folder_path=copy)
    api.create_tag(ids["second"], tag="v1")
    commit = api.model_info(ids["second"]).sha
    api.upload_file(path_or_fileobj=b"later", path_in_repo="later.txt", repo_id=ids["second"])
    models = [weighted(f"{ids['first']}+{ids['lora-1']}"), weighted(f"{ids['second']}@v1+{ids['lora-1']}")]
    soup, arguments = soup_of(tmp_path, merge_method="linear", models=models)
    files = sum(path.stat().st_size for path in (made.first / "model.safetensors", made.second / "model.safetensors"))
    assert soup.plan().bytes_to_download == files  # the adapter is here, since it was checked
    merged = soup.merge(**arguments, out=tmp_path / "soup", publish=True)
    recorded = {one.adapter_of.repo_id: one for one in merged.recipe.ingredients}
    assert set(recorded) == {ids["first"], ids["second"]}
    assert recorded[ids["second"]].adapter_of.revision == commit
    assert {one.repo_id for one in recorded.values()} == {ids["lora-1"]}
    merged.push_to_hub("tester/mergekit-plus-soup")
    found = verify("tester/mergekit-plus-soup")
    assert found.verdict is Verdict.IDENTICAL, str(found)
    card = (Path(snapshot_download("tester/mergekit-plus-soup")) / "README.md").read_text()
    assert ids["lora-1"] in card


@pytest.mark.hub
def test_both_sides_that_are_missing_are_named(made, tmp_path):
    soup, _ = soup_of(tmp_path, merge_method="linear", models=[weighted("tester/no-base+tester/no-lora")])
    with pytest.raises(InputError) as failure:
        _ = soup.ingredients
    assert len(failure.value.problems) == 2
    assert "tester/no-base" in failure.value.problems[0]
    assert "tester/no-lora" in failure.value.problems[1]
