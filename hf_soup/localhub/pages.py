"""Listings in pages, linked as on the Hub: `Link: <address>; rel="next"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse, Response

from hf_soup.localhub.refusals import bad_request
from hf_soup.localhub.routing import Call


def page(call: Call, rows: Sequence[Any], *, limit: int | None = None) -> Response:
    """The rows from `cursor` on, at most `limit` of them, and where the next ones are."""
    cursor = call.query.get("cursor", "0")
    if not cursor.isdigit():
        raise bad_request("Invalid cursor")
    size = call.hub.page_size if limit is None else min(limit, call.hub.page_size)
    start = int(cursor)
    headers = {}
    if start + size < len(rows):
        query = [(key, value) for key, value in call.query.multi_items() if key != "cursor"]
        address = call.hub.endpoint + quote(call.path) + "?" + urlencode([*query, ("cursor", start + size)])
        headers["Link"] = f'<{address}>; rel="next"'
    return JSONResponse(list(rows[start : start + size]), headers=headers)
