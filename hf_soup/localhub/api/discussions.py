"""Discussions and pull requests."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.discussions import Discussion, Discussions
from hf_soup.localhub.gitobjects import iso_date
from hf_soup.localhub.merging import conflicts, merge
from hf_soup.localhub.permissions import is_member, require_member, require_write_token
from hf_soup.localhub.refusals import bad_request, forbidden
from hf_soup.localhub.repository import MAIN, Repository
from hf_soup.localhub.routing import Call, hub_routes, repo_url

_PAGE = 50
_ROOT = "/api/{type}/{repo}/discussions"


@hub_routes.add("GET", _ROOT)
def list_discussions(call: Call) -> Response:
    repo = call.repo()
    kind, status, author = (call.query.get(name) for name in ("type", "status", "author"))
    rows = [
        _summary(repo, found)
        for found in Discussions(repo).all()
        if (kind in (None, "all") or found.is_pull_request == (kind == "pull_request"))
        and (status in (None, "all") or (found.status in ("open", "draft")) == (status == "open"))
        and author in (None, found.author)
    ]
    start = int(call.query.get("p", "0")) * _PAGE
    return JSONResponse({"discussions": rows[start : start + _PAGE], "count": len(rows), "start": start})


@hub_routes.add("POST", _ROOT)
def open_discussion(call: Call) -> Response:
    repo = call.repo()
    user = require_write_token(call.user)
    wanted = call.json()
    title = str(wanted.get("title", "")).strip()
    if not 3 <= len(title) <= 200:
        raise bad_request('"title" must have between 3 and 200 characters')
    as_pull_request = bool(wanted.get("pullRequest"))
    with repo.lock:
        made = Discussions(repo).open(
            title,
            str(wanted.get("description", "")),
            user.name,
            base=MAIN if as_pull_request else None,
            status="draft" if as_pull_request else "open",
        )
        if as_pull_request:
            repo.set_ref(made.ref, repo.resolve(MAIN).oid)
    address = f"{repo_url(call.hub, repo)}/discussions/{made.num}"
    return JSONResponse({"num": made.num, "url": address, "pullRequest": as_pull_request})


@hub_routes.add("GET", _ROOT + "/{number}")
def describe_discussion(call: Call) -> Response:
    repo = call.repo()
    found = Discussions(repo).get(int(call.values["number"]))
    details: dict[str, Any] = {**_summary(repo, found), "events": found.events}
    if found.is_pull_request:
        details["changes"] = {"base": found.base, "mergeCommitId": found.merge_commit}
        details["filesWithConflicts"] = conflicts(repo, found) if found.status in ("open", "draft") else []
    return JSONResponse(details)


@hub_routes.add("POST", _ROOT + "/{number}/comment")
def comment(call: Call) -> Response:
    repo = call.repo()
    user = require_write_token(call.user)
    text = str(call.json().get("comment", ""))
    if not text:
        raise bad_request('"comment" is not allowed to be empty')
    with repo.lock:
        _, event = Discussions(repo).comment(int(call.values["number"]), text, user.name)
    return JSONResponse({"newMessage": event})


@hub_routes.add("POST", _ROOT + "/{number}/title")
def rename(call: Call) -> Response:
    repo, discussions, found, user = _for_change(call)
    with repo.lock:
        _, event = discussions.rename(found.num, str(call.json().get("title", "")).strip(), user)
    return JSONResponse({"newTitle": event})


@hub_routes.add("POST", _ROOT + "/{number}/status")
def change_status(call: Call) -> Response:
    repo, discussions, found, user = _for_change(call)
    wanted = call.json()
    if wanted.get("status") not in ("open", "closed"):
        raise bad_request('"status" must be one of [open, closed]')
    if found.status == "merged":
        raise bad_request("A merged pull request stays merged")
    with repo.lock:
        _, event = discussions.set_status(found.num, wanted["status"], user)
        if wanted.get("comment"):
            discussions.comment(found.num, wanted["comment"], user)
    return JSONResponse({"newStatus": event})


@hub_routes.add("POST", _ROOT + "/{number}/merge")
def merge_pull_request(call: Call) -> Response:
    repo = call.repo()
    user = require_member(call.user, repo)
    discussions = Discussions(repo)
    with repo.lock:
        found = discussions.get(int(call.values["number"]))
        if not found.is_pull_request or found.status not in ("open", "draft"):
            raise bad_request(f"Discussion {found.num} is not an open pull request")
        commit = merge(repo, found, user.name)
        _, event = discussions.set_status(found.num, "merged", user.name, merge_commit=commit.oid)
        if text := call.json().get("comment"):
            discussions.comment(found.num, text, user.name)
    return JSONResponse({"newStatus": event})


def _for_change(call: Call) -> tuple[Repository, Discussions, Discussion, str]:
    """Members and the author may change a discussion."""
    repo = call.repo()
    user = require_write_token(call.user)
    discussions = Discussions(repo)
    found = discussions.get(int(call.values["number"]))
    if user.name != found.author and not is_member(user, repo):
        raise forbidden("Only members of the repository and the author may change a discussion")
    return repo, discussions, found, user.name


def _summary(repo: Repository, found: Discussion) -> dict[str, Any]:
    return {
        "num": found.num,
        "title": found.title,
        "status": found.status,
        "author": {"name": found.author, "type": "user"},
        "isPullRequest": found.is_pull_request,
        "createdAt": iso_date(found.created),
        "repo": {"name": repo.id, "type": repo.type},
    }
