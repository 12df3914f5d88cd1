"""Who am I."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.permissions import require_user
from hf_soup.localhub.routing import Call, hub_routes


@hub_routes.add("GET", "/api/whoami-v2")
def whoami(call: Call) -> Response:
    user = require_user(call.user)
    return JSONResponse(
        {
            "type": "user",
            "id": user.name,
            "name": user.name,
            "fullname": user.name,
            "email": f"{user.name}@users.noreply.localhost",
            "emailVerified": True,
            "canPay": False,
            "isPro": False,
            "orgs": [
                {"type": "org", "id": name, "name": name, "fullname": name, "roleInOrg": "write"} for name in user.orgs
            ],
            "auth": {"type": "access_token", "accessToken": {"displayName": user.name, "role": user.role}},
        }
    )
