"""Adapters and bases of the Hub: named, pinned, compared by digest, and of their weights no more read than is needed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from adapter_samples import CARD, loaded, logits, weighted_full_model, write_adapter, write_base
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from tiny_models import read_json
from transformers import BertForSequenceClassification

from hf_soup import Soup
from hf_soup.adapters import combine_adapters, extract_adapter
from hf_soup.cli import main
from hf_soup.errors import InputError

pytestmark = pytest.mark.hub
_NUMBER = itertools.count()


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def adapters(base, tmp_path_factory) -> list[Path]:
    root = tmp_path_factory.mktemp("adapters")
    return [write_adapter(root / "one", base, 1), write_adapter(root / "two", base, 2, r=3, target_modules=["query"])]


def upload(api: HfApi, folder: Path, name: str, **where: str) -> tuple[str, str]:
    """Returns the Hub ID and the commit."""
    repo_id = f"tester/joined-{name}-{next(_NUMBER)}"
    api.create_repo(repo_id)
    return repo_id, str(api.upload_folder(repo_id=repo_id, folder_path=folder, **where).oid)


def naming(adapter: Path, out: Path, base: str | None, revision: str | None = None) -> Path:
    """Returns a copy of an adapter that names another base."""
    out.mkdir(parents=True)
    for file in adapter.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    config = read_json(adapter / "adapter_config.json") | {"base_model_name_or_path": base, "revision": revision}
    (out / "adapter_config.json").write_text(json.dumps(config))
    return out


def another_base(base: Path, out: Path) -> Path:
    model = BertForSequenceClassification.from_pretrained(base)
    for parameter in model.parameters():
        parameter.data += 1
    model.save_pretrained(out)
    return out


def bytes_read(hub) -> int:
    """Of the weights: what came from the store, plus what the Hub itself sent of weight files."""
    weights = ("safetensors", "pytorch_model")
    return sum(
        request.sent
        for request in hub.requests
        if request.method == "GET" and (request.origin == "cdn" or any(name in request.path for name in weights))
    )


def test_references_of_the_hub_and_the_base_at_the_commit_of_today(api, base, adapters, tmp_path):
    """A repository, a tag in another one, and one of several adapters in a third; the base moves on afterwards."""
    base_id, commit = upload(api, base, "base")
    named = [naming(adapter, tmp_path / f"named-{n}", base_id) for n, adapter in enumerate(adapters)]
    first, first_commit = upload(api, named[0], "first")
    second, _ = upload(api, named[1], "second")
    api.create_tag(second, tag="v1")
    api.upload_file(repo_id=second, path_in_repo="adapter_config.json", path_or_fileobj=b"{}")
    third, _ = upload(api, named[0], "third", path_in_repo="runs/last")
    made = combine_adapters([first, f"{second}@v1", f"{third}:runs/last"], [1, 2, 1], out=tmp_path / "out", force=True)
    api.upload_folder(repo_id=base_id, folder_path=another_base(base, tmp_path / "moved"))
    assert [one.repo_id for one in made.record.ingredients] == [first, second, third]
    assert made.record.ingredients[0].revision == first_commit
    assert made.record.ingredients[2].subfolder == "runs/last"
    assert (made.record.base.name, made.record.base.revision, made.record.base_record) == (base_id, commit, None)
    config = read_json(tmp_path / "out" / "adapter_config.json")
    assert (config["base_model_name_or_path"], config["revision"]) == (base_id, commit)
    expected = weighted_full_model(base, [*adapters, adapters[0]], [0.25, 0.5, 0.25])
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), logits(expected), atol=2e-5, rtol=2e-5)


def test_peft_loads_the_base_at_the_pinned_commit(api, base, adapters, tmp_path):
    from peft import AutoPeftModelForSequenceClassification

    base_id, _ = upload(api, base, "base")
    named = [naming(adapter, tmp_path / f"named-{n}", base_id) for n, adapter in enumerate(adapters)]
    combine_adapters(named, out=tmp_path / "out")
    api.upload_folder(repo_id=base_id, folder_path=another_base(base, tmp_path / "moved"))
    model = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "out")
    expected = weighted_full_model(base, adapters, [0.5, 0.5])
    torch.testing.assert_close(logits(model), logits(expected), atol=2e-5, rtol=2e-5)


def test_of_a_base_on_the_hub_only_the_needed_head_is_read(hub, api, base, tmp_path):
    base_id, commit = upload(api, base, "base")
    parts = [write_adapter(tmp_path / "head", base, 1), write_adapter(tmp_path / "none", base, 2, task_type=None)]
    named = [naming(part, tmp_path / f"named-{n}", base_id) for n, part in enumerate(parts)]
    hub.clear_requests()
    made = combine_adapters(named, [1, 3], out=tmp_path / "out")
    assert made.record.base_record is not None
    assert (made.record.base_record.repo_id, made.record.base_record.revision) == (base_id, commit)
    assert made.record.base_record.files["model.safetensors"].sha256 is not None
    requests = [r for r in hub.requests if r.origin == "cdn" or "safetensors" in r.path]
    assert requests
    assert all(request.range for request in requests if request.method == "GET"), "no file was read as a whole"
    expected = weighted_full_model(base, parts, [0.25, 0.75])
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), logits(expected), atol=2e-5, rtol=2e-5)


def test_a_needed_head_of_a_base_that_is_a_pickle(api, base, tmp_path):
    folder = tmp_path / "pickle"
    folder.mkdir()
    torch.save(load_file(base / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    base_id, _ = upload(api, folder, "pickle")
    parts = [write_adapter(tmp_path / "head", base, 1), write_adapter(tmp_path / "none", base, 2, task_type=None)]
    named = [naming(part, tmp_path / f"named-{n}", base_id) for n, part in enumerate(parts)]
    made = combine_adapters(named, out=tmp_path / "out")
    assert list(made.record.base_record.files) == ["pytorch_model.bin"]
    expected = weighted_full_model(base, parts, [0.5, 0.5])
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), logits(expected), atol=2e-5, rtol=2e-5)


def test_a_pickle_that_is_not_needed_is_not_downloaded(hub, api, base, adapters, tmp_path):
    folder = tmp_path / "pickle"
    folder.mkdir()
    torch.save(load_file(base / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    base_id, _ = upload(api, folder, "pickle")
    hub.clear_requests()
    made = combine_adapters([naming(adapters[0], tmp_path / "named", base_id)], out=tmp_path / "out")
    assert bytes_read(hub) == 0
    assert any("has no header" in warning for warning in made.warnings)


def test_bases_of_two_names_and_equal_weights_are_one(hub, api, base, adapters, tmp_path):
    """A mirror on the Hub, and a folder with the same weights; told by digests."""
    original, commit = upload(api, base, "original")
    mirror, _ = upload(api, base, "mirror")
    named = [
        naming(adapters[0], tmp_path / "a", str(base)),
        naming(adapters[1], tmp_path / "b", original),
        naming(adapters[0], tmp_path / "c", mirror),
    ]
    hub.clear_requests()
    made = combine_adapters(named, out=tmp_path / "out", force=True)  # one of them twice
    assert (made.record.base.name, made.record.base.revision) == (original, commit)
    assert any(mirror in warning and "the same" in warning for warning in made.warnings)
    assert not [r for r in hub.requests if r.method == "GET" and r.origin == "cdn" and not r.range]


def test_bases_whose_weights_differ_are_refused_unless_one_is_named(api, base, adapters, tmp_path):
    one, _ = upload(api, base, "one")
    other, commit = upload(api, another_base(base, tmp_path / "another"), "other")
    named = [naming(adapters[0], tmp_path / "a", one), naming(adapters[1], tmp_path / "b", other)]
    with pytest.raises(InputError, match="different base models") as error:
        combine_adapters(named, out=tmp_path / "out")
    assert len(error.value.problems) == 3
    made = combine_adapters(named, base=other, out=tmp_path / "out")
    assert (made.record.base.name, made.record.base.revision) == (other, commit)


def test_two_folders_with_the_same_tensors_in_other_files_are_one_base(base, adapters, tmp_path):
    split = tmp_path / "split"
    model = BertForSequenceClassification.from_pretrained(base)
    model.save_pretrained(split, max_shard_size="40KB")
    assert len(list(split.glob("*.safetensors"))) > 1
    named = [naming(adapters[0], tmp_path / "a", str(base)), naming(adapters[1], tmp_path / "b", str(split))]
    made = combine_adapters(named, out=tmp_path / "out")
    assert made.record.base.name == str(base)
    shard = next(iter(sorted(split.glob("*.safetensors"))))
    tensors = load_file(shard)
    next(iter(tensors.values())).flatten()[0] += 1e-3
    save_file(tensors, shard, metadata={"format": "pt"})
    with pytest.raises(InputError, match="different base models"):
        combine_adapters(named, out=tmp_path / "other")


def test_a_base_that_cannot_be_reached_is_a_warning_where_it_is_not_needed(api, base, adapters, tmp_path):
    lost = [naming(adapter, tmp_path / str(n), "nobody/joined-nothing") for n, adapter in enumerate(adapters)]
    made = combine_adapters(lost, out=tmp_path / "out")
    assert (made.record.base.name, made.record.base.revision) == ("nobody/joined-nothing", None)
    (warning,) = [warning for warning in made.warnings if "was not checked" in warning]
    assert "nobody/joined-nothing" in warning
    needing = naming(
        write_adapter(tmp_path / "none", base, 3, task_type=None), tmp_path / "n", "nobody/joined-nothing"
    )
    with pytest.raises(InputError) as error:
        combine_adapters([lost[0], needing], out=tmp_path / "needs")
    (problem,) = {problem for problem in error.value.problems if "is needed" in problem}
    assert "nobody/joined-nothing" in problem
    silent = [naming(lost[0], tmp_path / "s1", None), naming(needing, tmp_path / "s2", None)]
    with pytest.raises(InputError, match="name it with --base MODEL"):
        combine_adapters(silent, out=tmp_path / "needs")
    assert combine_adapters(silent[:1], out=tmp_path / "silent").record.base.name is None


def test_a_base_in_a_subfolder_cannot_be_named(api, base, adapters, tmp_path):
    base_id, _ = upload(api, base, "inside", path_in_repo="step-1")
    with pytest.raises(InputError, match="cannot name a subfolder"):
        combine_adapters(adapters, base=f"{base_id}:step-1", out=tmp_path / "out")
    tuned = another_base(base, tmp_path / "tuned")
    with pytest.raises(InputError, match="cannot name a subfolder"):
        extract_adapter(tuned, f"{base_id}:step-1", rank=1, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_is_no_base(api, base, adapters, tmp_path):
    adapter_id, _ = upload(api, naming(adapters[0], tmp_path / "a", str(base)), "adapter")
    with pytest.raises(InputError, match="is an adapter itself"):
        combine_adapters(adapters, base=adapter_id, out=tmp_path / "out")
    with pytest.raises(InputError, match="is an adapter and cannot be the base"):
        extract_adapter(base, adapters[0], rank=1, out=tmp_path / "out")


def test_extraction_from_the_hub_records_and_names_both_commits(api, base, tmp_path):
    model = BertForSequenceClassification.from_pretrained(base)
    torch.manual_seed(3)
    query = model.bert.encoder.layer[0].attention.self.query.weight
    query.data += torch.outer(torch.randn(32), torch.randn(32))
    model.save_pretrained(tmp_path / "tuned")
    tuned_id, tuned_commit = upload(api, tmp_path / "tuned", "tuned")
    base_id, commit = upload(api, base, "base")
    made = extract_adapter(tuned_id, f"{base_id}@main", rank=1, out=tmp_path / "out")
    assert made.record.base_record == made.record.ingredients[1]
    assert (made.record.base.name, made.record.base.revision) == (base_id, commit)
    assert made.record.ingredients[0].revision == tuned_commit
    assert read_json(tmp_path / "out" / "adapter_config.json")["revision"] == commit
    assert made.record.energy == pytest.approx(1)
    torch.testing.assert_close(logits(loaded(base, tmp_path / "out")), logits(model), atol=2e-5, rtol=2e-5)


def test_the_licence_of_the_base_counts(api, base, adapters, tmp_path):
    base_id, _ = upload(api, base, "licensed")
    named = [naming(adapter, tmp_path / str(n), base_id) for n, adapter in enumerate(adapters)]
    api.upload_file(repo_id=base_id, path_in_repo="README.md", path_or_fileobj=b"---\nlicense: llama3\n---\n")
    made = combine_adapters(named, out=tmp_path / "out")
    assert "license:" not in (tmp_path / "out" / "README.md").read_text()
    assert any("licences differ" in warning and "llama3" in warning for warning in made.warnings)
    with pytest.raises(InputError, match="licences differ"):
        combine_adapters(named, out=tmp_path / "public", publish=True)
    assert not (tmp_path / "public").exists()
    combine_adapters(named, out=tmp_path / "chosen", license="llama3", publish=True)
    assert "license: llama3" in (tmp_path / "chosen" / "README.md").read_text()
    api.upload_file(
        repo_id=base_id, path_in_repo="README.md", path_or_fileobj=CARD.encode(), commit_message="the same licence"
    )
    combine_adapters(named, out=tmp_path / "agreed", publish=True)
    assert "license: mit" in (tmp_path / "agreed" / "README.md").read_text()
    merged = Soup(named).merge(out=tmp_path / "model")
    assert "license: mit" in (merged.path / "README.md").read_text()
    api.upload_file(repo_id=base_id, path_in_repo="README.md", path_or_fileobj=b"---\nlicense: llama3\n---\n")
    merged = Soup(named).merge(out=tmp_path / "model-2")
    assert any("llama3" in warning for warning in merged.warnings)


def test_the_place_of_a_push_is_checked_before_the_work(api, adapters, tmp_path):
    with pytest.raises(InputError, match="nobody-here/adapter"):
        combine_adapters(adapters, out=tmp_path / "out", publish="nobody-here/adapter")
    assert not (tmp_path / "out").exists()


def test_the_command_publishes(capsys, api, base, adapters, tmp_path):
    base_id, _ = upload(api, base, "base")
    api.upload_file(repo_id=base_id, path_in_repo="README.md", path_or_fileobj=CARD.encode())
    names = [upload(api, naming(one, tmp_path / str(n), base_id), "part")[0] for n, one in enumerate(adapters)]
    target = f"tester/joined-result-{next(_NUMBER)}"
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["adapters", "combine", *names, "-o", str(tmp_path / "out"), "--push", target, "--json"])
    assert end.value.code in (0, None)
    document = json.loads(capsys.readouterr().out)
    assert target in document["url"]
    files = api.list_repo_files(target)
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "soup.json"} <= set(files)
