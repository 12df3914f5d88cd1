"""Pushes over HTTP to the loopback Hub: what arrives, what must not, and what an interruption leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hub_merges import merged, tree, unique, upload_runs
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import load_file, save_file

from hf_soup.errors import HubError, InputError
from hf_soup.publishing import push, verify

pytestmark = pytest.mark.hub


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Repetitions follow at once, ours and those inside huggingface_hub."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def soup(api, tmp_path):
    return merged(upload_runs(api, tmp_path), tmp_path / "soup")


def downloaded(repo: str, path: str) -> bytes:
    return Path(hf_hub_download(repo, path)).read_bytes()


def test_a_push_brings_every_file_in_one_commit(soup, api):
    repo = unique("soup")
    url = push(soup, repo)
    there = tree(api, repo)
    assert {path.name for path in soup.iterdir()} == set(there) - {".gitattributes"}
    commits = api.list_repo_commits(repo)
    assert len(commits) == 2  # the Hub's own initial commit, and the push
    assert url == f"{api.endpoint}/{repo}/commit/{commits[0].commit_id}"
    assert downloaded(repo, "model.safetensors") == (soup / "model.safetensors").read_bytes()


def test_the_published_card_passes_the_validation_of_the_hub_and_names_the_destination(soup, api, hub):
    repo = unique("soup")
    push(soup, repo)
    assert {request.status for request in hub.requests if request.path == "/api/validate-yaml"} == {200}
    card = ModelCard.load(repo)
    record = json.loads((soup / "soup.json").read_text())
    assert sorted(card.data.base_model) == sorted(one["repo_id"] for one in record["ingredients"])
    assert card.data.base_model_relation == "merge"
    assert card.data.license == "mit"
    assert card.data.datasets == ["tester/words"]
    assert f"hf-soup verify {repo}" in card.content
    assert all(one["revision"] in card.content for one in record["ingredients"])
    assert "tester/base" in card.content


def test_the_local_folder_stays_as_it_is(soup):
    before = {path.name: path.read_bytes() for path in soup.iterdir()}
    push(soup, unique("soup"))
    assert {path.name: path.read_bytes() for path in soup.iterdir()} == before


def test_a_private_push_makes_a_private_repository(soup, api):
    repo = unique("soup")
    push(soup, repo, private=True)
    assert api.model_info(repo).private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=False).model_info(repo)


def test_a_private_push_into_a_public_repository_is_refused_before_anything_is_sent(soup, api, hub):
    repo = unique("soup")
    api.create_repo(repo)
    hub.clear_requests()
    with pytest.raises(InputError, match="is public, so nothing was pushed"):
        push(soup, repo, private=True)
    assert {request.method for request in hub.requests} == {"GET"}


def test_a_pull_request_leaves_main_alone_and_holds_the_model(soup, api):
    repo = unique("soup")
    api.create_repo(repo)
    before = tree(api, repo)
    url = push(soup, repo, create_pr=True)
    assert url.endswith(f"{repo}/discussions/1")
    assert tree(api, repo) == before
    assert "model.safetensors" in tree(api, repo, "refs/pr/1")


def test_the_same_pull_request_is_not_opened_twice(soup, api):
    repo = unique("soup")
    api.create_repo(repo)
    assert push(soup, repo, create_pr=True) == push(soup, repo, create_pr=True)
    assert len(list(api.get_repo_discussions(repo))) == 1


def test_a_branch_is_made_when_it_does_not_exist(soup, api):
    repo = unique("soup")
    push(soup, repo, revision="candidate")
    assert "model.safetensors" in tree(api, repo, "candidate")
    assert "model.safetensors" not in tree(api, repo, "main")


def test_a_tag_is_not_a_branch(soup, api):
    repo = unique("soup")
    api.create_repo(repo)
    api.create_tag(repo, tag="v1")
    with pytest.raises(InputError, match="'v1' is not a branch"):
        push(soup, repo, revision="v1")


def test_a_second_push_sends_nothing_and_makes_no_commit(soup, api, hub):
    repo = unique("soup")
    first = push(soup, repo)
    hub.clear_requests()
    assert push(soup, repo) == first
    assert [request for request in hub.requests if request.method != "GET"] == []


def test_an_upload_that_arrived_before_an_interruption_is_not_sent_again(soup, api, hub):
    repo = unique("soup")
    hub.faults.add("/commit/", "POST", status=403)
    with pytest.raises(InputError, match="may not write"):
        push(soup, repo)
    assert [request.path for request in hub.requests if request.method == "PUT"] != []
    hub.clear_requests()
    push(soup, repo)
    assert [request.path for request in hub.requests if request.method == "PUT"] == []
    assert "model.safetensors" in tree(api, repo)


def failure(kind: str) -> dict[str, object]:
    return {"503": {"status": 503}, "dropped": {"drop": True}, "answer lost": {"drop": "response"}}[kind]


@pytest.mark.parametrize("create_pr", [False, True], ids=["commit", "pull request"])
@pytest.mark.parametrize("kind", ["503", "dropped", "answer lost"])
def test_a_push_that_fails_at_any_request_can_be_repeated(soup, api, hub, kind, create_pr):
    whole = unique("soup")
    if create_pr:
        api.create_repo(whole)
    hub.clear_requests()
    push(soup, whole, create_pr=create_pr)
    count = len(hub.requests)
    assert count > 10
    revision = "refs/pr/1" if create_pr else "main"
    expected = set(tree(api, whole, revision))
    for number in range(count):
        repo = unique("soup")
        if create_pr:
            api.create_repo(repo)
        hub.faults.add(skip=number, times=None, **failure(kind))
        with pytest.raises(HubError, match=r"run the (same push|command) again"):
            push(soup, repo, create_pr=create_pr)
        hub.faults.clear()
        if api.repo_exists(repo) and not create_pr:
            left = set(tree(api, repo)) - {".gitattributes"}
            assert left in (set(), expected - {".gitattributes"}), f"half a model after request {number}"
        push(soup, repo, create_pr=create_pr)
        assert set(tree(api, repo, revision)) == expected
        made = len(list(api.get_repo_discussions(repo))) if create_pr else len(api.list_repo_commits(repo)) - 1
        assert made == 1, f"request {number}: {made} commits or pull requests instead of one"


@pytest.mark.parametrize("kind", ["503", "dropped", "answer lost"])
def test_one_failing_request_does_not_stop_a_push(soup, api, hub, kind):
    whole = unique("soup")
    push(soup, whole)
    hub.clear_requests()
    push(soup, unique("soup"))
    for number in range(len(hub.requests)):
        repo = unique("soup")
        hub.faults.add(skip=number, **failure(kind))
        push(soup, repo)
        hub.faults.clear()
        assert set(tree(api, repo)) == set(tree(api, whole))
        assert len(api.list_repo_commits(repo)) == 2


def test_a_branch_that_moves_meanwhile_is_said_and_nothing_is_overwritten(soup, api, hub, monkeypatch):
    repo = unique("soup")
    api.create_repo(repo)
    original = HfApi.preupload_lfs_files

    def somebody_else_is_faster(self, *args, **kwargs):
        monkeypatch.setattr(HfApi, "preupload_lfs_files", original)
        api.upload_file(repo_id=repo, path_or_fileobj=b"theirs", path_in_repo="notes.md")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(HfApi, "preupload_lfs_files", somebody_else_is_faster)
    with pytest.raises(HubError, match=r"branch moved.*run the same push again"):
        push(soup, repo)
    assert set(tree(api, repo)) == {".gitattributes", "notes.md"}
    push(soup, repo)
    assert {"notes.md", "model.safetensors"} <= set(tree(api, repo))


def test_weights_of_an_earlier_model_do_not_stay_beside_the_new_ones(soup, api):
    repo = unique("soup")
    api.create_repo(repo)
    for path in ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "notes.md"):
        api.upload_file(repo_id=repo, path_or_fileobj=b"old", path_in_repo=path)
    push(soup, repo)
    there = set(tree(api, repo))
    assert "notes.md" in there
    assert not {"model-00001-of-00002.safetensors", "model.safetensors.index.json", "pytorch_model.bin"} & there


LEFT_BEHIND = ("added_tokens.json", "chat_template.jinja", "modeling_x.py", "tf_model.h5", "1_Pooling/config.json")
KEPT = ("training_args.bin", "onnx/model.onnx", "model-Q4.gguf", "scripts/train.py", "LICENSE", "notes.md")


def test_whatever_would_be_loaded_with_the_new_weights_goes_and_is_named_and_the_result_is_verified(soup, api):
    repo, said = unique("soup"), []
    api.create_repo(repo)
    for path in (*LEFT_BEHIND, *KEPT):
        api.upload_file(repo_id=repo, path_or_fileobj=b"{}", path_in_repo=path)
    push(soup, repo, warn=said.append)
    there = set(tree(api, repo))
    assert not set(LEFT_BEHIND) & there
    assert set(KEPT) <= there
    [removed] = [sentence for sentence in said if "removed by this push" in sentence]
    assert all(path in removed for path in LEFT_BEHIND)
    assert not any(path in removed for path in KEPT)
    [kept] = [sentence for sentence in said if "leaves" in sentence]
    assert "onnx/model.onnx, " in kept or ", onnx/model.onnx" in kept
    assert "training_args.bin" not in kept
    found = verify(repo)
    assert found.exit_code == 0
    assert {file.path for file in found.files} == {"onnx/model.onnx", "model-Q4.gguf"}  # said, and not counted
    assert not any(file.counts for file in found.files)


def test_a_gitignore_of_the_destination_does_not_leave_out_files(soup, api):
    repo = unique("soup")
    api.create_repo(repo)
    api.upload_file(repo_id=repo, path_or_fileobj=b"*.safetensors\nvocab.txt\n", path_in_repo=".gitignore")
    push(soup, repo)
    assert {"model.safetensors", "vocab.txt"} <= set(tree(api, repo))


def test_licences_that_differ_are_listed_and_nothing_is_made(api, tmp_path):
    runs = upload_runs(api, tmp_path, licences=["mit", "apache-2.0", None])
    folder = merged(runs, tmp_path / "soup")
    repo = unique("soup")
    with pytest.raises(InputError) as caught:
        push(folder, repo)
    text = str(caught.value)
    assert f"{runs[0]}: mit" in text
    assert f"{runs[1]}: apache-2.0" in text
    assert f"{runs[2]}: states none" in text
    assert "--license" in text
    assert not api.repo_exists(repo)


def test_a_given_licence_settles_the_difference_and_the_card_tells_it(api, tmp_path):
    runs = upload_runs(api, tmp_path, licences=["mit", "apache-2.0", "mit"])
    repo = unique("soup")
    push(merged(runs, tmp_path / "soup"), repo, license="apache-2.0")
    card = ModelCard.load(repo)
    assert card.data.license == "apache-2.0"
    assert f"{runs[0]}: mit" in card.content


def test_no_licence_anywhere_is_a_warning(api, tmp_path):
    said = []
    repo = unique("soup")
    push(merged(upload_runs(api, tmp_path, licences=[None] * 3), tmp_path / "soup"), repo, warn=said.append)
    assert ModelCard.load(repo).data.license is None
    assert any("No ingredient's card states a licence" in sentence for sentence in said)


def test_private_ingredients_are_nameless_in_a_public_repository(api, tmp_path):
    runs = upload_runs(api, tmp_path, private=[1])
    folder = merged(runs, tmp_path / "soup")
    repo, said = unique("soup"), []
    push(folder, repo, warn=said.append)
    assert any(runs[1] in sentence and "--name-private" in sentence for sentence in said)
    for path in set(tree(api, repo)) - {".gitattributes"}:
        assert runs[1].encode() not in downloaded(repo, path), path
    published = json.loads(downloaded(repo, "soup.json"))
    local = json.loads((folder / "soup.json").read_text())
    place = [one["repo_id"] for one in local["ingredients"]].index(runs[1])
    digest = local["ingredients"][place]["fingerprint"]
    assert published["ingredients"][place]["name"] == f"private-{digest[:8]}"
    assert published["ingredients"][place]["repo_id"] is None
    assert published["ingredients"][place]["revision"] is None
    assert runs[1] not in ModelCard.load(repo).data.base_model


def test_two_commits_of_one_private_repository_keep_apart_and_can_both_be_supplied(api, tmp_path):
    runs = upload_runs(api, tmp_path, count=2, private=[0])
    first = api.model_info(runs[0]).sha
    api.upload_folder(repo_id=runs[0], folder_path=tmp_path / "source-1", allow_patterns="model.safetensors")
    second = api.model_info(runs[0]).sha
    folder = merged([f"{runs[0]}@{first}", f"{runs[0]}@{second}"], tmp_path / "soup")
    repo = unique("soup")
    push(folder, repo)
    digests = {
        one["revision"]: one["fingerprint"] for one in json.loads((folder / "soup.json").read_text())["ingredients"]
    }
    published = json.loads(downloaded(repo, "soup.json"))["ingredients"]
    assert {one["name"] for one in published} == {f"private-{digest[:8]}" for digest in digests.values()}
    assert len(digests) == len({one["name"] for one in published}) == 2
    given = {f"private-{digest[:8]}": f"{runs[0]}@{revision}" for revision, digest in digests.items()}
    assert verify(repo, ingredients=given).exit_code == 0


@pytest.mark.parametrize("options", [{"name_private": True}, {"private": True}], ids=["named", "private destination"])
def test_private_ingredients_are_named_where_that_was_wanted_or_does_no_harm(api, tmp_path, options):
    runs = upload_runs(api, tmp_path, private=[1])
    repo = unique("soup")
    push(merged(runs, tmp_path / "soup"), repo, **options)
    assert runs[1] in ModelCard.load(repo).content


def test_an_ingredient_that_cannot_be_seen_any_more_counts_as_private(api, tmp_path):
    runs = upload_runs(api, tmp_path)
    folder = merged(runs, tmp_path / "soup")
    api.delete_repo(runs[2])
    repo = unique("soup")
    push(folder, repo)
    assert runs[2] not in ModelCard.load(repo).content


@pytest.mark.parametrize("where", ["README.md", "config.json", "vocab.txt"])
def test_a_token_in_any_text_file_stops_the_push_before_it_starts(soup, api, hub, where):
    with (soup / where).open("a") as file:
        file.write(f"\n{hub.token}\n")
    repo = unique("soup")
    with pytest.raises(InputError, match=rf"{where} of soup: holds an access token") as caught:
        push(soup, repo)
    assert hub.token not in str(caught.value)
    assert not api.repo_exists(repo)


def test_an_edited_card_is_kept(soup):
    card = (soup / "README.md").read_text()
    (soup / "README.md").write_text(card.replace("## Limits", "## My own words\n\nHello.\n\n## Limits"))
    repo = unique("soup")
    push(soup, repo, license="apache-2.0")
    published = ModelCard.load(repo)
    assert "My own words" in published.content
    assert published.data.license == "apache-2.0"


def test_an_edited_card_that_names_a_private_ingredient_is_refused(api, tmp_path):
    runs = upload_runs(api, tmp_path, private=[0])
    folder = merged(runs, tmp_path / "soup")
    (folder / "README.md").write_text((folder / "README.md").read_text() + "\nThanks to everybody.\n")
    with pytest.raises(InputError, match=f"the name of the private repository {runs[0]}"):
        push(folder, unique("soup"))


def test_weights_that_were_changed_after_the_merge_are_refused(soup, api):
    tensors = load_file(soup / "model.safetensors")
    tensors["classifier.bias"] += 1
    save_file(tensors, soup / "model.safetensors", metadata={"format": "pt"})
    repo = unique("soup")
    with pytest.raises(InputError, match=r"model\.safetensors of soup: was changed after it was made"):
        push(soup, repo)
    assert not api.repo_exists(repo)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no soup\.json"):
        push(tmp_path, "tester/nothing")


def test_a_card_that_the_hub_refuses_is_said_before_any_upload(soup, hub):
    (soup / "README.md").write_text("---\nlicense: mit\nlanguage: English!\n---\n# mine\n")
    with pytest.raises(InputError, match="refuses the card"):
        push(soup, unique("soup"))


def test_a_token_that_may_not_write_is_said(soup, api):
    repo = "soup-org-of-others/soup"
    with pytest.raises(InputError, match=r"may not write|no such model repository"):
        push(soup, repo)
