"""Adapters that were made here, published to the loopback Hub: what arrives, and that PEFT and transformers load it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from adapter_hub import edit_json, unique, upload, upload_family
from adapter_samples import logits, weighted_full_model, write_adapter, write_base
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from peft import AutoPeftModelForSequenceClassification, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification

from hf_soup.adapters import MadeAdapter, combine_adapters, extract_adapter
from hf_soup.errors import InputError
from hf_soup.publishing import push, verify

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    return upload_family(tmp_path_factory.mktemp("family"))


@pytest.fixture
def made(family, tmp_path) -> MadeAdapter:
    return combine_adapters(family.adapters, [2, 1, 1], out=tmp_path / "made")


def test_a_published_adapter_loads_by_its_name_alone(family, made, hub):
    repo = unique("soup")
    url = made.push_to_hub(repo)
    assert url.startswith(f"{HfApi().endpoint}/{repo}/commit/")
    folders = [family.root / f"adapter-{number}" for number in range(3)]
    expected = logits(weighted_full_model(family.root / "base", folders, [0.5, 0.25, 0.25]))
    base = BertForSequenceClassification.from_pretrained(family.base)
    for model in (
        PeftModel.from_pretrained(base, repo),
        AutoModelForSequenceClassification.from_pretrained(repo),
        AutoPeftModelForSequenceClassification.from_pretrained(repo),
    ):
        torch.testing.assert_close(logits(model), expected, atol=2e-5, rtol=2e-5)


def test_the_card_is_valid_and_says_what_it_is_and_how_to_check_it(family, made, hub):
    repo = unique("soup")
    made.push_to_hub(repo)
    assert {request.status for request in hub.requests if request.path == "/api/validate-yaml"} == {200}
    card = ModelCard.load(repo)
    assert card.data.library_name == "peft"
    assert card.data.base_model == [family.base, *family.adapters]
    assert card.data.base_model_relation == "merge"
    assert card.data.license == "mit"
    assert f"hf-soup verify {repo}" in card.content
    assert f'from_pretrained("{repo}")' in card.content
    assert "was not evaluated" in card.content
    assert all(one.revision in card.content for one in made.record.ingredients)


def test_the_local_folder_stays_as_it_is_and_a_second_push_changes_nothing(made):
    before = {path.name: path.read_bytes() for path in made.path.iterdir()}
    repo = unique("soup")
    assert made.push_to_hub(repo) == made.push_to_hub(repo)
    assert {path.name: path.read_bytes() for path in made.path.iterdir()} == before


def test_a_pull_request_and_a_branch(made, api):
    repo = unique("soup")
    api.create_repo(repo)
    assert "/discussions/1" in made.push_to_hub(repo, create_pr=True)
    made.push_to_hub(repo, revision="candidate")
    assert verify(repo, revision="candidate").exit_code == 0
    assert verify(repo, revision="refs/pr/1").exit_code == 0
    with pytest.raises(InputError, match=r"has no soup\.json"):
        verify(repo)


def test_a_full_model_that_was_there_before_is_removed_in_the_same_commit(family, made, api):
    repo = upload(family.root / "tuned", "model")
    made.push_to_hub(repo)
    files = api.list_repo_files(repo)
    assert "model.safetensors" not in files
    assert "config.json" not in files
    assert verify(repo).exit_code == 0


def test_weights_and_config_must_be_those_that_were_made(made):
    edit_json(made.path / "adapter_config.json", lora_alpha=99)
    with pytest.raises(InputError, match=r"adapter_config\.json of made: was changed after it was made"):
        made.push_to_hub(unique("soup"))


def test_changed_weights_are_not_published(made, api):
    tensors = load_file(made.path / "adapter_model.safetensors")
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, made.path / "adapter_model.safetensors")
    repo = unique("soup")
    with pytest.raises(InputError, match=r"adapter_model\.safetensors of made: was changed"):
        made.push_to_hub(repo)
    assert not api.repo_exists(repo)


def test_a_token_in_a_file_is_not_published(made, api):
    (made.path / "notes.txt").write_text("hf_" + "a" * 34)
    repo = unique("soup")
    with pytest.raises(InputError, match=r"notes\.txt of made: holds an access token"):
        made.push_to_hub(repo)
    assert not api.repo_exists(repo)


def test_licences_that_differ_need_a_choice(family, tmp_path):
    folder = write_adapter(tmp_path / "other", family.base, 9)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    made = combine_adapters([family.adapters[0], upload(folder, "other")], out=tmp_path / "made")
    with pytest.raises(InputError, match="licences differ"):
        made.push_to_hub(unique("soup"))
    repo = unique("soup")
    made.push_to_hub(repo, license="apache-2.0")
    assert ModelCard.load(repo).data.license == "apache-2.0"


def test_a_private_ingredient_is_not_named_in_public_and_can_be_supplied(family, tmp_path):
    folder = write_adapter(tmp_path / "secret", family.base, 9)
    (folder / "README.md").write_text("---\nlicense: mit\ndatasets:\n- tester/secret-words\n---\n")
    secret = upload(folder, "secret", private=True)
    made = combine_adapters([family.adapters[0], secret], out=tmp_path / "made")
    repo = unique("soup")
    push(made.path, repo)
    texts = [Path(hf_hub_download(repo, name)).read_text() for name in ("README.md", "soup.json")]
    assert not any(secret in text or "secret-words" in text for text in texts)
    alias = json.loads(texts[1])["ingredients"][1]["name"]
    assert f"--ingredient '{alias}=DIR'" in texts[0]
    with pytest.raises(InputError, match=f"The ingredient '{alias}' is not on the Hub"):
        verify(repo)
    found = verify(repo, ingredients={alias: f"{secret}@{made.record.ingredients[1].revision}"})
    assert (found.exit_code, found.contradictions) == (0, ())


def test_a_private_base_cannot_be_left_unnamed(tmp_path, api):
    base = upload(write_base(tmp_path / "base"), "secret-base", private=True)
    adapter = upload(write_adapter(tmp_path / "one", base, 1), "adapter")
    made = combine_adapters([adapter], out=tmp_path / "made")
    repo = unique("soup")
    with pytest.raises(InputError, match=f"names the base {base}, which is private"):
        made.push_to_hub(repo)
    assert not api.repo_exists(repo)
    made.push_to_hub(unique("soup"), private=True)
    made.push_to_hub(repo, name_private=True)
    assert verify(repo).exit_code == 0


def test_a_base_that_only_this_machine_knows_is_refused(tmp_path, api):
    base = write_base(tmp_path / "base")
    made = combine_adapters([write_adapter(tmp_path / "one", base, 1)], out=tmp_path / "made")
    repo = unique("soup")
    with pytest.raises(InputError, match="by a folder of this machine"):
        made.push_to_hub(repo)
    assert not api.repo_exists(repo)


def test_an_extracted_adapter_is_published_with_its_base(family, tmp_path):
    made = extract_adapter(family.tuned, family.base, rank=3, out=tmp_path / "made")
    repo = unique("extracted")
    made.push_to_hub(repo)
    card = ModelCard.load(repo)
    assert (card.data.base_model, card.data.library_name) == ([family.base], "peft")
    model = PeftModel.from_pretrained(BertForSequenceClassification.from_pretrained(family.base), repo)
    assert model.peft_config["default"].r == 3
    assert verify(repo).exit_code == 0
