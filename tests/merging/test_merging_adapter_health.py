"""A damaged, untrained or misfitting adapter is named before anything large is downloaded, together with all other problems."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from tiny_adapters import save_adapter, save_base

from hf_soup import Soup
from hf_soup.cli import main
from hf_soup.errors import InputError
from hf_soup.merging import adapter_health

pytest.importorskip("peft")

WEIGHTS = "adapter_model.safetensors"
NAN = "v_proj.lora_A.weight' holds NaN or infinity"
UNTRAINED = "every lora_B is zero"
SCALE = "scales its updates by 50000"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("made")
    base = save_base(root / "base")
    return base, save_adapter(root / "good", base, r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"])


def edited(adapter: Path, out: Path, change=None, **config) -> Path:
    shutil.copytree(adapter, out)
    path = out / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    if change is not None:
        tensors = load_file(out / WEIGHTS)
        save_file(change(tensors) or tensors, out / WEIGHTS)
    return out


def with_nan(tensors):
    tensors["base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"][0, 0] = float("nan")


def untrained(tensors):
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.zero_()


def other_modules(tensors):
    return {name.replace("q_proj", "query"): tensor for name, tensor in tensors.items()}


def other_shapes(tensors):
    return {name.replace("q_proj", "k_proj"): tensor for name, tensor in tensors.items()}


def problems_of(call) -> list[str]:
    with pytest.raises(InputError) as failure:
        call()
    return list(failure.value.problems)


def run(capsys, *arguments) -> tuple[int, str]:
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in arguments])
    return int(end.value.code or 0), capsys.readouterr().out


def test_all_of_all_adapters_with_the_other_problems_of_the_plan(made, tmp_path):
    _, good = made
    bad = [
        edited(good, tmp_path / "nan", with_nan),
        edited(good, tmp_path / "untrained", untrained),
        edited(good, tmp_path / "scale", lora_alpha=1e5),
    ]
    other = save_base(tmp_path / "other", rms_norm_eps=0.5)
    soup = Soup([*bad, good, other])
    plan = soup.plan()
    for folder, sentence in zip(bad, (NAN, UNTRAINED, SCALE), strict=True):
        assert [one for one in plan.doubts if one.startswith(f"{folder}: ")] == [
            one for one in plan.doubts if sentence in one
        ]
    assert len(plan.doubts) == 3
    assert any("rms_norm_eps differs" in problem for problem in plan.problems)
    assert set(plan.to_json()["problems"]) == {*plan.problems, *plan.doubts}
    assert str(plan).count(UNTRAINED) == 1
    said = problems_of(lambda: soup.merge(out=tmp_path / "soup"))
    assert {*plan.problems, *plan.doubts} == set(said)
    assert len(said) == len(set(said))


def test_what_does_not_fit_is_listed_with_what_is_damaged(made, tmp_path):
    _, good = made
    bad = [
        edited(good, tmp_path / "modules", other_modules),
        edited(good, tmp_path / "shapes", other_shapes),
        edited(good, tmp_path / "nan", lambda tensors: with_nan(tensors) or other_modules(tensors)),
        edited(good, tmp_path / "scale", lora_alpha=1e5),
    ]
    said = "\n".join(problems_of(Soup([*bad, good]).plan))
    assert f"{bad[0]}: adapts 'model.layers.0.self_attn.query'" in said
    assert f"{bad[1]}: its update of 'model.layers.0.self_attn.k_proj.weight' is [16, 16]" in said
    assert f"{bad[2]}: adapts" in said
    assert f"{bad[2]}: tensor 'base_model.model.model.layers.1.self_attn.{NAN}" in said
    assert f"{bad[3]}: {SCALE}" in said


def test_force_goes_on_and_says_it_once(made, tmp_path):
    _, good = made
    soup = Soup([edited(good, tmp_path / "untrained", untrained), good])
    merged = soup.merge(out=tmp_path / "soup", force=True)
    assert sum(UNTRAINED in warning for warning in merged.warnings) == 1


def test_a_dry_run_ends_with_2_unless_it_is_forced(made, tmp_path, capsys):
    bad = edited(made[1], tmp_path / "untrained", untrained)
    command = ["merge", bad, made[1], "-o", tmp_path / "soup", "--dry-run"]
    code, out = run(capsys, *command)
    assert (code, out.count(UNTRAINED)) == (2, 1)
    code, out = run(capsys, *command, "--probe", "--force")
    assert (code, out.count(UNTRAINED)) == (0, 1)
    code, out = run(capsys, *command, "--json", "--probe", "--force")
    assert (code, sum(UNTRAINED in problem for problem in json.loads(out)["problems"])) == (0, 1)


def test_an_adapter_is_read_once_for_plan_and_probe(made, monkeypatch):
    soup = Soup([made[1], made[0]])
    read = []
    adapter = soup.ingredients.models[0].adapter
    monkeypatch.setattr(adapter.tensors, "read", lambda name, of=adapter.tensors.read: read.append(name) or of(name))
    soup.plan()
    assert read == adapter.tensors.names()
    soup.plan()
    assert read == adapter.tensors.names()


class OnTheHub:
    """A base and adapters of it in repositories of their own, and an empty cache."""

    def __init__(self, api: HfApi, name: str, base: Path, adapters: list[Path], cache: Path) -> None:
        self.cache = cache
        self.base = f"tester/health-{name}-base"
        self.ids = [f"tester/health-{name}-{adapter.name}" for adapter in adapters]
        api.create_repo(self.base)
        api.upload_folder(repo_id=self.base, folder_path=base)
        for repo_id, adapter in zip(self.ids, adapters, strict=True):
            config = {
                **json.loads((adapter / "adapter_config.json").read_text()),
                "base_model_name_or_path": self.base,
            }
            (adapter / "adapter_config.json").write_text(json.dumps(config))
            api.create_repo(repo_id)
            (adapter / "README.md").unlink()  # names the base by its path
            api.upload_folder(repo_id=repo_id, folder_path=adapter)

    def came(self) -> set[str]:
        """The weight files in the cache, with their repositories."""
        found = self.cache.glob("models--*/snapshots/*/*.safetensors")
        return {f"{file.parents[2].name.removeprefix('models--').replace('--', '/')}/{file.name}" for file in found}

    def soup(self) -> Soup:
        return Soup(self.ids, cache_dir=self.cache)


@pytest.mark.hub
def test_only_the_adapters_come_for_a_plan(api, made, tmp_path):
    adapters = [edited(made[1], tmp_path / "untrained", untrained), edited(made[1], tmp_path / "good")]
    there = OnTheHub(api, "plan", made[0], adapters, tmp_path / "cache")
    plan = there.soup().plan()
    assert [UNTRAINED in doubt for doubt in plan.doubts] == [True]
    assert there.came() == {f"{repo_id}/{WEIGHTS}" for repo_id in there.ids}
    assert plan.bytes_to_download == (made[0] / "model.safetensors").stat().st_size
    assert "adapters:  2, checked as a whole: NaN, never trained, scale\n" in str(plan)
    assert UNTRAINED in problems_of(lambda: there.soup().merge(out=tmp_path / "soup"))[0]
    assert there.came() == {f"{repo_id}/{WEIGHTS}" for repo_id in there.ids}


@pytest.mark.hub
def test_nothing_of_the_base_comes_for_an_adapter_that_does_not_fit(api, made, tmp_path):
    adapters = [edited(made[1], tmp_path / "modules", other_modules), edited(made[1], tmp_path / "nan", with_nan)]
    there = OnTheHub(api, "fit", made[0], adapters, tmp_path / "cache")
    said = "\n".join(problems_of(lambda: there.soup().merge(out=tmp_path / "soup")))
    assert "self_attn.query'" in said
    assert NAN in said
    assert there.came() == {f"{repo_id}/{WEIGHTS}" for repo_id in there.ids}


@pytest.mark.hub
def test_a_large_adapter_is_looked_at_when_it_has_come(api, made, tmp_path, monkeypatch):
    adapters = [edited(made[1], tmp_path / "untrained", untrained), edited(made[1], tmp_path / "good")]
    there = OnTheHub(api, "large", made[0], adapters, tmp_path / "cache")
    monkeypatch.setattr(adapter_health, "MAX_BYTES", 1_000)
    plan = there.soup().plan()
    assert plan.doubts == ()
    assert there.came() == set()
    assert "adapters:  2, checked as a whole: NaN, never trained, scale; 2 of them when they are on this disk" in str(
        plan
    )
    assert UNTRAINED in problems_of(lambda: there.soup().merge(out=tmp_path / "soup"))[0]


def test_factors_of_low_precision_are_checked_too(made, tmp_path):
    half = edited(made[1], tmp_path / "half", lambda tensors: {name: each.half() for name, each in tensors.items()})
    huge = edited(half, tmp_path / "huge", lambda tensors: {name: each * 1e6 for name, each in tensors.items()})
    assert torch.isinf(next(iter(load_file(huge / WEIGHTS).values()))).any()
    plan = Soup([half, huge]).plan()
    assert plan.doubts
    assert all(doubt.startswith(f"{huge}: ") and "holds NaN or infinity" in doubt for doubt in plan.doubts)
