"""Soup.merge of adapters, as a model and as an adapter, and what naive averages of adapters are worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from adapter_samples import loaded, logits, weighted_full_model, write_adapter, write_base
from tiny_models import read_json
from transformers import BertForSequenceClassification

from hf_soup import MergedModel, Soup
from hf_soup.adapters import MadeAdapter
from hf_soup.cli import main
from hf_soup.errors import InputError


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("adapters")
    return [write_adapter(root / str(seed), base, seed, r=2 + seed) for seed in range(3)]


def test_the_three_forms_are_one_model_where_all_ranks_are_kept(base, adapters, tmp_path):
    soup = Soup(adapters)
    model = soup.merge("linear", weights=[3, 1, 1], out=tmp_path / "model")
    exact = soup.merge("linear", as_="concat", weights=[3, 1, 1], out=tmp_path / "concat")
    best = soup.merge("linear", as_="svd", rank=2 + 3 + 4, weights=[3, 1, 1], out=tmp_path / "svd")
    assert isinstance(model, MergedModel)
    assert isinstance(exact, MadeAdapter)
    assert isinstance(best, MadeAdapter)
    expected = logits(weighted_full_model(base, adapters, [0.6, 0.2, 0.2]))
    found = logits(BertForSequenceClassification.from_pretrained(model.path))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    for adapter in (exact, best):
        torch.testing.assert_close(logits(loaded(base, adapter.path)), expected, atol=2e-5, rtol=2e-5)


def test_options_mean_what_they_mean_for_a_model(base, adapters, tmp_path):
    made = Soup(adapters[:2], base=base).merge(as_="concat", weights=[1, 1], normalize=False, out=tmp_path / "out")
    assert made.record.weights == [1, 1]
    assert read_json(made.path / "adapter_config.json")["base_model_name_or_path"] == str(base)
    with pytest.raises(InputError, match="--overwrite"):
        Soup(adapters).merge(as_="concat", out=tmp_path / "out")
    made = Soup(adapters).merge(
        as_="svd", rank="auto", energy=0.5, out=made.path, overwrite=True, license="apache-2.0"
    )
    assert made.record.asked_energy == 0.5
    assert "license: apache-2.0" in (made.path / "README.md").read_text()
    with pytest.raises(InputError, match="nobody-here"):
        Soup(adapters).merge(as_="concat", out=tmp_path / "published", publish="nobody-here/adapter")


def test_what_belongs_to_a_full_model_is_refused_for_an_adapter_and_the_other_way_round(base, adapters, tmp_path):
    with pytest.raises(InputError) as error:
        Soup(adapters).merge("ties", as_="concat", dtype="bfloat16", fresh=True, density=0.5, out=tmp_path / "out")  # type: ignore[call-overload]
    assert [problem.split(" ")[0] for problem in error.value.problems] == [
        "dtype",
        "fresh",
        "method='ties':",
        "density:",
    ]
    with pytest.raises(InputError, match="belong to as_='svd'"):
        Soup(adapters).merge(rank=3, out=tmp_path / "out")  # type: ignore[call-overload]
    with pytest.raises(InputError, match="not an adapter that PEFT saved"):
        Soup([adapters[0], base]).merge(as_="concat", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_averaging_a_and_b_apart_is_far_from_the_sum_that_concat_is(base, adapters, tmp_path):
    """The control: PEFT's combination_type="linear" averages A and B each by itself; every module's ΔW is compared."""
    same = [write_adapter(tmp_path / str(seed), base, seed, task_type=None) for seed in range(3)]
    made = Soup(same).merge(as_="concat", out=tmp_path / "out")
    naive = loaded(base, same[0])
    for number in (1, 2):
        naive.load_adapter(same[number], str(number))
    naive.add_weighted_adapter(["default", "1", "2"], [1 / 3] * 3, "naive", combination_type="linear")
    exact = loaded(base, made.path)
    checked = 0
    for name, module in naive.named_modules():
        if not hasattr(module, "get_delta_weight"):
            continue
        whole = sum(module.get_delta_weight(each).double() for each in ("default", "1", "2")) / 3
        far = (module.get_delta_weight("naive").double() - whole).norm() / whole.norm()
        near = (exact.get_submodule(name).get_delta_weight("default").double() - whole).norm() / whole.norm()
        assert far > 0.1
        assert near < 1e-6
        checked += 1
    assert checked == 4


def test_the_command_has_the_options_of_merge(capsys, base, adapters, tmp_path):
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["adapters", *map(str, words)])
        return int(end.value.code or 0), *capsys.readouterr()

    code, out, _ = run("combine", *adapters, "-o", tmp_path / "m", "--as", "model", "--license", "mit", "--json")
    assert code == 0
    assert json.loads(out)["url"] is None
    code, _, said = run("combine", *adapters, "-o", tmp_path / "a", "--push", "nobody-here/adapter")
    assert code == 2
    assert "nobody-here/adapter" in said
    code, _, said = run(
        "extract", tmp_path / "m", "--base", base, "--rank", 2, "-o", tmp_path / "e", "--push", "a/b/c"
    )
    assert code == 2
    assert not (tmp_path / "e").exists()
    assert not (tmp_path / "a").exists()
