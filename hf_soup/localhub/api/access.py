"""Requests for access to gated repositories."""

from __future__ import annotations

import time

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.gitobjects import iso_date
from hf_soup.localhub.pages import page
from hf_soup.localhub.permissions import require_member
from hf_soup.localhub.refusals import Refusal, bad_request
from hf_soup.localhub.routing import Call, hub_routes

_STATUSES = ("accepted", "rejected", "pending")
_ROOT = "/api/{type}/{repo}/user-access-request"


@hub_routes.add("POST", _ROOT + "/grant")
def grant(call: Call) -> Response:
    return _set(call, "accepted", known=False)


@hub_routes.add("POST", _ROOT + "/handle")
def handle(call: Call) -> Response:
    status = call.json().get("status")
    if status not in _STATUSES:
        raise bad_request(f'"status" must be one of [{", ".join(_STATUSES)}]')
    return _set(call, status, known=True)


@hub_routes.add("GET", _ROOT + "/{status}")
def list_requests(call: Call) -> Response:
    repo = call.repo()
    require_member(call.user, repo)
    rows = [
        {
            "requestId": name,
            "user": {"user": name, "fullname": name},
            "status": status,
            "timestamp": iso_date(repo.settings.created),
        }
        for name, status in sorted(repo.settings.access.items())
        if status == call.values["status"]
    ]
    return page(call, rows)


def _set(call: Call, status: str, *, known: bool) -> Response:
    repo = call.repo()
    require_member(call.user, repo)
    name = call.json().get("user")
    if not isinstance(name, str) or call.hub.accounts.named(name) is None:
        raise Refusal(404, f"User {name} not found")
    with repo.lock:
        access = repo.settings.access
        if known and name not in access:
            raise Refusal(404, f"{name} has no access request")
        if not known and access.get(name) == "accepted":
            raise bad_request(f"{name} has access already")
        repo.change_settings(access={**access, name: status})
    return JSONResponse({"timestamp": iso_date(int(time.time()))})
