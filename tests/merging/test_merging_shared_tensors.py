"""What all ingredients have from one place comes out as it is there, bit for bit, and is copied instead of computed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_adapters import merged_by_peft, save_adapter, save_base

from hf_soup.errors import InputError, NonFiniteWeights
from hf_soup.merging import make_plan, merge, open_ingredients
from hf_soup.merging.positions import positions_as_text, positions_of_text
from hf_soup.merging.probe import probe
from hf_soup.merging.tensor_values import FilterRule, FilterRules
from hf_soup.publishing import Verdict, verify

pytest.importorskip("peft")

WORDS = 17_000
"""Rows of the embeddings, 16 numbers each: more than a granule."""
ADAPTED = {f"model.layers.{n}.self_attn.{part}_proj.weight" for n in (0, 1) for part in "qv"}
THIRDS = {"weight": [1 / 3, 1 / 3, 1 / 3]}
CASES = [
    ("linear", {}, 2),
    ("linear", {}, 3),
    ("linear", THIRDS, 3),
    ("linear", {"weight": [0.2, 0.3, 0.6]}, 3),
    ("slerp", {"t": 0.3}, 2),
    ("task_arithmetic", {"scale": 0.7}, 3),
    ("ties", {"density": 0.5}, 3),
    ("ties", {"density": 0.5, "normalize": False, "weight": [0.3, 0.3]}, 2),
    ("dare_linear", {"density": 0.4}, 3),
    ("dare_ties", {"density": 0.4}, 3),
    ("model_stock", {"beyond_base": True}, 3),
]


class Models:
    """A base whose embeddings hold a negative zero, and adapters of its attention; all on this disk, in float32."""

    def __init__(self, root: Path) -> None:
        self.base = save_base(root / "base", vocab_size=WORDS)
        self.tensors = load_file(self.base / "model.safetensors")
        self.tensors["model.embed_tokens.weight"][3, 5] = -0.0
        save_file(self.tensors, self.base / "model.safetensors", metadata={"format": "pt"})
        settings = {"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"]}
        self.adapters = [save_adapter(root / f"run-{n}", self.base, seed=n, **settings) for n in range(3)]
        self.merged = [merged_by_peft(run, self.base, root / f"whole-{n}") for n, run in enumerate(self.adapters)]

    def given(self, count: int = 3) -> dict[str, Path]:
        return {path.name: path for path in [self.base, *self.adapters[:count]]}

    def plan(self, method: str = "linear", parameters: dict | None = None, count: int = 3, **options):
        return make_plan(open_ingredients(self.adapters[:count], self.base), method, parameters, **options)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("shared"))


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one.view(torch.uint8), other.view(torch.uint8))


def altered(found: dict[str, torch.Tensor], start: dict[str, torch.Tensor]) -> set[str]:
    assert found.keys() == start.keys()
    return {name for name in found if not same_bits(found[name], start[name])}


@pytest.mark.parametrize(("method", "parameters", "count"), CASES)
def test_what_no_adapter_touches_is_the_bases(models, tmp_path, method, parameters, count):
    plan = models.plan(method, parameters, count)
    merge(plan, tmp_path / "soup")
    found = load_file(tmp_path / "soup" / "model.safetensors")
    assert altered(found, models.tensors) == ADAPTED
    assert {tensor.info.name for tensor in plan.tensors if not tensor.copied} == ADAPTED
    virtual = plan.virtual()
    assert all(same_bits(virtual.read(name), tensor) for name, tensor in found.items())
    assert verify(tmp_path / "soup", ingredients=models.given(count)).verdict is Verdict.IDENTICAL


def test_three_thirds_of_a_number_may_be_another_number(models):
    """Why it matters: the same average, computed."""
    x = models.tensors["model.embed_tokens.weight"]
    assert not torch.equal((x + x + x) * (1 / 3), x)


def test_what_adapters_touch_is_still_averaged(models, tmp_path):
    merge(models.plan("linear", THIRDS), tmp_path / "soup")
    found = load_file(tmp_path / "soup" / "model.safetensors")
    for name in ADAPTED:
        mean = torch.stack([whole[name] for whole in models.merged]).mean(0)
        torch.testing.assert_close(found[name], mean, rtol=1e-5, atol=1e-6)


def test_weights_that_are_not_normalised_count_everywhere(models, tmp_path):
    plan = models.plan("linear", {"weight": [0.5, 0.25, 0.75], "normalize": False})
    merge(plan, tmp_path / "soup")
    found = load_file(tmp_path / "soup" / "model.safetensors")
    assert not any(tensor.copied for tensor in plan.tensors)
    for name in models.tensors.keys() - ADAPTED:
        torch.testing.assert_close(found[name], models.tensors[name] * 1.5)


def test_each_tensor_has_parameters_of_its_own(models, tmp_path):
    normalize = FilterRules((FilterRule("embed_tokens", False), FilterRule(None, True)))
    plan = models.plan("linear", {"weight": [0.5, 0.25, 0.75], "normalize": normalize})
    merge(plan, tmp_path / "soup")
    found = load_file(tmp_path / "soup" / "model.safetensors")
    assert altered(found, models.tensors) == {*ADAPTED, "model.embed_tokens.weight"}
    assert verify(tmp_path / "soup", ingredients=models.given()).verdict is Verdict.IDENTICAL


def test_another_output_dtype_is_rounded_once(models, tmp_path):
    plan = models.plan(dtype="bfloat16")
    merge(plan, tmp_path / "soup")
    found = load_file(tmp_path / "soup" / "model.safetensors")
    assert not any(tensor.copied for tensor in plan.tensors)
    for name in models.tensors.keys() - ADAPTED:
        assert torch.equal(found[name], models.tensors[name].bfloat16()), name
    assert plan.output_config()["dtype"] == "bfloat16"


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_the_bytes_do_not_depend_on_workers_blocks_and_shards(models, tmp_path, method):
    def merged(name: str, **options) -> dict[str, torch.Tensor]:
        merge(models.plan(method, **options), tmp_path / name)
        parts = [load_file(path) for path in sorted((tmp_path / name).glob("*.safetensors"))]
        return {name: tensor for part in parts for name, tensor in part.items()}

    one = merged("one", workers=1)
    for options in ({"workers": 3}, {"memory_bytes": 2**31, "workers": 2}, {"shard_bytes": 300_000}):
        other = merged(f"other-{len(list(tmp_path.iterdir()))}", **options)
        assert not altered(other, one)
    virtual = models.plan(method).virtual()
    name = "model.embed_tokens.weight"
    assert same_bits(virtual.read_span(name, 7, 270_001), one[name].flatten()[7:270_001])


def test_the_plan_counts_what_is_copied_once(models):
    sizes = {name: tensor.nbytes for name, tensor in models.tensors.items()}
    adapted = sum(sizes[name] for name in ADAPTED)
    untouched = sum(sizes.values()) - adapted
    assert models.plan().bytes_to_read == untouched + 3 * adapted
    assert models.plan("ties").bytes_to_read == untouched + 4 * adapted


def test_the_config_of_a_merge_of_nothing_but_copies_names_its_dtype(models):
    ingredients = open_ingredients([models.adapters[0]])
    plan = make_plan(ingredients)
    assert all(tensor.copied for tensor in plan.tensors)
    assert plan.output_config()["dtype"] == "float32"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_refused_where_it_is_copied_too(models, tmp_path, value):
    tensors = {name: tensor.clone() for name, tensor in models.tensors.items()}
    tensors["model.embed_tokens.weight"].view(-1)[270_000] = value
    broken = tmp_path / "broken"
    broken.mkdir()
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    (broken / "config.json").write_bytes((models.base / "config.json").read_bytes())
    plan = make_plan(open_ingredients(models.adapters, broken))
    with pytest.raises(
        NonFiniteWeights,
        match=r"run-\d: tensor 'model.embed_tokens.weight' holds .* at position 270000; all models have it",
    ):
        merge(plan, tmp_path / "soup")
    assert not (tmp_path / "soup").exists()
    with pytest.raises(NonFiniteWeights):
        plan.virtual().read("model.embed_tokens.weight")


def test_the_probe_looks_at_what_is_copied_as_before(models, tmp_path):
    tensors = {name: tensor.clone() for name, tensor in models.tensors.items()}
    tensors["model.norm.weight"][2] = float("nan")
    broken = tmp_path / "broken"
    broken.mkdir()
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    (broken / "config.json").write_bytes((models.base / "config.json").read_bytes())
    found = probe(make_plan(open_ingredients(models.adapters, broken)))
    assert any("'model.norm.weight' holds NaN" in problem for problem in found.problems)
    assert found.bytes_read < models.tensors["model.embed_tokens.weight"].nbytes


def test_full_models_and_the_base_itself_beside_adapters(models, tmp_path):
    with_base = make_plan(open_ingredients([models.base, *models.adapters[:2]]), checks=False)
    assert {tensor.info.name for tensor in with_base.tensors if not tensor.copied} == ADAPTED
    other = save_base(tmp_path / "other", vocab_size=WORDS)
    with_other = make_plan(open_ingredients([other, *models.adapters[:2]]), checks=False)
    assert not any(tensor.copied for tensor in with_other.tensors)
    merge(with_base, tmp_path / "soup")
    assert altered(load_file(tmp_path / "soup" / "model.safetensors"), models.tensors) == ADAPTED
    assert verify(tmp_path / "soup", ingredients=models.given(2)).verdict is Verdict.IDENTICAL


def test_a_record_of_the_arithmetic_that_averaged_these_tensors_is_not_judged_by_this_one(models, tmp_path):
    merge(models.plan(), tmp_path / "soup")
    path = tmp_path / "soup" / "soup.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "arithmetic": 1}))
    with pytest.raises(InputError, match="version 1 of the arithmetic"):
        verify(tmp_path / "soup", ingredients=models.given())


@pytest.fixture(scope="module")
def with_copy(models, tmp_path_factory) -> tuple[Path, dict[str, Path]]:
    """A soup of a copy of the base and adapters over the base, which were one place when it was made; they are no more."""
    root = tmp_path_factory.mktemp("copy")
    copy = shutil.copytree(models.base, root / "twin")
    merge(make_plan(open_ingredients([copy, *models.adapters[:2]], models.base), checks=False), root / "soup")
    os.utime(copy / "model.safetensors", (1, 1))
    return root / "soup", {**models.given(2), "twin": copy}


def record_of(folder: Path, **changes: object) -> dict:
    path = folder / "soup.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return json.loads(path.read_text())


def test_what_was_shared_is_recorded_and_copied_from_wherever_it_lies_now(models, with_copy):
    soup, places = with_copy
    names = sorted(models.tensors)
    shared = positions_of_text(json.loads((soup / "soup.json").read_text())["shared"], len(names))
    assert {names[place] for place in shared} == models.tensors.keys() - ADAPTED
    assert verify(soup, ingredients=places).verdict is Verdict.IDENTICAL


def test_a_tensor_that_is_not_shared_is_a_contradiction(models, with_copy, tmp_path):
    soup, places = shutil.copytree(with_copy[0], tmp_path / "soup"), with_copy[1]
    tensors = load_file(places["twin"] / "model.safetensors")
    tensors["model.norm.weight"][1] += 1
    other = shutil.copytree(places["twin"], tmp_path / "other")
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    found = verify(soup, ingredients={**places, "twin": other})
    assert found.verdict is Verdict.DIFFERENT
    said = [line for line in found.contradictions if "all ingredients share" in line]
    assert len(said) == 1
    assert "'model.norm.weight'" in said[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shared": "all"}, "'all' is no list of positions"),
        ({"shared": "0-99999999"}, "it names the positions 0-99999999, and there are 21"),
        ({"parameters": {"weight": [0.5, 0.25, 0.75], "normalize": False}}, "was copied, but the method linear"),
    ],
)
def test_a_record_that_says_wrongly_what_was_shared(with_copy, changes, sentence, tmp_path):
    soup = shutil.copytree(with_copy[0], tmp_path / "soup")
    record_of(soup, **changes)
    with pytest.raises(InputError, match=sentence):
        verify(soup, ingredients=with_copy[1])


@pytest.mark.parametrize("some", [[], [0], [3], [0, 1, 2], [0, 2, 3, 4, 9], list(range(12))])
def test_positions_come_back_from_their_text(some):
    assert positions_of_text(positions_as_text(some), 12) == set(some)


def test_thousands_of_positions_are_a_short_text():
    adapted = {place for layer in range(100) for place in (9 * layer + 4, 9 * layer + 6)}
    assert len(positions_as_text(place for place in range(903) if place not in adapted)) < 1700


@pytest.mark.hub
@pytest.mark.parametrize("method", ["linear", "task_arithmetic"])
def test_made_on_the_hub_it_verifies_there_and_against_copies_on_this_disk(models, api, tmp_path, method):
    def upload(folder: Path) -> str:
        name = f"tester/shared-{method.replace('_', '-')}-{folder.name}"
        api.create_repo(name)
        (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
        api.upload_folder(repo_id=name, folder_path=folder)
        return name

    base = upload(models.base)
    adapters = [upload(folder) for folder in models.adapters]
    ingredients = open_ingredients(adapters, base)
    merge(make_plan(ingredients, method), tmp_path / "soup")
    assert altered(load_file(tmp_path / "soup" / "model.safetensors"), models.tensors) == ADAPTED
    assert verify(tmp_path / "soup").verdict is Verdict.IDENTICAL
    copies = dict(zip([base, *adapters], [models.base, *models.adapters], strict=True))
    assert verify(tmp_path / "soup", ingredients=copies).verdict is Verdict.IDENTICAL
