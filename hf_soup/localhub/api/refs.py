"""Branches, tags and the history."""

from __future__ import annotations

from html import escape
from typing import Any

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.pages import page
from hf_soup.localhub.permissions import require_member
from hf_soup.localhub.refusals import Refusal, bad_request, forbidden, revision_not_found
from hf_soup.localhub.repository import MAIN
from hf_soup.localhub.routing import Call, hub_routes

_KINDS = {"heads": "branches", "tags": "tags", "convert": "converts", "pr": "pullRequests"}


@hub_routes.add("GET", "/api/{type}/{repo}/refs")
def list_refs(call: Call) -> Response:
    repo = call.repo()
    listed: dict[str, list[dict[str, str]]] = {kind: [] for kind in _KINDS.values()}
    for ref, commit in repo.refs().items():
        _, folder, name = ref.split("/", 2)
        listed[_KINDS[folder]].append({"name": name, "ref": ref, "targetCommit": commit})
    if not call.flag("include_prs"):
        del listed["pullRequests"]
    return JSONResponse(listed)


@hub_routes.add("GET", "/api/{type}/{repo}/commits/{rev}")
def list_commits(call: Call) -> Response:
    repo = call.repo()
    rows: list[dict[str, Any]] = []
    formatted = "formatted" in [*call.query.getlist("expand[]"), *call.query.getlist("expand")]
    for commit in repo.history(repo.resolve(call.values["rev"])):
        row: dict[str, Any] = {
            "id": commit.oid,
            "title": commit.title,
            "message": commit.description,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        if formatted:
            row["formatted"] = {"title": escape(commit.title), "message": escape(commit.description)}
        rows.append(row)
    return page(call, rows)


@hub_routes.add("POST", "/api/{type}/{repo}/branch/{name}")
def create_branch(call: Call) -> Response:
    repo = call.repo()
    require_member(call.user, repo)
    ref = f"refs/heads/{call.values['name']}"
    with repo.lock:
        if repo.ref(ref) is not None:
            raise Refusal(409, f"Reference already exists: {ref}")
        repo.set_ref(ref, repo.resolve(call.json().get("startingPoint") or MAIN).oid)
    return JSONResponse({})


@hub_routes.add("DELETE", "/api/{type}/{repo}/branch/{name}")
def delete_branch(call: Call) -> Response:
    repo = call.repo()
    require_member(call.user, repo)
    ref = f"refs/heads/{call.values['name']}"
    if ref == MAIN:
        raise forbidden("Cannot delete the main branch")
    with repo.lock:
        if repo.ref(ref) is None:
            raise revision_not_found(call.values["name"])
        repo.delete_ref(ref)
    return JSONResponse({})


@hub_routes.add("POST", "/api/{type}/{repo}/tag/{rev}")
def create_tag(call: Call) -> Response:
    repo = call.repo()
    require_member(call.user, repo)
    name = call.json().get("tag")
    if not isinstance(name, str):
        raise bad_request('"tag" is required')
    with repo.lock:
        if repo.ref(f"refs/tags/{name}") is not None:
            raise Refusal(409, f"Tag already exists: {name}")
        repo.set_ref(f"refs/tags/{name}", repo.resolve(call.values["rev"]).oid)
    return JSONResponse({})


@hub_routes.add("DELETE", "/api/{type}/{repo}/tag/{name}")
def delete_tag(call: Call) -> Response:
    repo = call.repo()
    require_member(call.user, repo)
    ref = f"refs/tags/{call.values['name']}"
    with repo.lock:
        if repo.ref(ref) is None:
            raise revision_not_found(call.values["name"])
        repo.delete_ref(ref)
    return JSONResponse({})
