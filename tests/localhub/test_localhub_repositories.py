"""Repositories, who may see them, and the codes of refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hf_soup.localhub import LocalHub

if TYPE_CHECKING:
    from conftest import Wire

pytestmark = pytest.mark.hub


def test_whoami_tells_the_user_and_the_role_of_the_token(hub: LocalHub, api: HfApi) -> None:
    me = api.whoami()
    assert (me["name"], me["orgs"][0]["name"]) == ("tester", "soup-org")
    assert me["auth"]["accessToken"]["role"] == "write"
    assert api.whoami(token=hub.reader_token)["auth"]["accessToken"]["role"] == "read"


def test_an_unknown_token_is_told_from_a_missing_repository(wire: Wire, repo_id: str) -> None:
    reply = wire("GET", f"/api/models/{repo_id}", token="hf_wrong")
    assert reply.status == 401
    assert reply.headers["X-Error-Message"] == "Invalid credentials in Authorization header"


def test_creating_a_repository_twice_is_a_conflict_that_names_its_address(wire: Wire, repo_id: str) -> None:
    reply = wire("POST", "/api/repos/create", body={"name": repo_id.split("/")[1], "type": "model"})
    assert reply.status == 409
    assert reply.json()["url"].endswith(repo_id)


def test_exist_ok_accepts_an_existing_repository(api: HfApi, repo_id: str) -> None:
    assert api.create_repo(repo_id, exist_ok=True).repo_id == repo_id
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(repo_id)


@pytest.mark.parametrize("name", ["../up", "a--b", "-a", "a.", "a..b", "x" * 97, "a b", "a.git"])
def test_names_that_the_hub_does_not_allow_are_refused(wire: Wire, name: str) -> None:
    assert wire("POST", "/api/repos/create", body={"name": name}).status == 400


def test_nobody_creates_a_repository_in_the_namespace_of_somebody_else(hub: LocalHub, api: HfApi) -> None:
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("reader/mine")
    with pytest.raises(HfHubHTTPError, match="403"):
        api.create_repo("reader/mine", token=hub.reader_token)  # a read token
    assert api.create_repo("soup-org/ours", exist_ok=True).repo_id == "soup-org/ours"


def test_a_deleted_repository_is_gone_and_its_name_is_free(api: HfApi, repo_id: str) -> None:
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id)
    api.delete_repo(repo_id)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(repo_id)
    api.delete_repo(repo_id, missing_ok=True)
    api.create_repo(repo_id)
    assert api.list_repo_files(repo_id) == [".gitattributes"]


def test_models_and_datasets_of_one_name_are_different(api: HfApi, repo_id: str) -> None:
    assert not api.repo_exists(repo_id, repo_type="dataset")
    api.create_repo(repo_id, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a,b", path_in_repo="d.csv", repo_id=repo_id, repo_type="dataset")
    assert api.file_exists(repo_id, "d.csv", repo_type="dataset")
    assert not api.file_exists(repo_id, "d.csv")
    assert api.dataset_info(repo_id).siblings[-1].rfilename == "d.csv"


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("reader", 404), ("", 200)])
def test_a_private_repository_exists_for_members_only(
    hub: LocalHub, wire: Wire, new_repo: Callable[..., str], token: str | None, status: int
) -> None:
    repo_id = new_repo(private=True)
    for address in (f"/api/models/{repo_id}", f"/{repo_id}/resolve/main/.gitattributes"):
        reply = wire("GET", address, token=hub.reader_token if token == "reader" else token)
        assert reply.status == status
        assert reply.headers["X-Error-Code"] == (None if status == 200 else "RepoNotFound")


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("reader", 404)])
def test_a_missing_repository_looks_like_a_private_one(
    hub: LocalHub, wire: Wire, token: str | None, status: int
) -> None:
    reply = wire("GET", "/api/models/tester/nothing-here", token=token and hub.reader_token)
    assert (reply.status, reply.headers["X-Error-Code"]) == (status, "RepoNotFound")


def test_a_gated_repository_is_described_to_all_and_read_by_accepted_users(
    hub: LocalHub, api: HfApi, wire: Wire, repo_id: str
) -> None:
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=repo_id)
    api.update_repo_settings(repo_id, gated="manual")
    assert api.model_info(repo_id, token=False).gated == "manual"
    address = f"/{repo_id}/resolve/main/config.json"
    reader = {"token": hub.reader_token}
    for options, status in (({"token": None}, 401), (reader, 403), ({}, 200)):
        reply = wire("GET", address, **options)
        assert reply.status == status
        assert reply.headers["X-Error-Code"] == (None if status == 200 else "GatedRepo")
    with pytest.raises(GatedRepoError):
        api.auth_check(repo_id, token=hub.reader_token)
    api.grant_access(repo_id, "reader")
    assert [request.username for request in api.list_accepted_access_requests(repo_id)] == ["reader"]
    assert wire("GET", address, **reader).status == 200
    api.reject_access_request(repo_id, "reader", rejection_reason=None)
    assert wire("GET", address, **reader).status == 403


def test_settings_change_the_visibility(hub: LocalHub, api: HfApi, repo_id: str) -> None:
    api.update_repo_settings(repo_id, private=True)
    assert not api.repo_exists(repo_id, token=hub.reader_token)
    api.update_repo_settings(repo_id, private=False)
    assert api.repo_exists(repo_id, token=hub.reader_token)
    with pytest.raises(HfHubHTTPError, match="403"):
        api.update_repo_settings(repo_id, private=True, token=hub.reader_token)


def test_an_unknown_revision_has_its_own_code(api: HfApi, wire: Wire, repo_id: str) -> None:
    reply = wire("GET", f"/api/models/{repo_id}/revision/nope")
    assert (reply.status, reply.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    with pytest.raises(RevisionNotFoundError):
        api.model_info(repo_id, revision="nope")


def test_lists_filter_by_author_name_and_tag_and_hide_what_is_private(
    hub: LocalHub, api: HfApi, new_repo: Callable[..., str]
) -> None:
    card = b"---\nlicense: mit\npipeline_tag: fill-mask\ntags: [listed-here]\n---\n"
    shown, hidden = new_repo(), new_repo(private=True)
    for repo_id in (shown, hidden):
        api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id=repo_id)
    assert {m.id for m in api.list_models(author="tester", filter="listed-here")} == {shown, hidden}
    assert [m.id for m in api.list_models(filter="listed-here", token=hub.reader_token)] == [shown]
    assert [m.id for m in api.list_models(search=shown.split("/")[1].upper(), pipeline_tag="fill-mask")] == [shown]
    assert not list(api.list_models(author="reader"))
    assert len(list(api.list_models(author="tester", limit=2))) == 2
    found = next(iter(api.list_models(filter="listed-here", search=shown, cardData=True, full=True)))
    assert found.card_data["license"] == "mit"
    assert {file.rfilename for file in found.siblings} == {".gitattributes", "README.md"}


def test_an_unknown_address_is_not_found(wire: Wire) -> None:
    assert wire("GET", "/api/no-such-thing").status == 404
    assert wire("GET", "/robots.txt").status == 404


def test_a_request_for_another_host_name_is_refused(wire: Wire, repo_id: str) -> None:
    assert wire("GET", f"/api/models/{repo_id}", headers={"Host": "evil.example"}).status == 403
