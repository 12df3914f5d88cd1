"""Pull requests and discussions."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

from hf_soup.localhub import LocalHub

pytestmark = pytest.mark.hub


@pytest.fixture
def guest(hub: LocalHub) -> HfApi:
    """A user with a write token who is no member of the repository."""
    return HfApi(token=hub.add_user("guest").token)


def add(path: str, data: bytes) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, data)]


def test_a_guest_opens_a_pull_request_and_a_member_merges_it(api: HfApi, guest: HfApi, repo_id: str) -> None:
    main = api.model_info(repo_id).sha
    made = guest.create_commit(
        repo_id,
        [*add("a.txt", b"theirs"), *add("w.bin", b"\0weights")],
        commit_message="Add files",
        commit_description="All of them",
        create_pr=True,
    )
    assert (made.pr_num, made.pr_revision) == (1, "refs/pr/1")
    assert api.model_info(repo_id).sha == main
    assert api.model_info(repo_id, revision="refs/pr/1").sha == made.oid
    assert "a.txt" in api.list_repo_files(repo_id, revision="refs/pr/1")
    details = api.get_discussion_details(repo_id, 1)
    assert (details.title, details.author, details.status) == ("Add files", "guest", "open")
    assert (details.target_branch, details.conflicting_files) == ("refs/heads/main", [])
    assert [event.type for event in details.events] == ["comment", "commit"]
    with pytest.raises(HfHubHTTPError, match="403"):
        guest.merge_pull_request(repo_id, 1)
    api.merge_pull_request(repo_id, 1, comment="Thanks")
    after = api.get_discussion_details(repo_id, 1)
    head = api.list_repo_commits(repo_id)[0]
    assert (after.status, after.merge_commit_oid) == ("merged", head.commit_id)
    assert (head.title, head.authors) == ("Add files (#1)", ["tester"])
    assert Path(api.hf_hub_download(repo_id, "a.txt")).read_bytes() == b"theirs"
    with pytest.raises(HfHubHTTPError, match="not an open pull request"):
        api.merge_pull_request(repo_id, 1)


def test_a_read_token_opens_no_pull_request(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_commit(repo_id, add("a", b"1"), commit_message="m", create_pr=True, token=hub.reader_token)
    assert not list(api.get_repo_discussions(repo_id))


def test_a_pull_request_that_was_opened_first_is_filled_by_commits(api: HfApi, guest: HfApi, repo_id: str) -> None:
    request = guest.create_pull_request(repo_id, "Plan", description="First words")
    assert (request.status, request.git_reference) == ("draft", "refs/pr/1")
    guest.create_commit(repo_id, add("a", b"1"), commit_message="one", revision="refs/pr/1")
    guest.create_commit(repo_id, add("b", b"2"), commit_message="two", revision="refs/pr/1")
    refs = api.list_repo_refs(repo_id, include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    assert api.list_repo_refs(repo_id).pull_requests is None
    guest.change_discussion_status(repo_id, 1, "open")
    api.merge_pull_request(repo_id, 1)
    head = api.list_repo_commits(repo_id)[0]
    assert head.title == "Plan (#1)"
    assert [line.split(" (")[0] for line in head.message.splitlines()] == ["- one", "- two"]


def test_a_merge_keeps_what_the_branch_changed_in_other_files(api: HfApi, repo_id: str) -> None:
    api.create_commit(repo_id, [*add("a", b"1"), *add("b", b"1"), *add("c", b"1")], commit_message="start")
    request = api.create_commit(
        repo_id, [*add("a", b"2"), CommitOperationDelete("b")], commit_message="theirs", create_pr=True
    )
    api.create_commit(repo_id, [*add("c", b"2"), *add("d", b"1")], commit_message="ours")
    api.merge_pull_request(repo_id, request.pr_num or 0)
    files = {name: Path(api.hf_hub_download(repo_id, name)).read_bytes() for name in ("a", "c", "d")}
    assert files == {"a": b"2", "c": b"2", "d": b"1"}
    assert "b" not in api.list_repo_files(repo_id)


def test_a_conflict_is_told_and_not_merged(api: HfApi, repo_id: str) -> None:
    api.create_commit(repo_id, [*add("a", b"1"), *add("b", b"1")], commit_message="start")
    api.create_commit(repo_id, [*add("a", b"2"), *add("b", b"3")], commit_message="theirs", create_pr=True)
    head = api.create_commit(repo_id, [*add("a", b"other"), *add("b", b"3")], commit_message="ours").oid
    assert api.get_discussion_details(repo_id, 1).conflicting_files == ["a"]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.merge_pull_request(repo_id, 1)
    assert api.model_info(repo_id).sha == head


def test_discussions_are_commented_renamed_closed_and_listed(
    hub: LocalHub, api: HfApi, guest: HfApi, repo_id: str
) -> None:
    guest.create_discussion(repo_id, "A question", description="What?")
    api.create_commit(repo_id, add("a", b"1"), commit_message="A change", create_pr=True)
    api.comment_discussion(repo_id, 1, "An answer")
    guest.rename_discussion(repo_id, 1, "A good question")
    guest.change_discussion_status(repo_id, 1, "closed")
    details = api.get_discussion_details(repo_id, 1)
    assert [event.type for event in details.events] == ["comment", "comment", "title-change", "status-change"]
    assert (details.title, details.status, details.events[1].content) == ("A good question", "closed", "An answer")
    assert [d.num for d in api.get_repo_discussions(repo_id)] == [2, 1]
    assert [d.num for d in api.get_repo_discussions(repo_id, discussion_type="pull_request")] == [2]
    assert [d.num for d in api.get_repo_discussions(repo_id, discussion_status="closed")] == [1]
    assert [d.num for d in api.get_repo_discussions(repo_id, author="guest")] == [1]
    stranger = HfApi(token=hub.add_user("stranger").token)
    with pytest.raises(HfHubHTTPError, match="403"):
        stranger.change_discussion_status(repo_id, 1, "open")


def test_upload_folder_opens_a_pull_request(api: HfApi, guest: HfApi, repo_id: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0weights")
    made = guest.upload_folder(repo_id=repo_id, folder_path=tmp_path, create_pr=True)
    assert made.pr_num == 1
    assert "w.bin" in api.list_repo_files(repo_id, revision="refs/pr/1")
    assert "w.bin" not in api.list_repo_files(repo_id)
