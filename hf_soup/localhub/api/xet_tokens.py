"""Where xet clients read and write: the hub's folder, by hf_xet's own local store."""

from __future__ import annotations

import time

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.permissions import require_commit
from hf_soup.localhub.refusals import Refusal
from hf_soup.localhub.routing import Call, hub_routes

_LIFETIME = 3600  # seconds


@hub_routes.add("GET", "/api/{type}/{repo}/xet-read-token/{rev}")
def read_token(call: Call) -> Response:
    call.repo(content=True)
    return _token(call)


@hub_routes.add("GET", "/api/{type}/{repo}/xet-write-token/{rev}")
def write_token(call: Call) -> Response:
    as_pull_request = call.flag("create_pr") or call.values["rev"].startswith("refs/pr/")
    require_commit(call.user, call.repo(), as_pull_request=as_pull_request)
    return _token(call)


def _token(call: Call) -> Response:
    if call.hub.xet is None:
        raise Refusal(404, "This hub does not serve xet: set HF_HUB_DISABLE_XET=1, or start it with --xet")
    address, expires = call.hub.xet.address, int(time.time()) + _LIFETIME
    return JSONResponse(
        {"casUrl": address, "exp": expires, "accessToken": "local"},
        headers={
            "X-Xet-Cas-Url": address,
            "X-Xet-Access-Token": "local",
            "X-Xet-Token-Expiration": str(expires),
        },
    )
