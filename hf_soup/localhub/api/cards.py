"""Validation of a card before it is pushed; needs no token."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.cardrules import check_card
from hf_soup.localhub.refusals import bad_request
from hf_soup.localhub.routing import Call, hub_routes


@hub_routes.add("POST", "/api/validate-yaml")
def validate(call: Call) -> Response:
    wanted = call.json()
    if not isinstance(wanted.get("content"), str):
        raise bad_request('"content" must be a string')
    found = check_card(wanted["content"], wanted.get("repoType") or "model")
    body = {
        "errors": [{"message": message} for message in found.errors],
        "warnings": [{"message": message} for message in found.warnings],
    }
    return JSONResponse(body, 400 if found.errors else 200)
