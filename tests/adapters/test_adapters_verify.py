"""Published adapters made again: what is found, what is accepted, and what is not believed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from adapter_hub import edit_json, make_digests_fit, unique, upload, upload_family
from adapter_samples import write_adapter, write_base
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from hf_soup.adapters import combine_adapters, extract_adapter
from hf_soup.adapters.adapter_folder import AdapterFolder
from hf_soup.cli import main
from hf_soup.errors import InputError
from hf_soup.publishing import Verdict, verify

pytestmark = pytest.mark.hub

FORMS = ["concat", "svd", "extract"]
WEIGHTS = "adapter_model.safetensors"
MODULE = "bert.encoder.layer.1.attention.self.query"
A, B = (f"base_model.model.{MODULE}.lora_{factor}.weight" for factor in "AB")


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    return upload_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="module")
def made(family, tmp_path_factory):
    """One adapter of each form, which no test changes."""
    root = tmp_path_factory.mktemp("made")
    return {
        "concat": combine_adapters(family.adapters, [3, 1, -1], out=root / "concat"),
        "svd": combine_adapters(family.adapters, out=root / "svd", as_="svd", rank=3),
        "extract": extract_adapter(family.tuned, family.base, energy=0.8, out=root / "extract"),
    }


@pytest.fixture
def copied(made, tmp_path):
    """Returns a copy of one of them to be altered."""
    return lambda form: Path(shutil.copytree(made[form].path, tmp_path / form))


def alter(folder: Path, change) -> None:
    """Rewrites the tensors and makes the digests in soup.json fit, so that only the derivation can tell."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    make_digests_fit(folder)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


@pytest.mark.parametrize("form", FORMS)
def test_what_was_published_is_identical(form, made, capsys):
    repo = unique(form)
    assert run("push", str(made[form].path), repo) == 0
    assert f"hf-soup verify {repo}" in capsys.readouterr().out
    assert run("verify", repo, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["exit_code"]) == ("identical", 0)
    assert (found["tensors"], found["files"], found["contradictions"]) == ([], [], [])
    assert found["weights"]["tensors"]["identical"] == len(load_file(made[form].path / WEIGHTS))
    assert len(found["ingredients"]) == len(made[form].record.ingredients)


@pytest.mark.parametrize("form", FORMS)
def test_an_altered_factor_is_found_and_its_module_named(form, copied, capsys):
    folder = copied(form)
    alter(folder, lambda tensors: tensors[B].mul_(1.01))
    assert run("verify", str(folder)) == 4
    told = capsys.readouterr().out
    assert "is NOT what its card says" in told
    assert MODULE in told
    assert [one.name for one in verify(folder).tensors if one.verdict is not Verdict.IDENTICAL] == [B]


def test_other_factors_of_the_same_update_are_equal_within_rounding(copied, capsys):
    """As another processor's decomposition has them: vectors may turn round, last bits differ."""

    def turn(tensors):
        turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
        tensors[A], tensors[B] = turned @ tensors[A], tensors[B] @ turned.T

    folder = copied("svd")
    alter(folder, turn)
    found = verify(folder)
    assert (found.verdict, found.exit_code) == (Verdict.EQUAL, 0)
    assert {one.name for one in found.tensors if one.verdict is Verdict.EQUAL} == {A, B}
    assert run("verify", str(folder)) == 0
    assert "at most 1e-05 of its norm" in capsys.readouterr().out
    assert verify(folder).to_json()["weights"]["verdict"] == "equal within rounding"


def test_a_scale_that_one_factor_takes_and_the_other_gives_back_is_different(copied):
    """The product is the same in float32; in 16 bits A would overflow and B vanish."""

    def scale(tensors):
        tensors[A].mul_(1e30)
        tensors[B].div_(1e30)

    folder = copied("svd")
    alter(folder, scale)
    found = verify(folder)
    assert found.exit_code == 4
    assert all("other norms" in one.note for one in found.tensors if one.verdict is Verdict.DIFFERENT)


@pytest.mark.parametrize(
    ("sentence", "other"),
    [("Base model: `", "Base model: `tester/famous`, alias `"), ("A LoRA of rank", "A LoRA of rank 9")],
)
def test_the_cards_sentences_on_base_and_kind_are_compared(copied, sentence, other):
    folder = copied("svd")
    card = folder / "README.md"
    assert sentence in card.read_text()
    assert verify(folder).exit_code == 0
    card.write_text(card.read_text().replace(sentence, other))
    [said] = verify(folder).contradictions
    assert sentence.strip("`") in said
    assert verify(folder).exit_code == 4


