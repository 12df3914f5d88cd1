"""Create, delete and configure repositories."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from hf_soup.localhub import permissions
from hf_soup.localhub.refusals import Refusal, bad_request, forbidden
from hf_soup.localhub.repository import RepoType
from hf_soup.localhub.routing import Call, hub_routes, repo_url


@hub_routes.add("POST", "/api/repos/create")
def create(call: Call) -> Response:
    user = permissions.require_write_token(call.user)
    wanted = call.json()
    repo_type, repo_id = _named(wanted, user.name)
    namespace = repo_id.split("/")[0]
    if namespace not in user.namespaces:
        raise forbidden(f'You don\'t have the rights to create a {repo_type} under the namespace "{namespace}"')
    try:
        repo = call.hub.repositories.create(repo_type, repo_id, private=_private(wanted, False), author=user.name)
    except Refusal as refusal:
        existing = call.hub.repositories.find(repo_type, repo_id)
        if refusal.status == 409 and existing is not None:
            refusal.body["url"] = repo_url(call.hub, existing)
        raise
    return JSONResponse({"url": repo_url(call.hub, repo), "name": repo.id, "id": repo.settings.number})


@hub_routes.add("DELETE", "/api/repos/delete")
def delete(call: Call) -> Response:
    user = permissions.require_write_token(call.user)
    repo_type, repo_id = _named(call.json(), user.name)
    repo = permissions.require_visible(user, call.hub.repositories.find(repo_type, repo_id))
    permissions.require_member(user, repo)
    with repo.lock:
        call.hub.repositories.delete(repo)
    return Response("OK", media_type="text/plain")


@hub_routes.add("PUT", "/api/{type}/{repo}/settings")
def change_settings(call: Call) -> Response:
    repo = call.repo()
    permissions.require_member(call.user, repo)
    wanted = call.json()
    changes: dict[str, Any] = {"private": _private(wanted, repo.settings.private)}
    if "gated" in wanted:
        if wanted["gated"] not in ("auto", "manual", False):
            raise bad_request('"gated" must be one of [auto, manual, false]')
        changes["gated"] = wanted["gated"]
    repo.change_settings(**changes)
    return JSONResponse({"private": repo.settings.private, "gated": repo.settings.gated})


@hub_routes.add("GET", "/api/{type}/{repo}/auth-check")
def check_access(call: Call) -> Response:
    call.repo(content=True)
    return JSONResponse({})


@hub_routes.add("GET", "/api/{type}/{repo}/auth-check/write")
def check_write_access(call: Call) -> Response:
    permissions.require_member(call.user, call.repo(content=True))
    return JSONResponse({})


def _named(wanted: dict[str, Any], user: str) -> tuple[RepoType, str]:
    kinds: dict[str, RepoType] = {"model": "model", "dataset": "dataset"}
    kind = wanted.get("type") or "model"
    if kind not in kinds:
        raise bad_request(f"This hub keeps models and datasets; it has no repositories of type {kind!r}")
    if not isinstance(wanted.get("name"), str):
        raise bad_request('"name" is required')
    return kinds[kind], f"{wanted.get('organization') or user}/{wanted['name']}"


def _private(wanted: dict[str, Any], default: bool) -> bool:
    if "visibility" in wanted:
        return wanted["visibility"] == "private"
    return bool(wanted.get("private", default))
