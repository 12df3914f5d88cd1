"""Commits, refs and listings."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from hf_soup.localhub import LocalHub

if TYPE_CHECKING:
    from conftest import Reply, Wire

pytestmark = pytest.mark.hub


def ndjson(*lines: dict) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def header(**more: str) -> dict:
    return {"key": "header", "value": {"summary": "s", "description": "", **more}}


def file(path: str, data: bytes = b"x") -> dict:
    value = {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"}
    return {"key": "file", "value": value}


def commit(wire: Wire, repo_id: str, *lines: dict, revision: str = "main", **options: str) -> Reply:
    return wire("POST", f"/api/models/{repo_id}/commit/{revision}", body=ndjson(header(), *lines), **options)


def test_operations_of_one_commit_are_applied_in_order(api: HfApi, repo_id: str) -> None:
    api.create_commit(
        repo_id,
        [CommitOperationAdd(path, path.encode()) for path in ("a.txt", "d/b.txt", "d/c.txt", "w.bin")],
        commit_message="one",
    )
    api.create_commit(
        repo_id,
        [
            CommitOperationDelete("d/b.txt"),
            CommitOperationCopy("a.txt", "copies/a.txt"),
            CommitOperationCopy("w.bin", "copies/w.bin"),
            CommitOperationAdd("a.txt", b"changed"),
        ],
        commit_message="two",
    )
    assert set(api.list_repo_files(repo_id)) == {
        ".gitattributes",
        "a.txt",
        "copies/a.txt",
        "copies/w.bin",
        "d/c.txt",
        "w.bin",
    }
    assert Path(api.hf_hub_download(repo_id, "copies/a.txt")).read_bytes() == b"a.txt"
    assert Path(api.hf_hub_download(repo_id, "copies/w.bin")).read_bytes() == b"w.bin"
    assert Path(api.hf_hub_download(repo_id, "a.txt")).read_bytes() == b"changed"


def test_a_commit_on_an_older_parent_fails_with_412(api: HfApi, repo_id: str) -> None:
    old = api.model_info(repo_id).sha
    add = [CommitOperationAdd("a.txt", b"1")]
    first = api.create_commit(repo_id, add, commit_message="first", parent_commit=old)
    with pytest.raises(HfHubHTTPError, match="412") as failure:
        api.create_commit(repo_id, [CommitOperationAdd("b.txt", b"2")], commit_message="second", parent_commit=old)
    assert "A commit has happened since" in str(failure.value)
    assert api.model_info(repo_id).sha == first.oid


def test_an_upload_of_the_same_files_makes_no_commit(api: HfApi, repo_id: str) -> None:
    operations = [("a.txt", b"text"), ("w.bin", b"\0weights")]
    oids = [
        api.create_commit(repo_id, [CommitOperationAdd(*pair) for pair in operations], commit_message="same").oid
        for _ in range(2)
    ]
    assert oids[0] == oids[1] == api.model_info(repo_id).sha


def test_a_commit_without_operations_is_made_as_on_the_hub(api: HfApi, wire: Wire, repo_id: str) -> None:
    # The server does not guard against empty commits, clients do (huggingface_hub issue 1411).
    before = api.model_info(repo_id).sha
    assert commit(wire, repo_id).status == 200
    assert [c.commit_id for c in api.list_repo_commits(repo_id)][1] == before


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        ([{"key": "deletedFile", "value": {"path": "no.txt"}}], 404, "no.txt"),
        ([{"key": "deletedFolder", "value": {"path": "no"}}], 404, "no"),
        ([{"key": "lfsFile", "value": {"path": "w.bin", "algo": "sha256", "oid": "0" * 64}}], 400, "does not exist"),
        ([{"key": "rename", "value": {}}], 400, "Unknown operation"),
        ([{"key": "lfsFile", "value": {"path": "w.bin", "oid": "../../hub.json"}}], 400, "Not a SHA-256"),
        ([{"key": "file", "value": {"path": "a"}}], 400, '"content" is required'),
        ([{"key": "file"}], 400, '"value" is required'),
        ([file("../x")], 400, "Invalid path"),
        ([file("/x")], 400, "Invalid path"),
        ([file(".git/config")], 400, "Invalid path"),
        ([file("a"), file("a/b")], 400, "both a file and a folder"),
        ([file("README.md", b"---\nlicense: nonsense\n---\n")], 400, "license"),
        ([file("big.txt", b"x" * (10 * 2**20 + 1))], 400, "larger than 10 MiB"),
    ],
)
def test_a_commit_that_cannot_be_made_changes_nothing(
    api: HfApi, wire: Wire, repo_id: str, lines: list, status: int, words: str
) -> None:
    before = api.model_info(repo_id).sha
    reply = commit(wire, repo_id, file("good.txt"), *lines)
    assert reply.status == status
    assert words in reply.json()["error"]
    assert api.model_info(repo_id).sha == before


def test_ten_mebibytes_are_still_a_small_file(wire: Wire, repo_id: str) -> None:
    assert commit(wire, repo_id, file("big.txt", b"x" * (10 * 2**20))).status == 200


def test_only_members_commit_and_others_are_told_to_open_a_pull_request(
    hub: LocalHub, wire: Wire, repo_id: str
) -> None:
    assert commit(wire, repo_id, file("a"), token=None).status == 401
    assert commit(wire, repo_id, file("a"), token=hub.reader_token).status == 403
    guest = hub.add_user("guest")
    reply = commit(wire, repo_id, file("a"), token=guest.token)
    assert reply.status == 403
    assert "create_pr=1" in reply.headers["X-Error-Message"]


def test_commits_go_to_branches_only(api: HfApi, wire: Wire, repo_id: str) -> None:
    api.create_tag(repo_id, tag="v1")
    for revision, status in (("v1", 400), (api.model_info(repo_id).sha, 400), ("nope", 404)):
        assert commit(wire, repo_id, file("a"), revision=revision).status == status


def test_branches_and_tags_keep_the_commit_that_they_were_made_of(api: HfApi, repo_id: str) -> None:
    first = api.model_info(repo_id).sha
    api.create_branch(repo_id, branch="feature/x")
    api.create_tag(repo_id, tag="v1.0")
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id, revision="feature/x")
    on_branch = api.model_info(repo_id, revision="feature/x").sha
    refs = api.list_repo_refs(repo_id)
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": first, "feature/x": on_branch}
    assert {ref.ref: ref.target_commit for ref in refs.tags} == {"refs/tags/v1.0": first}
    assert api.model_info(repo_id, revision="v1.0").sha == first
    assert api.model_info(repo_id, revision=on_branch[:8]).sha == on_branch
    api.create_branch(repo_id, branch="old", revision=first)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(repo_id, branch="old")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(repo_id, tag="v1.0")
    api.delete_branch(repo_id, branch="feature/x")
    api.delete_tag(repo_id, tag="v1.0")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.delete_branch(repo_id, branch="main")
    assert [ref.name for ref in api.list_repo_refs(repo_id).branches] == ["main", "old"]
    assert api.model_info(repo_id, revision=on_branch).sha == on_branch  # a commit outlives its branch


def test_history_is_listed_newest_first_with_titles_and_descriptions(api: HfApi, repo_id: str) -> None:
    api.create_commit(
        repo_id, [CommitOperationAdd("a", b"1")], commit_message="Title <b>", commit_description="Line 1\n\nLine 2"
    )
    newest, oldest = api.list_repo_commits(repo_id, formatted=True)
    assert (newest.title, newest.message, newest.authors) == ("Title <b>", "Line 1\n\nLine 2", ["tester"])
    assert newest.formatted_title == "Title &lt;b&gt;"
    assert oldest.title == "initial commit"


def test_listings_come_in_linked_pages(tmp_path: Path) -> None:
    with LocalHub(tmp_path, page_size=4) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        repo_id = api.create_repo("paged").repo_id
        names = [f"folder é/{i:02}.txt" for i in range(10)]
        api.create_commit(repo_id, [CommitOperationAdd(name, b"") for name in names], commit_message="ten")
        hub.clear_requests()
        assert [entry.path for entry in api.list_repo_tree(repo_id, path_in_repo="folder é")] == names
        assert len(hub.requests) == 3
        for i in range(5):
            api.create_commit(repo_id, [CommitOperationAdd("n", str(i).encode())], commit_message=str(i))
        assert len(api.list_repo_commits(repo_id)) == 7
        for i in range(5):
            api.create_repo(f"other-{i}")
        assert len(list(api.list_models())) == 6


def test_a_tree_tells_the_commit_that_changed_each_entry_last(api: HfApi, repo_id: str) -> None:
    for path in ("a.txt", "d/b.txt", "d/c.txt"):
        api.upload_file(path_or_fileobj=b"1", path_in_repo=path, repo_id=repo_id, commit_message=f"add {path}")
    rows = {row.path: row for row in api.list_repo_tree(repo_id, recursive=True, expand=True)}
    assert {path: row.last_commit.title for path, row in rows.items()} == {
        ".gitattributes": "initial commit",
        "a.txt": "add a.txt",
        "d": "add d/c.txt",
        "d/b.txt": "add d/b.txt",
        "d/c.txt": "add d/c.txt",
    }


def test_a_folder_that_does_not_exist_is_an_entry_not_found(api: HfApi, repo_id: str) -> None:
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(repo_id, path_in_repo="nope"))


def test_paths_info_leaves_out_what_does_not_exist(api: HfApi, repo_id: str) -> None:
    api.upload_file(path_or_fileobj=b"\0" * 50, path_in_repo="d/w.bin", repo_id=repo_id)
    found = api.get_paths_info(repo_id, ["d", "d/w.bin", "nope"], expand=True)
    assert [entry.path for entry in found] == ["d", "d/w.bin"]
    assert (found[1].size, found[1].lfs.size) == (50, 50)


def test_commits_that_come_at_once_are_all_made(api: HfApi, repo_id: str) -> None:
    def push(number: int) -> None:
        api.create_commit(
            repo_id, [CommitOperationAdd(f"{number}.txt", str(number).encode())], commit_message=str(number)
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(16)))
    assert len(api.list_repo_commits(repo_id)) == 17
    assert len(api.list_repo_files(repo_id)) == 17


def test_ignored_files_are_not_uploaded(api: HfApi, repo_id: str, tmp_path: Path) -> None:
    for name in (".gitignore", "a.txt", "b.log"):
        (tmp_path / name).write_text("*.log\n")
    api.upload_folder(repo_id=repo_id, folder_path=tmp_path)
    assert set(api.list_repo_files(repo_id)) == {".gitattributes", ".gitignore", "a.txt"}