def test_a_folder_here_that_is_named_like_the_base_changes_nothing(made, family, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_base(tmp_path / family.base)
    found = verify(made["concat"].path)
    assert (found.exit_code, found.contradictions) == (0, ())
    assert AdapterFolder.open(made["concat"].path).problems(frozenset()) == []


def test_a_base_that_no_adapter_names_is_said_and_cannot_be_denied(family, tmp_path):
    """Of the same shapes, so that only the weights tell."""
    made = combine_adapters(family.adapters, base=family.tuned, out=tmp_path / "out")
    assert any("not those of" in warning and family.tuned in warning for warning in made.warnings)
    assert made.record.base_is_theirs is False
    assert "name another base model" in (made.path / "README.md").read_text()
    honest = verify(made.path)
    assert honest.exit_code == 0
    assert ["none of the ingredients names" in file.finding for file in honest.files] == [True]
    edit_json(made.path / "soup.json", base_is_theirs=True)
    forged = verify(made.path)
    assert forged.exit_code == 4
    assert any("says that one does" in file.finding for file in forged.files)


def test_a_copy_of_the_base_is_theirs(family, tmp_path):
    copy = upload(family.root / "base", "copy")
    made = combine_adapters(family.adapters, base=copy, out=tmp_path / "out")
    assert made.record.base_is_theirs is True
    assert not any("not those of" in warning for warning in made.warnings)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_different(copied, value, capsys):
    folder = copied("svd")
    alter(folder, lambda tensors: tensors[A].view(-1)[3:4].fill_(value))
    assert run("verify", str(folder), "--json") == 4
    [tensor] = json.loads(capsys.readouterr().out)["tensors"]
    assert (tensor["name"], tensor["verdict"]) == (A, "different")


def test_of_a_concatenation_every_byte_counts(copied):
    folder = copied("concat")
    alter(folder, lambda tensors: (tensors[A].mul_(-1), tensors[B].mul_(-1)))
    assert verify(folder).exit_code == 4


@pytest.mark.parametrize("form", ["svd", "extract"])
def test_a_head_that_is_held_in_full_must_be_equal_to_the_bit(form, copied):
    folder = copied(form)
    name = next(name for name in load_file(folder / WEIGHTS) if "classifier" in name)
    alter(folder, lambda tensors: tensors[name].view(torch.int32).add_(1))
    found = verify(folder)
    assert found.exit_code == 4
    assert [one.name for one in found.tensors if one.verdict is not Verdict.IDENTICAL] == [name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lora_alpha": 64}, "lora_alpha is 64, made again it is"),
        ({"rank_pattern": {MODULE: 7}}, "rank_pattern is"),
        ({"use_rslora": True}, "use_rslora is true, made again it is false"),
        ({"base_model_name_or_path": "tester/other"}, 'base_model_name_or_path is "tester/other"'),
        ({"alora_invocation_tokens": [1]}, "made again it is not there"),
    ],
)
def test_an_edited_config_is_found_field_by_field(copied, change, said):
    folder = copied("concat")
    edit_json(folder / "adapter_config.json", **change)
    make_digests_fit(folder)
    found = verify(folder)
    assert found.exit_code == 4
    [file] = found.files
    assert file.path == "adapter_config.json"
    assert said in file.finding


@pytest.mark.parametrize("name", [WEIGHTS, "adapter_config.json", "tokenizer.json"])
def test_a_missing_file_is_found(copied, name):
    folder = copied("concat")
    (folder / name).unlink()
    found = verify(folder)
    assert found.exit_code == 4
    assert name in {file.path for file in found.files}


@pytest.mark.parametrize("name", ["adapter_model.bin", "model.safetensors", "config.json"])
def test_a_file_that_would_be_loaded_too_is_found(copied, name):
    folder = copied("concat")
    (folder / name).write_bytes(b"{}")
    found = verify(folder)
    assert (found.exit_code, [file.path for file in found.files]) == (4, [name])


def test_files_that_differ_from_the_record_are_found(copied):
    folder = copied("concat")
    (folder / "tokenizer_config.json").write_text("{}")
    findings = {file.finding for file in verify(folder).files}
    assert findings == {
        "differs from that of the first ingredient, where it was taken from",
        "has another digest than soup.json says",
    }


def test_weights_and_recipe_altered_alike_contradict_the_card(family, copied, tmp_path):
    folder = copied("concat")
    other = combine_adapters(family.adapters, [1, 1, 1], out=tmp_path / "other").path
    for name in (WEIGHTS, "soup.json"):
        shutil.copy(other / name, folder / name)
    found = verify(folder)
    assert (found.weights, found.exit_code) == (Verdict.IDENTICAL, 4)
    assert any("table of ingredients" in one for one in found.contradictions)


