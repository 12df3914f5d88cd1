"""Publishing ensembles: private members stay unnamed, nothing of this machine goes along, old results make room."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import snapshot_download
from published_ensembles import copied, held_out, on_hub, ready_made, saved, upload
from tiny_models import sentences
from voting_models import keyword, save_text_model, shared

from hf_soup import verify
from hf_soup.cli import main
from hf_soup.ensembles import Ensemble
from hf_soup.ensembles.record import ENSEMBLE_RECORD, EnsembleRecord
from hf_soup.errors import InputError, SoupError
from hf_soup.publishing import push

pytestmark = pytest.mark.hub

TEXTS = [row["text"] for row in sentences(12, 9)]


def fetched(repo: str) -> Path:
    return Path(snapshot_download(repo))


def test_a_saved_ensemble_is_pushed_with_card_pictures_and_metrics(hub, repo):
    push(saved(), repo)
    there = fetched(repo)
    expected = {"README.md", ENSEMBLE_RECORD, "metrics.json", "weights.png", "reliability.png"}
    assert expected <= {path.name for path in there.iterdir()}
    card = (there / "README.md").read_text()
    assert f'Ensemble.from_pretrained("{repo}")' in card
    assert "base_model:\n- tester/e3-bert-0" in card
    assert "license: mit" in card
    assert not list(there.rglob("*.safetensors"))
    assert verify(repo).exit_code == 0


def test_pushing_again_changes_nothing(hub, repo):
    first = push(saved(), repo)
    assert push(saved(), repo) == first


def test_an_edited_card_is_kept(hub, repo, tmp_path):
    folder = copied(saved(), tmp_path / "votes")
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nMy own words.\n")
    push(folder, repo)
    assert "My own words." in (fetched(repo) / "README.md").read_text()


def test_private_members_stand_there_by_digest_and_can_be_supplied(hub, repo, tmp_path):
    secret = upload(
        "tester/e3-secret", shutil.copytree(shared(save_text_model, "bert", 5), tmp_path / "m"), private=True
    )
    ensemble = Ensemble({"bert": [secret], "distil": on_hub()["distil"]}).fit(held_out(), tiers="flat", folds=2)
    folder = ensemble.save(tmp_path / "votes")
    push(folder, repo, license="mit")
    there = fetched(repo)
    for path in there.iterdir():
        if path.suffix in (".json", ".md"):
            assert "e3-secret" not in path.read_text(), path.name
    record = EnsembleRecord.read(there / ENSEMBLE_RECORD)
    alias = record.members[0].name
    assert re.fullmatch("private-[0-9a-f]{8}", alias)
    assert record.supplied() == [alias]
    with pytest.raises(InputError, match=f"The member '{alias}' is not on the Hub"):
        Ensemble.from_pretrained(repo)
    loaded = Ensemble.from_pretrained(repo, members={alias: secret})
    np.testing.assert_allclose(loaded.predict(TEXTS).probabilities, ensemble.predict(TEXTS).probabilities, atol=1e-6)
    assert verify(repo, ingredients={alias: secret}).exit_code == 0
    push(folder, repo, license="mit", name_private=True)
    assert "e3-secret" in (fetched(repo) / "README.md").read_text()


def test_a_bundle_is_loaded_from_its_own_repository_at_one_commit(hub, repo, tmp_path):
    ensemble = Ensemble({"bert": [shared(save_text_model, "bert", 1)], "distil": on_hub()["distil"]})
    ensemble.fit(held_out(), method="equal", folds=2)
    ensemble.push_to_hub(repo, bundle=True, license="mit")
    loaded = Ensemble.from_pretrained(repo)
    refs = [member.checkpoint.ref for member in loaded.opened().members]
    assert {ref.repo_id for ref in refs} == {repo}
    assert [ref.subfolder for ref in refs] == ["members/0", "members/1"]
    np.testing.assert_allclose(loaded.predict(TEXTS).probabilities, ensemble.predict(TEXTS).probabilities, atol=1e-6)
    found = verify(repo)
    assert found.exit_code == 0, str(found)


@pytest.fixture(scope="module")
def with_secret(tmp_path_factory) -> Path:
    """A bundle of a private and a public member, under a licence that was given."""
    root = tmp_path_factory.mktemp("bundle")
    secret = upload("tester/e3-hush", shutil.copytree(shared(save_text_model, "bert", 5), root / "m"), private=True)
    ensemble = Ensemble({"bert": [secret], "distil": on_hub()["distil"]}).fit(held_out(), method="equal", folds=2)
    return ensemble.save(root / "votes", bundle=True, license="apache-2.0")


def test_a_private_members_weights_become_public_only_by_an_explicit_yes(hub, repo, api, with_secret):
    with pytest.raises(InputError, match="would make the weights of tester/e3-hush public") as caught:
        Ensemble.from_pretrained(with_secret).push_to_hub(repo)
    assert len(caught.value.problems) == 1
    assert all(way in str(caught.value) for way in ("--private", "--bundle", "--publish-private-weights"))
    assert not [one for one in api.list_repo_files(repo) if one != ".gitattributes"]
    with pytest.raises(InputError, match="would make the weights"):
        push(with_secret, repo, name_private=True)
    with pytest.raises(SystemExit) as refused:
        main(["ensemble", "push", str(with_secret), repo])
    assert refused.value.code == 2
    with pytest.raises(SystemExit) as done:
        main(["ensemble", "push", str(with_secret), repo, "--publish-private-weights"])
    assert not done.value.code
    there = fetched(repo)
    assert (there / "members" / "0" / "model.safetensors").is_file()
    assert "e3-hush" not in (there / "README.md").read_text() + (there / ENSEMBLE_RECORD).read_text()


def test_a_private_repository_takes_a_private_members_weights(hub, api, with_secret):
    push(with_secret, "tester/e3-kept-private", private=True)
    assert api.model_info("tester/e3-kept-private").private
    assert "e3-hush" in (fetched("tester/e3-kept-private") / "README.md").read_text()


def test_a_loaded_bundle_is_published_again_with_members_and_licence(hub, repo, with_secret, tmp_path):
    """From a folder, from the Hub, and after another fit; the name that was withheld stays so."""
    first = Ensemble.from_pretrained(with_secret)
    expected = first.predict(TEXTS).probabilities
    first.push_to_hub(repo, publish_private_weights=True)
    second = Ensemble.from_pretrained(repo)
    second.push_to_hub(f"{repo}-again")
    third = Ensemble.from_pretrained(with_secret)
    third.fit(held_out(), method="equal", folds=2)
    third.push_to_hub(f"{repo}-fitted", publish_private_weights=True)
    recorded = EnsembleRecord.read(with_secret / ENSEMBLE_RECORD)
    for name in (repo, f"{repo}-again", f"{repo}-fitted"):
        there = fetched(name)
        text = (there / "README.md").read_text()
        assert "license: apache-2.0" in text, name
        assert "e3-hush" not in text + (there / ENSEMBLE_RECORD).read_text(), name
        record = EnsembleRecord.read(there / ENSEMBLE_RECORD)
        assert record.is_bundle, name
        assert record.ingredients[1] == recorded.ingredients[1], name
        np.testing.assert_allclose(Ensemble.from_pretrained(name).predict(TEXTS).probabilities, expected, atol=1e-6)
    saved_again = third.save(tmp_path / "again")
    assert EnsembleRecord.read(saved_again / ENSEMBLE_RECORD).ingredients == recorded.ingredients


def test_pictures_beside_an_edited_card_do_not_show_private_names(hub, repo, tmp_path):
    """Drawn for the destination, as those beside a generated card are."""
    secret = upload(
        "tester/e3-drawn", shutil.copytree(shared(save_text_model, "bert", 5), tmp_path / "m"), private=True
    )
    ensemble = Ensemble([secret, *on_hub()["distil"]]).fit(held_out(), tiers="flat", method="equal")
    folder = ensemble.save(tmp_path / "votes", license="mit")
    push(folder, repo)
    generated = (fetched(repo) / "weights.png").read_bytes()
    assert generated != (folder / "weights.png").read_bytes()
    (folder / "README.md").write_text("---\nlicense: mit\n---\nMy own words.\n")
    push(folder, repo)
    assert "My own words." in (fetched(repo) / "README.md").read_text()
    assert (fetched(repo) / "weights.png").read_bytes() == generated


def test_local_members_and_functions_are_published_by_name_and_no_path_goes_along(hub, repo, tmp_path):
    folder = shared(save_text_model, "bert", 1)
    ensemble = Ensemble({"bert": {"mine": folder}, "rule": [keyword]}).fit(held_out(), method="equal", folds=2)
    ensemble.push_to_hub(repo)
    there = fetched(repo)
    assert not (there / ".local_members.json").exists()
    text = (there / "README.md").read_text() + (there / ENSEMBLE_RECORD).read_text()
    assert str(folder) not in text
    assert "mine" in text
    assert "--ingredient 'mine=DIR'" in text
    loaded = Ensemble.from_pretrained(repo, members={"mine": folder, "keyword": keyword})
    assert loaded.predict(TEXTS).labels == ensemble.predict(TEXTS).labels


def test_what_an_earlier_model_left_is_removed_and_the_other_way_round(hub, repo, api, tmp_path):
    api.upload_folder(repo_id=repo, folder_path=shared(save_text_model, "bert", 1))
    push(ready_made(), repo)
    names = {path.name for path in fetched(repo).iterdir()}
    assert "model.safetensors" not in names
    assert "config.json" not in names
    assert verify(repo).exit_code == 0


def test_a_forged_bundle_is_not_pushed(hub, repo, tmp_path):
    ensemble = Ensemble({"bert": [shared(save_text_model, "bert", 1)]}).fit(held_out(), method="equal", folds=2)
    folder = ensemble.save(tmp_path / "votes", bundle=True)
    (folder / "members" / "0" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"members/0/config\.json of votes: was changed"):
        push(folder, repo)


def test_a_repository_that_has_vanished_is_named_or_done_without(hub, api, tmp_path):
    name = upload("tester/e3-gone", shutil.copytree(shared(save_text_model, "bert", 6), tmp_path / "m"))
    ensemble = Ensemble({"bert": [name], "distil": on_hub()["distil"]}).fit(held_out(), method="equal", folds=2)
    folder = ensemble.save(tmp_path / "votes")
    api.delete_repo(name)
    with pytest.raises(SoupError, match="tester/e3-gone"):
        Ensemble.from_pretrained(folder).predict(TEXTS)
    left = Ensemble.from_pretrained(folder, on_missing="reweigh").predict(TEXTS)
    assert any("e3-gone" in warning for warning in left.warnings)
    alone = Ensemble({"distil": on_hub()["distil"]}).fit(held_out(), method="equal", folds=2)
    assert left.probabilities.shape == alone.predict(TEXTS).probabilities.shape
