"""What lies on disk, held against git itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from hf_soup.localhub import LocalHub
from hf_soup.localhub.attributes import initial_attributes, is_large_file, with_rule_for
from hf_soup.localhub.gitignore import is_ignored
from hf_soup.localhub.gitobjects import TreeItem, decode_tree, encode_tree, object_id

pytestmark = pytest.mark.hub
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str, data: bytes | None = None) -> str:
    command = ["git", "-c", "safe.directory=*", f"--git-dir={folder}", *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout.decode().strip()


def folder_of(hub: LocalHub, repo_id: str) -> Path:
    return hub.root / "models" / f"{repo_id}.git"


@pytest.mark.parametrize(
    ("repo_type", "oid"),
    [
        # The ids that huggingface.co shows for the file in thousands of untouched repositories.
        ("model", "a6344aac8c09253b3b630fb776ae94478aa0275b"),
        ("dataset", "1ef325f1b111266a6b26e0196871bd78baa8c2f3"),
    ],
)
def test_a_new_repository_starts_with_the_attributes_of_the_real_hub(repo_type: str, oid: str) -> None:
    assert object_id("blob", initial_attributes(repo_type)) == oid


def test_trees_are_sorted_as_git_does_with_folders_as_if_they_ended_in_a_slash() -> None:
    items = [TreeItem("a", "0" * 40, True), TreeItem("a.b", "1" * 40, False), TreeItem("a0", "2" * 40, False)]
    assert [item.name for item in decode_tree(encode_tree(items))] == ["a.b", "a", "a0"]


@needs_git
def test_git_reads_the_repository_and_finds_no_fault(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    made = api.create_commit(
        repo_id,
        [
            CommitOperationAdd("a/b/deep.txt", b"deep\n"),
            CommitOperationAdd("a.txt", b"a\n"),
            CommitOperationAdd("Ünïcode name.txt", "é".encode()),
            CommitOperationAdd("w.safetensors", bytes(100)),
        ],
        commit_message="First",
        commit_description="Why: because.",
    )
    api.create_commit(repo_id, [CommitOperationDelete("a/")], commit_message="Second")
    folder = folder_of(hub, repo_id)
    git(folder, "fsck", "--strict", "--full")
    assert git(folder, "log", "--format=%an|%s|%b") == (
        "tester|Second|\ntester|First|Why: because.\n\ntester|initial commit|"
    )
    assert git(folder, "rev-parse", "main~1") == made.oid
    assert git(folder, "show", f"{made.oid}:a/b/deep.txt") == "deep"
    assert git(folder, "hash-object", "--stdin", data=b"deep\n") == (
        api.get_paths_info(repo_id, "a/b/deep.txt", revision=made.oid)[0].blob_id
    )
    assert git(folder, "ls-tree", "--name-only", "-z", "main").split("\0")[:3] == [
        ".gitattributes",
        "a.txt",
        "w.safetensors",
    ]


@needs_git
def test_folders_are_listed_with_the_ids_that_git_gives_their_trees(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    api.upload_file(path_or_fileobj=b"x", path_in_repo="one/two/x.txt", repo_id=repo_id)
    folders = [entry for entry in api.list_repo_tree(repo_id, recursive=True) if hasattr(entry, "tree_id")]
    assert {entry.path for entry in folders} == {"one", "one/two"}
    for entry in folders:
        assert entry.tree_id == git(folder_of(hub, repo_id), "rev-parse", f"main:{entry.path}")


def test_a_large_file_is_kept_as_git_lfs_keeps_it(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    api.upload_file(path_or_fileobj=b"\0" * 1000, path_in_repo="w.bin", repo_id=repo_id)
    sha256 = "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"  # sha256sum of 1000 zero bytes
    stored = folder_of(hub, repo_id) / "lfs" / "objects" / sha256[:2] / sha256[2:4] / sha256
    assert stored.read_bytes() == b"\0" * 1000


@needs_git
@pytest.mark.parametrize(
    "path", ["w.bin", "a/w.bin", "saved_model/x", "saved_model/a/b/x", "x/saved_model/y", "events.tfevents.1", "w.txt"]
)
def test_attributes_match_the_paths_that_git_matches(path: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitattributes").write_bytes(initial_attributes("model"))
    told = subprocess.run(
        ["git", "-C", tmp_path, "check-attr", "filter", path], capture_output=True, text=True, check=True
    ).stdout
    assert is_large_file(path, initial_attributes("model").decode()) == told.strip().endswith(": lfs")


def test_a_later_attribute_rule_wins() -> None:
    rules = "*.bin filter=lfs diff=lfs merge=lfs -text\nsmall.bin -filter\n"
    assert is_large_file("w.bin", rules)
    assert not is_large_file("small.bin", rules)
    assert is_large_file("my file.txt", with_rule_for("my file.txt", rules))


def test_a_large_text_file_gets_an_attribute_rule_of_its_own(api: HfApi, repo_id: str, hub: LocalHub) -> None:
    api.upload_file(path_or_fileobj=b"word\n" * (3 << 20), path_in_repo="data/tokenizer.json", repo_id=repo_id)
    path = api.hf_hub_download(repo_id, ".gitattributes")
    assert Path(path).read_text().endswith("\ndata/tokenizer.json filter=lfs diff=lfs merge=lfs -text\n")


@needs_git
@pytest.mark.parametrize("path", ["a.log", "keep.log", "build/x", "src/build/y", "docs/x.tmp", "x.tmp", "ok"])
def test_ignore_rules_match_the_paths_that_git_ignores(path: str, tmp_path: Path) -> None:
    rules = "# comment\n*.log\n!keep.log\nbuild/\ndocs/*.tmp\n"
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(rules)
    target = tmp_path / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("")
    ignored = subprocess.run(["git", "-C", tmp_path, "check-ignore", "-q", path], check=False).returncode == 0
    assert is_ignored(path, rules) == ignored