def test_an_embellished_energy_contradicts_the_derivation(copied):
    folder = copied("svd")
    modules = json.loads((folder / "soup.json").read_text())["modules"]
    modules[MODULE]["energy"] = 0.9999
    edit_json(folder / "soup.json", modules=modules)
    found = verify(folder)
    assert found.exit_code == 4
    assert any(MODULE in one and "0.9999" in one for one in found.contradictions)
    assert any("table of modules" in one for one in found.contradictions)


def test_an_ingredient_that_vanished_is_named(family, tmp_path, capsys):
    folder = write_adapter(tmp_path / "gone", family.base, 9)
    gone = upload(folder, "gone")
    made = combine_adapters([family.adapters[0], gone], out=tmp_path / "made")
    repo = unique("soup")
    made.push_to_hub(repo)
    HfApi().delete_repo(gone)
    HfApi().create_repo(gone)
    assert run("verify", repo) == 2
    assert gone in capsys.readouterr().err
    sources = {gone: folder}
    assert verify(repo, ingredients=sources).exit_code == 0


def test_folders_are_supplied_by_name_and_told_from_others(family, tmp_path):
    folders = [
        write_adapter(tmp_path / name, family.base, seed) for seed, name in enumerate(("one", "two", "three"), 5)
    ]
    made = combine_adapters(folders[:2], out=tmp_path / "made")
    repo = unique("soup")
    made.push_to_hub(repo)
    with pytest.raises(InputError) as error:
        verify(repo)
    assert [problem.split(" is not on")[0] for problem in error.value.problems] == [
        "The ingredient 'one'",
        "The ingredient 'two'",
    ]
    assert run("verify", repo, "--ingredient", f"one={folders[0]}", "--ingredient", f"two={folders[1]}") == 0
    assert run("verify", repo, "--ingredient", f"one={folders[0]}", "--ingredient", f"two={folders[2]}") == 4
    wrong = verify(repo, ingredients={"one": folders[0], "two": folders[2]})
    assert any("not the model that soup.json recorded for two" in one for one in wrong.contradictions)


def test_tensors_that_are_mixed_with_the_base_are_read_from_it_again(family, tmp_path):
    headless = upload(write_adapter(tmp_path / "headless", family.base, 9, task_type=None), "headless")
    made = combine_adapters([family.adapters[0], headless], out=tmp_path / "made")
    assert made.record.base_record is not None
    found = verify(made.path)
    assert (found.exit_code, found.contradictions, found.files) == (0, (), ())
    assert any(label.startswith(family.base) for label in found.ingredients)


def test_an_extraction_with_vectors_in_full_and_one_by_energy(family, tmp_path):
    made = extract_adapter(family.tuned, family.base, rank=2, full=True, out=tmp_path / "full")
    assert made.record.left_out == {} or all("embed" in name for name in made.record.left_out)
    assert verify(made.path).verdict is Verdict.IDENTICAL


def test_the_smallest_rank_of_an_energy_is_found_again(family, tmp_path):
    made = combine_adapters(family.adapters, out=tmp_path / "made", as_="svd", rank="auto", energy=0.9)
    assert verify(made.path).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize("change", [{"weights": [1.0]}, {"ingredients": [], "weights": []}])
def test_a_record_that_is_not_complete_is_refused(copied, change):
    folder = copied("concat")
    edit_json(folder / "soup.json", **change)
    with pytest.raises(InputError, match="is not complete"):
        verify(folder)


def test_a_record_of_an_unknown_kind_is_refused(copied):
    folder = copied("concat")
    edit_json(folder / "soup.json", format="hf-soup-else")
    with pytest.raises(InputError, match="format: 'hf-soup-else'"):
        verify(folder)


def test_a_base_that_vanished_is_no_obstacle_where_no_number_of_it_is_needed(tmp_path):
    api = HfApi()
    base = upload(write_base(tmp_path / "base"), "fleeting-base")
    adapters = [upload(write_adapter(tmp_path / str(seed), base, seed), "adapter") for seed in (1, 2)]
    made = combine_adapters(adapters, out=tmp_path / "made")
    api.delete_repo(base)
    found = verify(made.path)
    assert (found.verdict, found.files, found.contradictions) == (Verdict.IDENTICAL, (), ())


def test_an_adapter_that_was_extracted_from_another_one(family, tmp_path):
    dora = write_adapter(tmp_path / "dora", family.base, 4, use_dora=True)
    made = extract_adapter(dora, family.base, rank=4, out=tmp_path / "made")
    found = verify(made.path, ingredients={"dora": dora})
    assert (found.verdict, found.files, found.contradictions) == (Verdict.IDENTICAL, (), ())
