"""What was trained from private weights stays private, by whatever way it is published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest
from finetuned import ONCE, TEXT, held_out, held_out_rows, trained_on, training_rows
from huggingface_hub import hf_hub_url, snapshot_download
from published_ensembles import upload
from test_ensembles_cli import run
from tiny_adapters import save_adapter
from tiny_models import write_csv
from voting_models import save_text_model

from hf_soup import Ensemble, verify
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.errors import InputError
from hf_soup.publishing import push

pytestmark = pytest.mark.hub

LEAK = "would make weights that were trained from those of"


@pytest.fixture(scope="module")
def of_secret(tmp_path_factory) -> Path:
    """A saved ensemble that was trained from a private model and from a public one."""
    root = tmp_path_factory.mktemp("secret")
    secret = upload("tester/ft-hush", save_text_model("bert", 8), private=True)
    ensemble = Ensemble({"bert": [secret], "distil": [upload("tester/ft-open", save_text_model("distilbert", 3))]})
    ensemble.fit(held_out(), train=trained_on(), out=root / "members", **ONCE)
    return ensemble.save(root / "votes")


def files_of(api, repo: str) -> list[str]:
    return [one for one in api.list_repo_files(repo) if one != ".gitattributes"]


def test_what_was_trained_from_private_weights_becomes_public_only_by_an_explicit_yes(
    capsys, hub, repo, api, of_secret
):
    code, _, err = run(capsys, "ensemble", "push", of_secret, repo)
    assert (code, f"{LEAK} tester/ft-hush public" in err) == (2, True), err
    assert "--publish-private-weights" in err
    assert "--bundle" not in err  # there is no other place where these members could be
    code, _, err = run(capsys, "push", of_secret, repo, "--name-private")
    assert (code, LEAK in err) == (2, True), err
    with pytest.raises(InputError, match=LEAK):
        Ensemble.from_pretrained(of_secret).push_to_hub(repo)
    assert files_of(api, repo) == []
    code, _, err = run(capsys, "ensemble", "push", of_secret, repo, "--publish-private-weights")
    assert code == 0, err
    assert httpx.get(hf_hub_url(repo, "members/0/model.safetensors"), follow_redirects=True).status_code == 200


def test_by_way_of_a_private_repository_they_do_not_become_public_either(hub, repo, api, of_secret, tmp_path):
    push(of_secret, f"{repo}-private", private=True)
    loaded = Ensemble.from_pretrained(f"{repo}-private")
    with pytest.raises(InputError, match=f"{LEAK} tester/ft-hush public"):
        loaded.push_to_hub(repo)
    with pytest.raises(InputError, match=f"{LEAK} tester/ft-hush public"):
        loaded.fit(held_out(), method="equal").push_to_hub(repo)
    assert files_of(api, repo) == []


def test_what_is_trained_again_still_comes_of_the_private_model(hub, repo, api, of_secret, tmp_path):
    """Its start is a folder then, which does not say what it is a copy of."""
    again = Ensemble.from_pretrained(of_secret)
    again.fit(held_out(), train=trained_on(), out=tmp_path / "m", **ONCE)
    with pytest.raises(InputError, match=f"{LEAK} tester/ft-hush public"):
        again.push_to_hub(repo)
    again.push_to_hub(repo, publish_private_weights=True)
    there = Path(snapshot_download(repo))
    assert "ft-hush" not in (there / "README.md").read_text() + (there / ENSEMBLE_RECORD).read_text()
    assert "tester/ft-open" in (there / "README.md").read_text()
    assert verify(repo).exit_code == 0


def test_fitting_and_publishing_in_one_command_asks_too(capsys, hub, repo, api, tmp_path):
    secret = upload("tester/ft-hush-2", save_text_model("bert", 9), private=True)
    data, rows = write_csv(tmp_path / "h.csv", held_out_rows()), write_csv(tmp_path / "t.csv", training_rows())
    code, _, err = run(
        capsys, "ensemble", "fit", f"--family=bert={secret}", "--data", data, "--task", TEXT, "--finetune", "--train",
        rows, "--epochs", 1, "--method", "equal", "-o", tmp_path / "votes", "--push", repo,
    )  # fmt: skip
    assert (code, f"{LEAK} tester/ft-hush-2 public" in err) == (2, True), err
    assert files_of(api, repo) == []


def test_a_private_base_of_an_adapter_and_a_start_that_has_vanished_count(hub, repo, api, tmp_path):
    plain = save_text_model("bert", 10)
    base = upload("tester/ft-base", plain, private=True)
    adapter = save_adapter(
        tmp_path / "adapter", plain, "AutoModelForSequenceClassification", task_type="SEQ_CLS", r=2,
        target_modules=["query", "value"],
    )  # fmt: skip
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": base}))
    gone = upload("tester/ft-gone", save_text_model("distilbert", 4))
    ensemble = Ensemble({"lora": [upload("tester/ft-lora", adapter)], "distil": [gone]})
    ensemble.fit(held_out(), train=trained_on(), out=tmp_path / "m", **ONCE)
    folder = ensemble.save(tmp_path / "votes")
    with pytest.raises(InputError, match=f"{LEAK} tester/ft-base public"):
        push(folder, repo)
    api.delete_repo(gone)
    with pytest.raises(InputError, match=f"{LEAK} tester/ft-base, tester/ft-gone public"):
        push(folder, repo)
    assert files_of(api, repo) == []


def test_fine_tuned_members_that_were_left_on_the_machine_are_not_pushed_without(hub, repo, of_secret, tmp_path):
    """As an earlier version saved them."""
    folder = Path(shutil.copytree(of_secret, tmp_path / "votes"))
    record = EnsembleRecord.read(folder / ENSEMBLE_RECORD)
    for member in record.members:
        member.folder = None
    record.outputs = {}
    record.write(folder)
    shutil.rmtree(folder / "members")
    with pytest.raises(
        InputError, match=r"votes: the fine-tuned member 'tester/ft-hush \(fine-tuned\)' lies only on"
    ) as told:
        push(folder, repo, license="mit")
    assert len(told.value.problems) == 2


def test_a_trained_folder_remembers_what_it_was_trained_from(hub, repo, api, tmp_path):
    """It may become a member of another ensemble, or a start of another training."""
    secret = upload("tester/ft-hush-3", save_text_model("bert", 11), private=True)
    Ensemble({"bert": [secret]}).fit(held_out(), train=trained_on(), out=tmp_path / "m", **ONCE)
    (trained,) = (tmp_path / "m").iterdir()
    other = Ensemble({"mine": {"mine": trained}}).fit(held_out(), method="equal")
    with pytest.raises(InputError, match="would make the weights of, or trained from, tester/ft-hush-3 public"):
        other.push_to_hub(repo, bundle=True)
    other.fit(held_out(), train=trained_on(), out=tmp_path / "n", **ONCE)
    with pytest.raises(InputError, match=f"{LEAK} tester/ft-hush-3 public"):
        other.push_to_hub(repo)
    assert files_of(api, repo) == []
    Ensemble({"mine": {"mine": trained}}).fit(held_out(), method="equal").push_to_hub(
        repo, bundle=True, license="mit", publish_private_weights=True
    )
    there = Path(snapshot_download(repo))
    assert not [path for path in there.rglob("*.json") if "ft-hush" in path.read_text() or "trained_from" in path.name]
    assert verify(repo).exit_code == 0


@pytest.mark.parametrize("finetune", [False, True])
def test_a_folder_out_of_a_bundle_remembers_it_too(hub, repo, api, tmp_path, finetune):
    secret = upload("tester/ft-hush-4", save_text_model("bert", 12), private=True)
    how = {"train": trained_on(), "out": tmp_path / "m", **ONCE} if finetune else {"method": "equal"}
    bundle = Ensemble({"bert": [secret]}).fit(held_out(), **how).save(tmp_path / "votes", bundle=True)
    other = Ensemble({"mine": {"mine": bundle / "members" / "0"}}).fit(held_out(), method="equal")
    with pytest.raises(InputError, match="would make the weights of, or trained from, tester/ft-hush-4 public"):
        other.push_to_hub(repo, bundle=True)
    assert files_of(api, repo) == []
    assert verify(bundle).exit_code == 0
