"""What is said of a combination before it is made, and what an interruption or a number that is too large leaves behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from adapter_hub import Family, edit_json, unique, upload, upload_family
from adapter_samples import logits, weighted_full_model
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

from hf_soup.adapters import combine_adapters, extract_adapter
from hf_soup.adapters.card import adapter_card
from hf_soup.adapters.record import AdapterRecord, BaseName
from hf_soup.cli import main
from hf_soup.errors import InputError, NonFiniteWeights
from hf_soup.publishing import Target

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> Family:
    return upload_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def adapters(family) -> list[Path]:
    return [family.root / f"adapter-{number}" for number in range(3)]


@pytest.fixture(scope="module")
def hidden(family) -> tuple[str, list[str]]:
    """A private base, and public adapters of it."""
    base = upload(family.root / "base", "hidden-base", private=True)
    found = []
    for number in range(2):
        folder = shutil.copytree(family.root / f"adapter-{number}", family.root / f"of-hidden-{number}")
        edit_json(folder / "adapter_config.json", base_model_name_or_path=base)
        found.append(upload(folder, "of-hidden"))
    return base, found


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return int(end.value.code or 0)


@pytest.mark.parametrize("weights", [[1.0, 1.0], [0.5, -0.2]])
def test_a_model_of_weights_as_they_are_is_the_base_with_the_sum_of_the_updates(family, adapters, tmp_path, weights):
    """The base is not multiplied: as a concatenation of the same words would have it."""
    text = ",".join(map(str, weights))
    common = (*family.adapters[:2], f"--weights={text}", "--no-normalize", "--as", "model")
    assert run("adapters", "combine", *common, "--out", tmp_path / "out") == 0
    expected = weighted_full_model(family.root / "base", adapters[:2], weights)
    ours = BertForSequenceClassification.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logits(ours), logits(expected), atol=2e-5, rtol=2e-5)
    untouched = "bert.embeddings.word_embeddings.weight"
    base = load_file(family.root / "base" / "model.safetensors")
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")[untouched], base[untouched])
    record = json.loads((tmp_path / "out" / "soup.json").read_text())
    assert record["base"]["repo_id"] == family.base


def test_a_model_over_another_base_is_said_to_be_one(family, tmp_path, capsys):
    command = ("adapters", "combine", *family.adapters[:2], "--as", "model", "--base", family.tuned)
    assert run(*command, "--out", tmp_path / "out") == 0
    assert f"not those of {family.tuned}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "Module 'bert.encoder.layer.0.attention.self.query'"),
        ({"as_": "svd", "rank": 2}, "Module 'bert.encoder.layer.0.attention.self.query'"),
    ],
)
def test_a_sum_too_large_for_its_dtype_is_refused(adapters, tmp_path, options, named):
    with pytest.raises(NonFiniteWeights, match=f"{named}.*too large for float32"):
        combine_adapters(adapters[:2], [1e39, 1], normalize=False, out=tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())


def test_a_double_precision_core_too_large_is_refused_in_words(adapters, tmp_path):
    folder = shutil.copytree(adapters[0], tmp_path / "double")
    tensors = load_file(folder / "adapter_model.safetensors")
    large = {name: tensor.double() * (1e160 if "lora_" in name else 1) for name, tensor in tensors.items()}
    save_file(large, folder / "adapter_model.safetensors")
    with pytest.raises(NonFiniteWeights, match="too large for float64"):
        combine_adapters([folder], out=tmp_path / "out", as_="svd", rank=1)


def test_a_head_too_large_for_its_dtype_is_refused(family, adapters, tmp_path):
    """Weights of a size that the updates bear."""
    folder = shutil.copytree(adapters[0], tmp_path / "half")
    tensors = load_file(folder / "adapter_model.safetensors")
    halves = {name: tensor.half() if "classifier" in name else tensor for name, tensor in tensors.items()}
    save_file(halves, folder / "adapter_model.safetensors")
    with pytest.raises(NonFiniteWeights, match=r"Tensor 'classifier.*too large for float16"):
        combine_adapters([folder], [1e8], normalize=False, base=family.root / "base", out=tmp_path / "out")


@pytest.mark.parametrize("command", ["combine", "extract"])
def test_an_interrupted_merge_is_not_discarded(family, tmp_path, monkeypatch, capsys, command):
    from hf_soup.merging import produce

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(produce, "_complete", stop)
        assert run("merge", *family.adapters, "--out", tmp_path / "same") == 130
    begun = {path.name: path.read_bytes() for path in (tmp_path / "same.partial").iterdir()}
    arguments = {
        "combine": family.adapters,
        "extract": (family.tuned, "--base", family.base, "--rank", "2"),
    }[command]
    assert run("adapters", command, *arguments, "--out", tmp_path / "same") == 2
    assert "unfinished merge" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "same.partial").iterdir()} == begun
    assert run("merge", *family.adapters, "--out", tmp_path / "same") == 0


def test_what_a_killed_adapter_left_is_in_nobodys_way(adapters, tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / ".unfinished-merge").write_text('{"format": "hf-soup-adapter"}')
    (tmp_path / "out.partial" / "adapter_model.safetensors").write_bytes(b"half")
    combine_adapters(adapters, out=tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("command", ["combine", "extract"])
def test_an_interruption_does_not_promise_to_go_on(family, tmp_path, monkeypatch, capsys, command):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hf_soup.adapters.write.adapter_card", stop)
    arguments = {
        "combine": family.adapters,
        "extract": (family.tuned, "--base", family.base, "--rank", "2"),
    }[command]
    assert run("adapters", command, *arguments, "--out", tmp_path / "out") == 130
    said = capsys.readouterr().err
    assert "Nothing was written" in said
    assert "goes on from there" not in said
    assert not list(tmp_path.glob("out*"))


def test_a_base_that_cannot_be_named_is_said_before_the_work(family, hidden, tmp_path):
    base, of_hidden = hidden
    folder = family.root / "base"
    target = Target(unique("before"))
    with pytest.raises(InputError, match="folder of this machine"):
        combine_adapters(family.adapters, base=folder, publish=target, out=tmp_path / "out")
    with pytest.raises(InputError, match="folder of this machine"):
        extract_adapter(family.tuned, folder, rank=2, publish=target, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"is private.*--name-private"):
        combine_adapters(of_hidden, publish=target, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"is private.*--name-private"):
        extract_adapter(family.tuned, base, rank=2, publish=target, out=tmp_path / "out")
    with pytest.raises(InputError, match="at v9, which cannot be read"):
        combine_adapters([_of_revision(family, tmp_path, "v9")], publish=target, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _of_revision(family: Family, root: Path, revision: str) -> Path:
    folder = shutil.copytree(family.root / "adapter-0", root / "revised")
    edit_json(folder / "adapter_config.json", revision=revision)
    return folder


@pytest.mark.parametrize("option", ["--private", "--name-private"])
def test_a_private_base_may_be_named_where_that_is_asked_for(hidden, tmp_path, option):
    base, of_hidden = hidden
    target = unique("named")
    command = ("adapters", "combine", *of_hidden, "--out", tmp_path / "out", "--push", target, option)
    assert run(*command) == 0
    assert base in (tmp_path / "out" / "adapter_config.json").read_text()
    assert HfApi().model_info(target).private is (option == "--private")


def test_the_same_adapter_twice_and_weights_of_zero_are_refused(family, adapters, tmp_path):
    with pytest.raises(InputError, match="holds the same weights"):
        combine_adapters([adapters[0], family.adapters[1], adapters[0]], out=tmp_path / "out")
    scaled = shutil.copytree(adapters[0], tmp_path / "scaled")
    edit_json(scaled / "adapter_config.json", lora_alpha=4)
    combine_adapters([adapters[0], scaled], out=tmp_path / "another-scale")
    with pytest.raises(InputError, match="All weights are 0"):
        combine_adapters(adapters[:2], [0, 0], normalize=False, out=tmp_path / "out")


def test_heads_that_did_not_start_from_one_are_told(adapters, tmp_path):
    made = combine_adapters(adapters, out=tmp_path / "far")
    assert any("heads did not start from one head" in warning for warning in made.warnings)
    near = [shutil.copytree(adapters[n], tmp_path / f"near-{n}") for n in range(2)]
    tensors = load_file(near[1] / "adapter_model.safetensors")
    heads = {
        name: tensor
        for name, tensor in load_file(near[0] / "adapter_model.safetensors").items()
        if "classifier" in name
    }
    save_file(tensors | heads, near[1] / "adapter_model.safetensors")
    made = combine_adapters(near, out=tmp_path / "near")
    assert not any("heads" in warning for warning in made.warnings)


def test_a_rank_is_not_called_too_large_where_an_adapter_could_not_be_opened(adapters, tmp_path):
    broken = shutil.copytree(adapters[2], tmp_path / "broken")
    (broken / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError) as error:
        combine_adapters([broken, adapters[0]], as_="svd", rank=5, out=tmp_path / "out")
    assert [problem for problem in error.value.problems if "rank=" in problem] == []
    assert len(error.value.problems) == 1


def test_nothing_is_asked_for_where_nothing_lies_beside_the_weights(family, tmp_path, capfd):
    bare = shutil.copytree(family.root / "adapter-0", tmp_path / "bare")
    for path in bare.iterdir():
        if path.name not in ("adapter_config.json", "adapter_model.safetensors"):
            path.unlink()
    combine_adapters([upload(bare, "bare")], out=tmp_path / "out")
    assert "allow_patterns" not in capfd.readouterr().err


def test_names_stand_in_the_cards_code_as_text():
    """A revision is what somebody else wrote into a file."""
    record = AdapterRecord(
        hf_soup="0",
        form="svd",
        base=BaseName(name="me/base", revision='main"); import os; os.system("id") #'),
        ingredients=[],
        weights=[],
        modules={},
    )
    text = adapter_card(record, [], {}, None)
    code = text.split("```python\n")[1].split("```")[0]
    names = {node.id for node in _nodes(code)}
    assert "os" not in names
    assert "AutoModel" in names


def _nodes(code: str):
    import ast

    return (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name))
